//! Sparse gradients.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use numpy::PyUntypedArray;
use pyo3::prelude::*;

use crate::arrays::{Kind, RawIds, RawRows, RawSlice, RawTable};
use crate::bags::floats;
use crate::error::{Failure, Result};
use crate::gradient::{GradientArrays, LookupOptions};
use crate::ids::IdArray;
use crate::memory::{new_array, numbers_in, rows_in};
use crate::pool;

/// The gradient of a table that only some rows have: which, ascending, and the sum of the gradients of each.
#[pyclass(frozen, weakref, module = "hotrow")]
pub(crate) struct SparseGrad {
    /// Its rows and values are changed in place alone.
    gradient: RwLock<hotrow::SparseGrad>,
    rows: RawSlice<u32>,
    values: RawTable,
    shape: (usize, usize),
}

impl SparseGrad {
    fn from_engine(gradient: hotrow::SparseGrad) -> SparseGrad {
        let (rows, values) = (gradient.rows(), gradient.values());
        SparseGrad {
            rows: RawSlice::of_numbers(rows),
            values: RawTable::of_values(values, rows.len(), gradient.dim()),
            shape: (gradient.table_rows(), gradient.dim()),
            gradient: RwLock::new(gradient),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, hotrow::SparseGrad> {
        self.gradient.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, hotrow::SparseGrad> {
        self.gradient.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its memory.
    pub(crate) fn raw(&self) -> &RawTable {
        &self.values
    }

    /// Whether it could be read at once.
    pub(crate) fn is_free(&self) -> bool {
        !matches!(self.gradient.try_read(), Err(TryLockError::WouldBlock))
    }
}

#[pymethods]
impl SparseGrad {
    /// A sparse gradient from its parts, which are copied: rows ascending, values `[len(rows), dim]`, and the table's shape.
    #[new]
    fn new(rows: &Bound<'_, PyAny>, values: &Bound<'_, PyAny>, shape: (usize, usize)) -> Result<SparseGrad> {
        let rows = IdArray::of(rows, "rows")?;
        let rows = match rows.raw() {
            RawIds::U32(_) => rows,
            _ => IdArray::of(&exact_rows(&rows)?, "rows")?,
        };
        let RawIds::U32(numbers) = rows.raw() else { return Err(Failure::Type("rows must be integers".into())) };
        let (_array, values) = floats(values, "values", &[numbers.len(), shape.1])?;
        Ok(SparseGrad::from_engine(hotrow::SparseGrad::from_parts(numbers.get().to_vec(), values.get(), shape.0, shape.1)?))
    }

    /// Which rows have a gradient, ascending: uint32, not a copy, read-only.
    #[getter]
    fn rows<'py>(slf: &Bound<'py, SparseGrad>) -> Result<Bound<'py, PyUntypedArray>> {
        numbers_in(slf.clone().into_any(), &slf.get().rows)
    }

    /// Their gradients: float32 `[len(rows), dim]`, not a copy, read-only.
    #[getter]
    fn values<'py>(slf: &Bound<'py, SparseGrad>) -> Result<Bound<'py, PyUntypedArray>> {
        rows_in(slf.clone().into_any(), &slf.get().values)
    }

    /// The table's shape.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// The same as an array of the table's shape, with zeros where there is no gradient.
    fn to_dense<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyUntypedArray>> {
        let shape = [self.shape.0, self.shape.1];
        let array = new_array(py, numpy::dtype::<f32>(py), &shape)?;
        let RawRows::F32(mut out) = RawRows::of(&array, Kind::F32, &shape)? else { return Ok(array) };
        let out = out.get_mut();
        py.detach(|| {
            let gradient = self.read();
            out.fill(0.0);
            let dim = gradient.dim();
            for (k, &row) in gradient.rows().iter().enumerate() {
                let at = row as usize * dim;
                out[at..at + dim].copy_from_slice(gradient.row(k).unwrap_or(&[]));
            }
        });
        Ok(array)
    }

    /// The L2 norm of all values.
    fn norm(&self, py: Python<'_>) -> f32 {
        py.detach(|| self.read().norm())
    }

    /// Scales all values down so that their norm is at most `max_norm`. Returns the norm that they had.
    fn clip_by_norm(&self, py: Python<'_>, max_norm: f32) -> Result<f32> {
        not_negative("max_norm", max_norm)?;
        Ok(py.detach(|| self.write().clip_by_norm(max_norm)))
    }

    /// Brings every value into `-limit..=limit`.
    fn clip_by_value(&self, py: Python<'_>, limit: f32) -> Result<()> {
        not_negative("limit", limit)?;
        py.detach(|| self.write().clip_by_value(limit));
        Ok(())
    }

    fn __len__(&self) -> usize {
        self.rows.len()
    }

    fn __copy__(&self, py: Python<'_>) -> Result<SparseGrad> {
        let bytes = 2 * self.values.bytes();
        let copy = pool::run_locked(py, bytes, self.is_free(), |place| {
            let gradient = self.read();
            place.run(|_| Ok(gradient.try_clone()?))
        })?;
        Ok(SparseGrad::from_engine(copy))
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> Result<SparseGrad> {
        self.__copy__(py)
    }

    fn __reduce__<'py>(slf: &Bound<'py, SparseGrad>) -> Result<Reduced<'py>> {
        let parts = (SparseGrad::rows(slf)?, SparseGrad::values(slf)?, slf.get().shape);
        Ok((slf.get_type().into_any(), parts))
    }

    fn __repr__(&self) -> String {
        let (rows, dim) = self.shape;
        format!("hotrow.SparseGrad({} of {rows} rows, dim={dim})", self.rows.len())
    }
}

type Parts<'py> = (Bound<'py, PyUntypedArray>, Bound<'py, PyUntypedArray>, (usize, usize));
type Reduced<'py> = (Bound<'py, PyAny>, Parts<'py>);

fn not_negative(what: &str, value: f32) -> Result<()> {
    if value >= 0.0 { Ok(()) } else { Err(Failure::Value(format!("{what} must not be negative, and is {value}"))) }
}

/// Row numbers as uint32, none of them changed on the way.
fn exact_rows<'py>(rows: &IdArray<'py>) -> Result<Bound<'py, PyAny>> {
    let narrow = rows.cast("uint32")?;
    let same = narrow.call_method1("__eq__", (rows.cast("float64")?,))?.call_method0("all")?;
    if same.is_truthy()? { Ok(narrow) } else { Err(Failure::Value("rows must be whole numbers from 0 to 4294967295".into())) }
}

/// The gradient of a lookup in a table of `rows` rows: of a gather, or of bags where offsets, lengths or a mode are given.
#[pyfunction]
#[pyo3(signature = (ids, grad, rows, *, offsets=None, lengths=None, mode=None, per_sample_weights=None, include_last_offset=false, padding_idx=None,
    scale_grad_by_freq=false, argmax=None, policy="strict", dtype=None))]
#[expect(clippy::too_many_arguments, reason = "they have names in Python")]
pub(crate) fn sparse_grad<'py>(
    py: Python<'py>,
    ids: &Bound<'py, PyAny>,
    grad: &Bound<'py, PyAny>,
    rows: usize,
    offsets: Option<Bound<'py, PyAny>>,
    lengths: Option<Bound<'py, PyAny>>,
    mode: Option<&str>,
    per_sample_weights: Option<Bound<'py, PyAny>>,
    include_last_offset: bool,
    padding_idx: Option<i64>,
    scale_grad_by_freq: bool,
    argmax: Option<Bound<'py, PyAny>>,
    policy: &str,
    dtype: Option<&str>,
) -> Result<SparseGrad> {
    let options = LookupOptions {
        offsets,
        lengths,
        mode,
        per_sample_weights,
        include_last_offset,
        padding_idx,
        scale_grad_by_freq,
        argmax,
        policy,
        dtype,
    };
    let arrays = GradientArrays::of(ids, grad, options)?;
    let (raw, dim) = (arrays.raw()?, arrays.dim());
    let bytes = arrays.ids().saturating_mul(2 * dim * size_of::<f32>());
    let gradient = pool::allocate(py, bytes, |workspace| Ok(workspace.sparse_grad(raw.gradient()?, rows, dim)?))?;
    Ok(SparseGrad::from_engine(gradient))
}
