//! What both kinds of collections have in Python: their optimizers, their tables and their state.

/// Methods of a class that has [`Tables`](crate::tables::Tables) under the name `tables`.
macro_rules! table_methods {
    ($class:ident) => {
        #[pymethods]
        impl $class {
            /// Trains every table by an optimizer of this rule, as `Optimizer` takes it. Returns the collection.
            #[pyo3(signature = (rule, **hyperparameters))]
            fn with_optimizer<'py>(
                slf: Bound<'py, Self>,
                rule: &str,
                hyperparameters: Option<&Bound<'py, PyDict>>,
            ) -> Result<Bound<'py, Self>> {
                slf.get().tables.set_optimizer(None, rule, hyperparameters, slf.py())?;
                Ok(slf)
            }

            /// Trains one table by an optimizer of its own.
            #[pyo3(signature = (table, rule, **hyperparameters))]
            fn set_optimizer(
                &self,
                py: Python<'_>,
                table: &str,
                rule: &str,
                hyperparameters: Option<&Bound<'_, PyDict>>,
            ) -> Result<()> {
                self.tables.set_optimizer(Some(table), rule, hyperparameters, py)
            }

            /// Changes the learning rate of one table, or of all.
            #[pyo3(signature = (lr, *, table=None))]
            fn set_lr(&self, py: Python<'_>, lr: f64, table: Option<&str>) -> Result<()> {
                self.tables.set_lr(py, lr, table)
            }

            /// The learning rates of the tables that have an optimizer.
            #[getter]
            fn lrs<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
                self.tables.lrs(py)
            }

            /// A table as an array that shares its memory.
            fn table<'py>(slf: &Bound<'py, Self>, name: &str) -> Result<Bound<'py, PyUntypedArray>> {
                slf.get().tables.array(slf.clone().into_any(), name)
            }

            /// Every table and every optimizer, copied: to be taken while no other thread trains the collection.
            fn state_dict<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyDict>> {
                slf.get().tables.dict(slf.as_any())
            }

            /// Goes on as the collection that `state` was taken from. Its tables are written where they are.
            fn load_state_dict<'py>(slf: &Bound<'py, Self>, state: &Bound<'py, PyDict>) -> Result<()> {
                slf.get().tables.load(slf.as_any(), state)
            }

            /// The optimizer of a table but for its states: rule, hyperparameters, options and steps as JSON. `None` where there is none.
            fn optimizer_record(&self, py: Python<'_>, table: &str) -> Result<Option<String>> {
                self.tables.optimizer_record(py, table)
            }

            /// Lets a table's optimizer go on as that of a record, which must be of the same rule. Its states stay as they are.
            fn set_optimizer_record(&self, py: Python<'_>, table: &str, record: &str) -> Result<()> {
                self.tables.set_optimizer_record(py, table, record)
            }

            /// The states of a table's optimizer: how many values a row has, by name.
            fn state_dims<'py>(&self, py: Python<'py>, table: &str) -> Result<Bound<'py, PyDict>> {
                self.tables.state_dims(py, table)
            }

            /// Some rows of a state of a table's optimizer, copied.
            fn state_rows<'py>(
                &self,
                py: Python<'py>,
                table: &str,
                state: &str,
                rows: (usize, usize),
            ) -> Result<Bound<'py, PyUntypedArray>> {
                self.tables.state_rows(py, table, state, rows)
            }

            /// Reads a state of a table's optimizer from a checkpoint: rows and columns of that of the checkpoint's table `source`.
            fn read_state(
                &self,
                table: &str,
                state: &str,
                reader: &Bound<'_, crate::checkpoint::CheckpointReader>,
                source: &str,
                rows: (usize, usize),
                columns: (usize, usize),
            ) -> Result<()> {
                self.tables.read_state((table, state), reader, source, [rows, columns])
            }

            fn __setstate__<'py>(slf: &Bound<'py, Self>, state: &Bound<'py, PyDict>) -> Result<()> {
                slf.get().tables.load(slf.as_any(), state)
            }

            fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Result<crate::tables::Reduced<'py>> {
                let tables = &slf.get().tables;
                Ok((slf.get_type().into_any(), (tables.configs(slf.py()),), tables.dict(slf.as_any())?))
            }

            /// The configurations of the tables.
            #[getter]
            fn configs<'py>(&self, py: Python<'py>) -> Bound<'py, pyo3::types::PyTuple> {
                self.tables.configs(py)
            }

            /// The names of the tables.
            #[getter]
            fn table_names(&self) -> Vec<&str> {
                self.tables.names()
            }
        }
    };
}

pub(crate) use table_methods;
