//! Tables.

use std::path::PathBuf;
use std::sync::RwLock;

use hotrow::AnyTable;
use numpy::{PyArrayDescr, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Kind, RawRows, RawTable};
use crate::bag::{pooled, pooled_max};
use crate::bags::BagOptions;
use crate::error::{Failure, Result};
use crate::files::save_one;
use crate::gather::gather_from;
use crate::memory::array_of_table;
use crate::options;
use crate::pool::{self, Access};
use crate::scatter::scatter_into;
use crate::similar::{Found, similar_in};

/// A table of rows, `[rows, dim]`, in float32, float16 or bfloat16. Its memory is that of the NumPy array `array`.
#[pyclass(frozen, weakref, module = "hotrow")]
pub(crate) struct Table {
    array: Py<PyUntypedArray>,
    raw: RawTable,
    /// Held while the engine reads or writes the rows. Whoever writes through `array` is not stopped by it.
    lock: RwLock<()>,
}

impl Table {
    pub(crate) fn of(array: Bound<'_, PyUntypedArray>, bits: bool) -> Result<Table> {
        let raw = RawTable::of(&array, bits, "the table")?;
        Ok(Table { array: array.unbind(), raw, lock: RwLock::new(()) })
    }

    /// A table of the engine's, with the type for its numbers that an array has, or else NumPy's own.
    fn adopt<'py>(py: Python<'py>, table: AnyTable, dtype: Option<Bound<'py, PyArrayDescr>>) -> Result<Table> {
        let kind = Kind::try_from(table.dtype())?;
        let dtype = dtype.map_or_else(|| kind.descr(py), Ok)?;
        Table::of(array_of_table(py, table, dtype)?, kind == Kind::BF16)
    }

    /// The same rows in memory of the engine's.
    fn copied(&self, py: Python<'_>) -> Result<Table> {
        let raw = self.raw;
        let copy = pool::allocate_under(py, raw.bytes(), Access::Read(&self.lock), |_| Ok(AnyTable::copy_of(raw.view()?)?))?;
        Table::adopt(py, copy, Some(self.array.bind(py).dtype()))
    }

    /// Whether it is bfloat16 as its bits.
    fn is_bits(&self, py: Python<'_>) -> bool {
        RawRows::is_bits(self.array.bind(py))
    }
}

#[pymethods]
impl Table {
    #[new]
    #[pyo3(signature = (array, *, dtype=None, copy=false))]
    fn new(array: Bound<'_, PyUntypedArray>, dtype: Option<&str>, copy: bool) -> Result<Table> {
        let py = array.py();
        let kind = dtype.map(options::kind).transpose()?;
        let bits = kind == Some(Kind::BF16);
        let table = match Table::of(array.clone(), bits) {
            // What is copied anyhow may lie as it likes.
            Err(Failure::Value(_)) if copy && array.ndim() == 2 => {
                let order = PyDict::new(py);
                order.set_item(intern!(py, "order"), "C")?;
                let packed = array.call_method(intern!(py, "copy"), (), Some(&order))?;
                Table::of(packed.cast_into().map_err(PyErr::from)?, bits)?
            }
            table => table?,
        };
        match kind {
            Some(kind) if kind != table.raw.dtype => {
                Err(Failure::Type(format!("the array is of {}, not of {}", table.raw.dtype.name(), kind.name())))
            }
            _ if copy => table.copied(py),
            _ => Ok(table),
        }
    }

    /// A table of zeros.
    #[staticmethod]
    #[pyo3(signature = (rows, dim, dtype="float32"))]
    fn zeros(py: Python<'_>, rows: usize, dim: usize, dtype: &str) -> Result<Table> {
        Table::init(py, rows, dim, "zeros", 0, dtype)
    }

    /// A table filled by one of Keras's initializers. Its values depend on the seed and the shape alone.
    #[staticmethod]
    #[pyo3(signature = (rows, dim, initializer="uniform", *, seed=0, dtype="float32"))]
    fn init(py: Python<'_>, rows: usize, dim: usize, initializer: &str, seed: u64, dtype: &str) -> Result<Table> {
        let (kind, initializer) = (options::kind(dtype)?, options::initializer(initializer)?);
        let bytes = rows.saturating_mul(dim).saturating_mul(kind.size());
        let table =
            pool::allocate_under(py, bytes, Access::Free, |_| Ok(AnyTable::init(kind.dtype(), rows, dim, initializer, seed)?))?;
        Table::adopt(py, table, None)
    }

    /// The rows as a NumPy array, without a copy.
    #[getter]
    fn array<'py>(&self, py: Python<'py>) -> Bound<'py, PyUntypedArray> {
        self.array.bind(py).clone()
    }

    #[getter]
    fn shape(&self) -> (usize, usize) {
        (self.raw.rows, self.raw.dim)
    }

    #[getter]
    fn rows(&self) -> usize {
        self.raw.rows
    }

    #[getter]
    fn dim(&self) -> usize {
        self.raw.dim
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        self.raw.dtype.name()
    }

    /// The bytes of all rows, without what lies between them.
    #[getter]
    fn nbytes(&self) -> usize {
        self.raw.bytes_of(self.raw.rows)
    }

    /// Whether the rows can be changed.
    #[getter]
    fn writable(&self) -> bool {
        self.raw.writable
    }

    /// The rows that the ids name: an array of the ids' shape and `dim` after it.
    #[pyo3(signature = (ids, *, out=None, dtype=None, policy="strict"))]
    fn gather<'py>(
        slf: Bound<'py, Table>,
        ids: &Bound<'py, PyAny>,
        out: Option<Bound<'py, PyUntypedArray>>,
        dtype: Option<&str>,
        policy: &str,
    ) -> Result<Bound<'py, PyUntypedArray>> {
        gather_from(&TableArg::Table(slf), ids, out, dtype, policy)
    }

    /// Each bag's rows pooled into one: `[bags, dim]`, in float32 or in the table's own type.
    #[pyo3(signature = (
        ids, offsets=None, *, lengths=None, mode="sum", per_sample_weights=None, include_last_offset=false, padding_idx=None,
        default_row=None, out=None, dtype=None, policy="strict"
    ))]
    #[expect(clippy::too_many_arguments, reason = "Python's keywords")]
    fn embedding_bag<'py>(
        slf: Bound<'py, Table>,
        ids: &Bound<'py, PyAny>,
        offsets: Option<Bound<'py, PyAny>>,
        lengths: Option<Bound<'py, PyAny>>,
        mode: &str,
        per_sample_weights: Option<Bound<'py, PyAny>>,
        include_last_offset: bool,
        padding_idx: Option<i64>,
        default_row: Option<i64>,
        out: Option<Bound<'py, PyUntypedArray>>,
        dtype: Option<&str>,
        policy: &str,
    ) -> Result<Bound<'py, PyUntypedArray>> {
        let policy = options::policy(Some(policy))?;
        let options = BagOptions { offsets, lengths, per_sample_weights, include_last_offset, padding_idx, default_row, policy };
        pooled(&TableArg::Table(slf), ids, options, mode, (out, dtype))
    }

    /// Each bag's largest values, and the rows that they came from: float32 and uint32, `[bags, dim]`.
    #[pyo3(signature = (
        ids, offsets=None, *, lengths=None, include_last_offset=false, padding_idx=None, default_row=None, policy="strict"
    ))]
    #[expect(clippy::too_many_arguments, reason = "Python's keywords")]
    fn embedding_bag_max<'py>(
        slf: Bound<'py, Table>,
        ids: &Bound<'py, PyAny>,
        offsets: Option<Bound<'py, PyAny>>,
        lengths: Option<Bound<'py, PyAny>>,
        include_last_offset: bool,
        padding_idx: Option<i64>,
        default_row: Option<i64>,
        policy: &str,
    ) -> Result<(Bound<'py, PyUntypedArray>, Bound<'py, PyUntypedArray>)> {
        let policy = options::policy(Some(policy))?;
        let options =
            BagOptions { offsets, lengths, per_sample_weights: None, include_last_offset, padding_idx, default_row, policy };
        pooled_max(&TableArg::Table(slf), ids, options)
    }

    /// Adds `alpha` times each row of `source` to the row that its id names, in the order of the ids.
    #[pyo3(signature = (ids, source, *, alpha=1.0, policy="strict"))]
    fn scatter_add<'py>(
        slf: Bound<'py, Table>,
        ids: &Bound<'py, PyAny>,
        source: &Bound<'py, PyAny>,
        alpha: f32,
        policy: &str,
    ) -> Result<()> {
        scatter_into(&TableArg::Table(slf), ids, source, alpha, policy)
    }

    /// The `k` rows nearest to each query, and their scores, best first.
    #[pyo3(signature = (queries, k=10, *, metric="cosine", exclude=None))]
    fn similar<'py>(
        slf: Bound<'py, Table>,
        queries: &Bound<'py, PyAny>,
        k: usize,
        metric: &str,
        exclude: Option<&Bound<'py, PyAny>>,
    ) -> Result<Found<'py>> {
        similar_in(&TableArg::Table(slf), queries, k, metric, exclude)
    }

    /// Writes the table into a file of the format safetensors, which appears whole or not at all.
    fn save(slf: Bound<'_, Table>, path: PathBuf) -> Result<()> {
        save_one(slf.py(), path, TableArg::Table(slf))
    }

    fn __len__(&self) -> usize {
        self.raw.rows
    }

    fn __repr__(&self) -> String {
        format!("Table(shape=({}, {}), dtype='{}')", self.raw.rows, self.raw.dim, self.raw.dtype.name())
    }

    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(&self, py: Python<'py>, dtype: Option<Bound<'py, PyAny>>, copy: Option<bool>) -> PyResult<Bound<'py, PyAny>> {
        let how = PyDict::new(py);
        how.set_item(intern!(py, "dtype"), dtype)?;
        how.set_item(intern!(py, "copy"), copy)?;
        py.import(intern!(py, "numpy"))?.call_method(intern!(py, "array"), (&self.array,), Some(&how))
    }

    #[pyo3(signature = (**how))]
    fn __dlpack__<'py>(&self, py: Python<'py>, how: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        self.array.bind(py).call_method(intern!(py, "__dlpack__"), (), how)
    }

    fn __dlpack_device__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.array.bind(py).call_method0(intern!(py, "__dlpack_device__"))
    }

    /// A table of the same memory.
    fn __copy__(&self, py: Python<'_>) -> Result<Table> {
        Table::of(self.array(py), self.is_bits(py))
    }

    /// A table of memory of its own.
    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> Result<Table> {
        self.copied(py)
    }

    /// It is made again from its array. That bits are bfloat16 is said by an argument that goes by name.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyUntypedArray>,))> {
        let class = py.get_type::<Table>().into_any();
        let make = if self.is_bits(py) {
            let how = PyDict::new(py);
            how.set_item(intern!(py, "dtype"), Kind::BF16.name())?;
            py.import(intern!(py, "functools"))?.call_method(intern!(py, "partial"), (class,), Some(&how))?
        } else {
            class
        };
        Ok((make, (self.array(py),)))
    }
}

/// A table, or an array that is used as one.
pub(crate) enum TableArg<'py> {
    Table(Bound<'py, Table>),
    Array(Bound<'py, PyUntypedArray>, RawTable),
}

impl<'py> TableArg<'py> {
    pub(crate) fn of(table: &Bound<'py, PyAny>) -> Result<TableArg<'py>> {
        if let Ok(table) = table.cast::<Table>() {
            return Ok(TableArg::Table(table.clone()));
        }
        match table.cast::<PyUntypedArray>() {
            Ok(array) => Ok(TableArg::Array(array.clone(), RawTable::of(array, false, "the table")?)),
            Err(_) => Err(Failure::Type(format!("a Table or a NumPy array is needed, not {}", table.get_type()))),
        }
    }

    pub(crate) fn raw(&self) -> RawTable {
        match self {
            TableArg::Table(table) => table.get().raw,
            TableArg::Array(_, raw) => *raw,
        }
    }

    /// The array behind it.
    pub(crate) fn array(&self) -> Bound<'py, PyUntypedArray> {
        match self {
            TableArg::Table(table) => table.get().array.bind(table.py()).clone(),
            TableArg::Array(array, _) => array.clone(),
        }
    }

    /// The type of rows that come as this element: the array's own, or float32.
    pub(crate) fn dtype_of(&self, element: Kind) -> Bound<'py, PyArrayDescr> {
        let array = self.array();
        if element == self.raw().dtype { array.dtype() } else { numpy::dtype::<f32>(array.py()) }
    }

    /// What is held while the rows are read or written; arrays have nothing of the kind.
    pub(crate) fn lock(&self) -> Option<&RwLock<()>> {
        match self {
            TableArg::Table(table) => Some(&table.get().lock),
            TableArg::Array(..) => None,
        }
    }

    pub(crate) fn read(&self) -> Access<'_> {
        self.lock().map_or(Access::Free, Access::Read)
    }

    pub(crate) fn write(&self) -> Access<'_> {
        self.lock().map_or(Access::Free, Access::Write)
    }
}
