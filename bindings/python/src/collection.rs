//! Many tables whose bags are pooled in one call.

use hotrow::{KeyedJagged, TableViewMut};
use numpy::PyUntypedArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Kind, RawRows};
use crate::bags::floats;
use crate::error::{Failure, Result};
use crate::jagged::{JaggedArrays, JaggedOptions};
use crate::memory::new_array;
use crate::pool;
use crate::table_config::TableConfig;
use crate::table_methods::table_methods;
use crate::tables::{Last, Tables};

/// Many tables that are looked up and trained in one call each: TorchRec's `EmbeddingBagCollection`, with the optimizers fused into the backward.
#[pyclass(frozen, weakref, module = "hotrow")]
pub(crate) struct EmbeddingBagCollection {
    tables: Tables<hotrow::EmbeddingBagCollection>,
    /// The outputs, and their columns.
    columns: Vec<(String, std::ops::Range<usize>)>,
    width: usize,
}

#[pymethods]
impl EmbeddingBagCollection {
    #[new]
    #[pyo3(signature = (configs, *, seed=0))]
    fn new(py: Python<'_>, configs: &Bound<'_, PyAny>, seed: u64) -> Result<EmbeddingBagCollection> {
        let tables = Tables::new(py, configs, seed, |configs| {
            hotrow::EmbeddingBagCollection::new(configs.iter().map(TableConfig::pooled).collect(), seed)
        })?;
        let (columns, width) = {
            let mut engine = tables.lock();
            let keys: Vec<String> = engine.configs().iter().flat_map(|config| config.feature_names.clone()).collect();
            // The output of no examples says what it is named and where its columns are.
            let none = engine.forward(&KeyedJagged::from_lengths(&keys, &[0i64; 0], &[0i64; 0]))?;
            let columns = none.keys().iter().map(|key| (key.clone(), none.columns(key).unwrap_or(0..0))).collect();
            (columns, engine.output_dim())
        };
        Ok(EmbeddingBagCollection { tables, columns, width })
    }

    /// Pools every feature: float32 `[batch, output_dim]`. The lists stand key by key, and each example has one list under each key.
    #[pyo3(signature = (keys, values, *, lengths=None, offsets=None, weights=None, policy="strict"))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn forward<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<String>,
        values: &Bound<'py, PyAny>,
        lengths: Option<Bound<'py, PyAny>>,
        offsets: Option<Bound<'py, PyAny>>,
        weights: Option<Bound<'py, PyAny>>,
        policy: &str,
    ) -> Result<Bound<'py, PyUntypedArray>> {
        let input = JaggedArrays::of(keys, values, JaggedOptions { lengths, offsets, weights, policy })?;
        let (examples, width) = (input.examples(), self.width);
        let array = new_array(py, numpy::dtype::<f32>(py), &[examples, width])?;
        let mut rows = RawRows::of(&array, Kind::F32, &[examples, width])?;
        let bytes = self.tables.bytes(&input, examples.saturating_mul(width));
        let raw = input.raw();
        pool::allocate_locked(py, bytes, self.tables.is_free(), |place| {
            let mut engine = self.tables.lock();
            let engine = &mut *engine;
            let RawRows::F32(out) = &mut rows else { return Ok(()) };
            place.run(|_| Ok(engine.forward_into(&raw.input()?, TableViewMut::new(out.get_mut(), examples, width, width)?)?))?;
            self.tables.set_last(Last { bytes, rows: vec![examples] });
            Ok(())
        })?;
        Ok(array)
    }

    /// Steps every table by the gradient `[batch, output_dim]` of the last forward's output. A table whose optimizer was given `columns` has all columns of the
    /// whole table in it.
    fn backward(&self, grad: &Bound<'_, PyAny>) -> Result<()> {
        let last = self.tables.last();
        let Some(&examples) = last.rows.first() else {
            return Err(Failure::Value("there was no forward whose ids a backward could use".into()));
        };
        let width = self.tables.with(grad.py(), |engine| engine.gradient_dims().into_iter().sum());
        let (_array, values) = floats(grad, "grad", &[examples, width])?;
        self.tables.apart(&values, "grad")?;
        pool::allocate_locked(grad.py(), last.bytes, self.tables.is_free(), |place| {
            let mut engine = self.tables.lock();
            let engine = &mut *engine;
            place.run(|_| Ok(engine.backward(values.get())?))
        })
    }

    /// The values of an example's output: the sum of the features' dims.
    #[getter]
    fn output_dim(&self) -> usize {
        self.width
    }

    /// The columns of each output, as slices: by feature, or `feature@table` where several tables look one up.
    #[getter]
    fn columns<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (key, columns) in &self.columns {
            dict.set_item(key, pyo3::types::PySlice::new(py, columns.start as isize, columns.end as isize, 1))?;
        }
        Ok(dict)
    }
}

table_methods!(EmbeddingBagCollection);
