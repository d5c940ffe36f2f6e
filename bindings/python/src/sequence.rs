//! Many tables whose rows are looked up one for each id in one call.

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySlice};

use crate::arrays::{Kind, RawRows};
use crate::bags::floats;
use crate::error::{Failure, Result};
use crate::jagged::{JaggedArrays, JaggedOptions};
use crate::memory::{array_of_buffer, new_array};
use crate::pool;
use crate::table_config::TableConfig;
use crate::table_methods::table_methods;
use crate::tables::{Last, Tables};

/// Many tables whose rows are looked up, and trained, in one call each: TorchRec's `EmbeddingCollection`.
#[pyclass(frozen, weakref, module = "hotrow")]
pub(crate) struct EmbeddingCollection {
    tables: Tables<hotrow::EmbeddingCollection>,
    /// The outputs, and the values in a row of each.
    outputs: Vec<(String, usize)>,
}

#[pymethods]
impl EmbeddingCollection {
    #[new]
    #[pyo3(signature = (configs, *, seed=0))]
    fn new(py: Python<'_>, configs: &Bound<'_, PyAny>, seed: u64) -> Result<EmbeddingCollection> {
        let mut features = Vec::new();
        let tables = Tables::new(py, configs, seed, |configs| {
            for config in configs {
                features.extend(config.features().iter().map(|key| (key.clone(), config.shape()[1])));
            }
            hotrow::EmbeddingCollection::new(configs.iter().map(TableConfig::unpooled).collect(), seed)
        })?;
        let outputs = {
            let keys: Vec<&String> = features.iter().map(|(key, _)| key).collect();
            // The output of no examples says what it is named.
            let none = tables.lock().forward(&hotrow::KeyedJagged::from_lengths(&keys, &[0i64; 0], &[0i64; 0]))?;
            none.keys().map(str::to_owned).zip(features.iter().map(|(_, dim)| *dim)).collect()
        };
        Ok(EmbeddingCollection { tables, outputs })
    }

    /// Looks up every id of every feature: float32 `[ids, dim]` by feature, or `feature@table` where several tables look one up.
    #[pyo3(signature = (keys, values, *, lengths=None, offsets=None, policy="strict"))]
    fn forward<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<String>,
        values: &Bound<'py, PyAny>,
        lengths: Option<Bound<'py, PyAny>>,
        offsets: Option<Bound<'py, PyAny>>,
        policy: &str,
    ) -> Result<Bound<'py, PyDict>> {
        let input = JaggedArrays::of(keys, values, JaggedOptions { lengths, offsets, weights: None, policy })?;
        let bytes = self.tables.bytes(&input, 0);
        let raw = input.raw();
        let (values, rows) = pool::allocate_locked(py, bytes, self.tables.is_free(), |place| {
            let mut engine = self.tables.lock();
            let engine = &mut *engine;
            let found = place.run(|_| Ok(engine.forward(&raw.input()?)?))?;
            let count = |(key, dim): &(String, usize)| found.rows(key).map_or(0, <[f32]>::len) / dim;
            let rows: Vec<usize> = self.outputs.iter().map(count).collect();
            self.tables.set_last(Last { bytes, rows: rows.clone() });
            Ok((found.into_values(), rows))
        })?;
        let flat = array_of_buffer(py, values)?;
        let (dict, mut start) = (PyDict::new(py), 0);
        for ((key, dim), rows) in self.outputs.iter().zip(rows) {
            let end = start + rows * dim;
            let part = flat.get_item(PySlice::new(py, start as isize, end as isize, 1))?;
            dict.set_item(key, part.call_method1("reshape", (rows, dim))?)?;
            start = end;
        }
        Ok(dict)
    }

    /// Steps every table by the gradients of the last forward's output, under the same names and of the same shapes. Those of a table whose optimizer was given
    /// `columns` have all columns of the whole table.
    fn backward(&self, grads: &Bound<'_, PyAny>) -> Result<()> {
        let py = grads.py();
        let last = self.tables.last();
        if last.rows.len() != self.outputs.len() {
            return Err(Failure::Value("there was no forward whose ids a backward could use".into()));
        }
        let mut parts = Vec::new();
        let dims = self.tables.with(py, |engine| engine.gradient_dims());
        for (((key, _), dim), &rows) in self.outputs.iter().zip(dims).zip(&last.rows) {
            let (array, values) = floats(&grads.get_item(key)?, key, &[rows, dim])?;
            parts.push((array, values));
        }
        let total = parts.iter().map(|(_, values)| values.len()).sum();
        let flat = new_array(py, numpy::dtype::<f32>(py), &[total])?;
        let mut flat_rows = RawRows::of(&flat, Kind::F32, flat.shape())?;
        let parts: Vec<_> = parts.iter().map(|(_, values)| *values).collect();
        pool::allocate_locked(py, last.bytes, self.tables.is_free(), |place| {
            let RawRows::F32(flat) = &mut flat_rows else { return Ok(()) };
            let flat = flat.get_mut();
            let mut start = 0;
            for part in &parts {
                flat[start..start + part.len()].copy_from_slice(part.get());
                start += part.len();
            }
            let mut engine = self.tables.lock();
            let engine = &mut *engine;
            place.run(|_| Ok(engine.backward(flat)?))
        })
    }

    /// The names of the outputs.
    #[getter]
    fn outputs(&self) -> Vec<&str> {
        self.outputs.iter().map(|(name, _)| name.as_str()).collect()
    }
}

table_methods!(EmbeddingCollection);
