//! What both kinds of collection share: the engine's collection behind a lock, and its tables as arrays.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use hotrow::{AnyViewMut, EmbeddingBagCollection, EmbeddingCollection, Error, Optimizer, OptimizerRecord};
use numpy::PyUntypedArray;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::arrays::{Kind, Range, RawRows, RawTable, apart};
use crate::checkpoint::CheckpointReader;
use crate::error::{Failure, Result};
use crate::jagged::JaggedArrays;
use crate::memory::{new_array, rows_in};
use crate::optimizer_state::{Copy, Recipe, State, shapes};
use crate::pool;
use crate::rules::Named;
use crate::table_config::TableConfig;

/// What the engine's collections have in common.
pub(crate) trait Many: Send + Sized {
    fn set_table(&mut self, name: &str, table: hotrow::AnyTable) -> hotrow::Result<()>;
    fn table_mut(&mut self, name: &str) -> hotrow::Result<AnyViewMut<'_>>;
    fn set_optimizer(&mut self, name: &str, optimizer: Optimizer) -> hotrow::Result<()>;
    fn optimizer_mut(&mut self, name: &str) -> hotrow::Result<Option<&mut Optimizer>>;
    fn set_lr(&mut self, lr: f32) -> hotrow::Result<()>;
}

macro_rules! many {
    ($($collection:ident),*) => {
        $(impl Many for $collection {
            fn set_table(&mut self, name: &str, table: hotrow::AnyTable) -> hotrow::Result<()> {
                $collection::set_table(self, name, table)
            }
            fn table_mut(&mut self, name: &str) -> hotrow::Result<AnyViewMut<'_>> {
                $collection::table_mut(self, name)
            }
            fn set_optimizer(&mut self, name: &str, optimizer: Optimizer) -> hotrow::Result<()> {
                $collection::set_optimizer(self, name, optimizer)
            }
            fn optimizer_mut(&mut self, name: &str) -> hotrow::Result<Option<&mut Optimizer>> {
                $collection::optimizer_mut(self, name)
            }
            fn set_lr(&mut self, lr: f32) -> hotrow::Result<()> {
                $collection::set_lr(self, lr)
            }
        })*
    };
}

many!(EmbeddingBagCollection, EmbeddingCollection);

/// A collection of the engine and what is known of its tables.
pub(crate) struct Tables<C> {
    /// Its tables stay where they are.
    engine: Mutex<C>,
    /// Name and memory.
    tables: Vec<(String, RawTable)>,
    /// How many values an id has at most, in all tables that look up its key.
    widest: usize,
    last: Mutex<Last>,
    /// As they were given.
    configs: Py<PyTuple>,
}

/// How a collection is pickled.
pub(crate) type Reduced<'py> = (Bound<'py, PyAny>, (Bound<'py, PyTuple>,), Bound<'py, PyDict>);

/// The last forward.
#[derive(Clone, Default)]
pub(crate) struct Last {
    /// The bytes that it moved at most.
    pub(crate) bytes: usize,
    /// How many rows its output has, feature by feature, or in all where there is one output.
    pub(crate) rows: Vec<usize>,
}

impl<C: Many> Tables<C> {
    pub(crate) fn new(
        py: Python<'_>,
        configs: &Bound<'_, PyAny>,
        seed: u64,
        make: impl FnOnce(&[TableConfig]) -> hotrow::Result<C> + Send,
    ) -> Result<Tables<C>> {
        let given = configs.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        let configs: Vec<TableConfig> = given.iter().map(TableConfig::of).collect::<Result<_>>()?;
        let given = PyTuple::new(py, given)?.unbind();
        let bytes = configs.iter().map(|config| config.shape()[0].saturating_mul(config.shape()[1]).saturating_mul(4)).max();
        let mut keys: Vec<(&str, usize)> = Vec::new();
        for config in &configs {
            keys.extend(config.features().iter().map(|key| (key.as_str(), config.shape()[1])));
        }
        let width = |key: &str| keys.iter().filter(|(other, _)| *other == key).map(|(_, dim)| dim).sum();
        let widest = keys.iter().map(|(key, _)| width(key)).max().unwrap_or(0);
        let (engine, tables) = pool::allocate(py, bytes.unwrap_or(0), |_| {
            let mut engine = make(&configs)?;
            let mut tables = Vec::new();
            for (at, config) in configs.iter().enumerate() {
                if let Some(table) = config.drawn(seed.wrapping_add(at as u64))? {
                    engine.set_table(config.name(), table)?;
                }
                tables.push((config.name().to_owned(), RawTable::of_table_mut(engine.table_mut(config.name())?)?));
            }
            Ok((engine, tables))
        })?;
        Ok(Tables { engine: Mutex::new(engine), tables, widest, last: Mutex::default(), configs: given })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, C> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the lock could be had at once.
    pub(crate) fn is_free(&self) -> bool {
        !matches!(self.engine.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// At least as many bytes as the engine moves for an input whose output has so many values beside those of the ids.
    pub(crate) fn bytes(&self, input: &JaggedArrays<'_>, more: usize) -> usize {
        let values = input.ids().saturating_mul(2 * self.widest).saturating_add(more);
        values.saturating_mul(size_of::<f32>())
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.tables.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(crate) fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_last(&self, last: Last) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// Refuses to write tables of which something is read.
    pub(crate) fn apart(&self, read: &dyn Range, what: &str) -> Result<()> {
        self.tables.iter().try_for_each(|(_, raw)| apart(raw, "a table", read, what))
    }

    fn find(&self, name: &str) -> Result<usize> {
        let at = self.tables.iter().position(|(known, _)| known == name);
        at.ok_or_else(|| Error::NoSuchTable { name: name.to_owned(), tables: self.names().join(", ") }.into())
    }

    /// A table as an array without a copy, which keeps `owner`, the collection.
    pub(crate) fn array<'py>(&self, owner: Bound<'py, PyAny>, name: &str) -> Result<Bound<'py, PyUntypedArray>> {
        rows_in(owner, &self.tables[self.find(name)?].1)
    }

    pub(crate) fn configs<'py>(&self, py: Python<'py>) -> Bound<'py, PyTuple> {
        self.configs.bind(py).clone()
    }

    /// Every table, and every optimizer, copied.
    pub(crate) fn dict<'py>(&self, owner: &Bound<'py, PyAny>) -> Result<Bound<'py, PyDict>> {
        let py = owner.py();
        let found = self.with(py, |engine| {
            let of = |name: &str| Ok(engine.optimizer_mut(name)?.map(|optimizer| shapes(optimizer)));
            self.names().into_iter().map(of).collect::<Result<Vec<_>>>()
        })?;
        let copies = found.into_iter().map(|shapes| shapes.map(|shapes| Copy::new(py, shapes)).transpose());
        let mut copies = copies.collect::<Result<Vec<_>>>()?;
        let taken: Vec<_> = copies.iter_mut().map(|copy| copy.as_mut().map(Copy::taken)).collect();
        py.detach(|| {
            let mut engine = self.lock();
            for ((name, _), taken) in self.tables.iter().zip(taken) {
                if let (Some(taken), Some(optimizer)) = (taken, engine.optimizer_mut(name)?) {
                    taken.take(optimizer)?;
                }
            }
            Ok::<_, Failure>(())
        })?;
        let (tables, optimizers) = (PyDict::new(py), PyDict::new(py));
        for ((name, raw), copy) in self.tables.iter().zip(copies) {
            tables.set_item(name, rows_in(owner.clone(), raw)?.call_method0("copy")?)?;
            if let Some(copy) = copy {
                optimizers.set_item(name, copy.dict()?)?;
            }
        }
        let dict = PyDict::new(py);
        dict.set_item("tables", tables)?;
        dict.set_item("optimizers", optimizers)?;
        Ok(dict)
    }

    /// Goes on as the collection that [`dict`](Tables::dict) was taken from.
    pub(crate) fn load(&self, owner: &Bound<'_, PyAny>, dict: &Bound<'_, PyDict>) -> Result<()> {
        let py = owner.py();
        let part = |name: &str| {
            let part = dict.get_item(name)?.ok_or_else(|| Failure::Value(format!("the collection's state lacks {name:?}")))?;
            Ok::<_, Failure>(part.cast_into::<PyDict>().map_err(PyErr::from)?)
        };
        let (tables, optimizers) = (part("tables")?, part("optimizers")?);
        for name in tables.keys().iter().chain(optimizers.keys().iter()) {
            self.find(name.str()?.to_str()?)?;
        }
        // Everything is looked at before the first table changes.
        let (mut arrays, mut made) = (Vec::new(), Vec::new());
        for (name, raw) in &self.tables {
            let array =
                tables.get_item(name)?.ok_or_else(|| Failure::Value(format!("the collection's state lacks table {name:?}")))?;
            let array = array.cast_into::<PyUntypedArray>().map_err(PyErr::from)?;
            let bits = RawRows::is_bits(&array);
            let of = RawTable::of(&array, bits, "a table")?;
            if (of.dtype, of.rows, of.dim) != (raw.dtype, raw.rows, raw.dim) {
                let (rows, dim, kind) = (raw.rows, raw.dim, raw.dtype.name());
                return Err(Failure::Value(format!("table {name:?} must be of {rows} by {dim} values of {kind}")));
            }
            let own = rows_in(owner.clone(), raw)?;
            arrays.push((if bits { own.call_method1("view", ("uint16",))? } else { own.into_any() }, array));
            if let Some(state) = optimizers.get_item(name)? {
                let state = state.cast_into::<PyDict>().map_err(PyErr::from)?;
                made.push((name, State::of_dict(&state, Some([raw.rows, raw.dim]))?.into_optimizer()));
            }
        }
        for (own, array) in arrays {
            own.set_item(pyo3::types::PyEllipsis::get(py), array)?;
        }
        py.detach(|| {
            let mut engine = self.lock();
            made.into_iter().try_for_each(|(name, optimizer)| Ok(engine.set_optimizer(name, optimizer)?))
        })
    }

    /// Trains tables by an optimizer each: all of them, or the one named.
    pub(crate) fn set_optimizer(
        &self,
        only: Option<&str>,
        rule: &str,
        given: Option<&Bound<'_, PyDict>>,
        py: Python<'_>,
    ) -> Result<()> {
        let given = given.cloned().unwrap_or_else(|| PyDict::new(py));
        let recipe = Recipe::of(rule, &Named::of(&given)?)?;
        let only = only.map(|name| self.find(name)).transpose()?;
        let chosen = || (0..self.tables.len()).filter(|&at| only.is_none_or(|only| only == at));
        let shape = |at: usize| [self.tables[at].1.rows, self.tables[at].1.dim];
        let bytes = chosen().map(|at| shape(at).iter().fold(8, |bytes: usize, &n| bytes.saturating_mul(n))).max();
        // All are made before the first is given to its table.
        let made = pool::allocate(py, bytes.unwrap_or(0), |_| {
            chosen().map(|at| Ok((at, recipe.for_table(at).make(shape(at))?))).collect::<Result<Vec<_>>>()
        })?;
        py.detach(|| {
            let mut engine = self.lock();
            made.into_iter().try_for_each(|(at, optimizer)| Ok(engine.set_optimizer(&self.tables[at].0, optimizer)?))
        })
    }

    /// A table's optimizer but for its states.
    pub(crate) fn optimizer_record(&self, py: Python<'_>, name: &str) -> Result<Option<String>> {
        self.with(py, |engine| Ok(engine.optimizer_mut(name)?.map(|optimizer| optimizer.record().to_string())))
    }

    /// Lets a table's optimizer go on as that of a record.
    pub(crate) fn set_optimizer_record(&self, py: Python<'_>, name: &str, record: &str) -> Result<()> {
        let record: OptimizerRecord = record.parse()?;
        self.with(py, |engine| Ok(trained(engine, name)?.set_record(&record)?))
    }

    /// How many values a row has in each state of a table's optimizer.
    pub(crate) fn state_dims<'py>(&self, py: Python<'py>, name: &str) -> Result<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (state, [_, dim]) in
            self.with(py, |engine| Ok::<_, Failure>(engine.optimizer_mut(name)?.map(|found| shapes(found))))?.unwrap_or_default()
        {
            dict.set_item(state, dim)?;
        }
        Ok(dict)
    }

    /// Some rows of a state, copied.
    pub(crate) fn state_rows<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        state: &str,
        (from, to): (usize, usize),
    ) -> Result<Bound<'py, PyUntypedArray>> {
        let [all, dim] = self.with(py, |engine| {
            let view = trained(engine, name)?.state_mut(state)?;
            Ok::<_, Failure>([view.rows(), view.dim()])
        })?;
        if from > to || to > all {
            return Err(Failure::Value(format!(
                "the state {state:?} of table {name:?} has {all} rows, and not rows {from} to {to}"
            )));
        }
        let array = new_array(py, numpy::dtype::<f32>(py), &[to - from, dim])?;
        let mut rows = RawRows::of(&array, Kind::F32, &[to - from, dim])?;
        let RawRows::F32(out) = &mut rows else { return Ok(array) };
        py.detach(|| {
            let mut engine = self.lock();
            let view = trained(&mut *engine, name)?.state_mut(state)?;
            let view = view.view();
            if [view.rows(), view.dim()] != [all, dim] {
                return Err(Failure::Value("the optimizer was replaced by another while it was copied".into()));
            }
            for (row, into) in (from..to).zip(out.get_mut().chunks_exact_mut(dim.max(1))) {
                if let Some(values) = view.row(row) {
                    into.copy_from_slice(values);
                }
            }
            Ok(())
        })?;
        Ok(array)
    }

    /// Reads a state from a checkpoint.
    pub(crate) fn read_state(
        &self,
        (name, state): (&str, &str),
        reader: &Bound<'_, CheckpointReader>,
        source: &str,
        [rows, columns]: [(usize, usize); 2],
    ) -> Result<()> {
        let open = &reader.get().reader;
        pool::allocate_locked(reader.py(), usize::MAX, true, |place| {
            let mut engine = self.lock();
            let engine = &mut *engine;
            place.run(|_| {
                let out = trained(engine, name)?.state_mut(state)?;
                Ok(open.read_state(source, state, rows.0..rows.1, columns.0..columns.1, out)?)
            })
        })
    }

    /// Asks the engine something, or changes a number of it.
    pub(crate) fn with<T: Send>(&self, py: Python<'_>, ask: impl FnOnce(&mut C) -> T + Send) -> T {
        if self.is_free() { ask(&mut self.lock()) } else { py.detach(|| ask(&mut self.lock())) }
    }

    /// The learning rate of each table that has an optimizer.
    pub(crate) fn lrs<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let lrs = self.with(py, |engine| {
            let lr = |name: &str| Ok(engine.optimizer_mut(name)?.map(|optimizer| optimizer.lr()));
            self.names().into_iter().map(lr).collect::<Result<Vec<_>>>()
        })?;
        let dict = PyDict::new(py);
        for (name, lr) in self.names().into_iter().zip(lrs) {
            if let Some(lr) = lr {
                dict.set_item(name, lr)?;
            }
        }
        Ok(dict)
    }

    /// Sets the learning rate of one table, or of all.
    pub(crate) fn set_lr(&self, py: Python<'_>, lr: f64, only: Option<&str>) -> Result<()> {
        self.with(py, |engine| match only {
            None => Ok(engine.set_lr(lr as f32)?),
            Some(name) => match engine.optimizer_mut(name)? {
                Some(optimizer) => Ok(optimizer.set_lr(lr as f32)?),
                None => Err(Failure::Value(format!("table {name:?} has no optimizer"))),
            },
        })
    }
}

/// The optimizer of a table that has one.
fn trained<'e, C: Many>(engine: &'e mut C, name: &str) -> Result<&'e mut Optimizer> {
    engine.optimizer_mut(name)?.ok_or_else(|| Failure::Value(format!("table {name:?} has no optimizer")))
}
