//! Memory of results. Large ones lie on huge pages, and when Python forgets one its memory is kept for the next: fresh memory is cleared by the
//! system page by page, which takes longer than the lookup that fills it.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hotrow::store::OpenTable;
use hotrow::{AnyTable, AnyView, Buffer, Element, Error, Table};
use memmap2::MmapMut;
use numpy::npyffi::{self, NpyTypes, PY_ARRAY_API, npy_intp};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::arrays::{RawSlice, RawTable};
use crate::error::{Failure, Result};
use crate::pool;

const HUGE_PAGE: usize = 2 << 20;
/// Smaller results are NumPy's own, which has a cache for those.
const LARGE: usize = 1 << 20;

static CACHE: Mutex<Cache> = Mutex::new(Cache { free: Vec::new(), bytes: 0, limit: 256 << 20 });

/// Memory that Python has given back.
struct Cache {
    /// The oldest first.
    free: Vec<Region>,
    bytes: usize,
    limit: usize,
}

impl Cache {
    fn locked() -> MutexGuard<'static, Cache> {
        CACHE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The smallest that has room for so many bytes, unless most of it would be wasted.
    fn take(&mut self, bytes: usize) -> Option<Region> {
        let fits = |region: &Region| (bytes..=bytes + bytes / 4).contains(&region.bytes);
        let candidates = self.free.iter().enumerate().filter(|(_, region)| fits(region));
        let (at, _) = candidates.min_by_key(|(_, region)| region.bytes)?;
        let region = self.free.remove(at);
        self.bytes -= region.bytes;
        Some(region)
    }

    /// Keeps memory; returns what there is no room for, to be freed when the lock is not held.
    fn keep(&mut self, region: Region) -> Vec<Region> {
        self.bytes += region.bytes;
        self.free.push(region);
        self.shrink()
    }

    fn shrink(&mut self) -> Vec<Region> {
        let mut over = self.bytes;
        let count = self.free.iter().take_while(|region| {
            let more = over > self.limit;
            if more {
                over -= region.bytes;
            }
            more
        });
        let count = count.count();
        self.bytes = over;
        self.free.drain(..count).collect()
    }
}

/// Memory that was asked of the system, aligned to a huge page and advised onto such.
///
/// It does not come from the allocator, which keeps what is given back in pieces that later results of other sizes do not fit: a process that
/// looks up a little more or less in every call would grow to several times what it uses.
struct Region {
    map: MmapMut,
    /// Where in the mapping it begins.
    from: usize,
    bytes: usize,
}

impl Region {
    /// So many zeros. The system clears each page when it is first touched, by whichever thread does that.
    fn new(bytes: usize) -> Result<Region> {
        let failed = || Error::OutOfMemory { bytes };
        let room = bytes.checked_add(HUGE_PAGE).ok_or_else(failed)?;
        let map = MmapMut::map_anon(room).map_err(|_| failed())?;
        // Advice that is not taken costs time, nothing else.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let from = map.as_ptr().align_offset(HUGE_PAGE).min(HUGE_PAGE);
        Ok(Region { map, from, bytes })
    }

    fn values(&mut self) -> &mut [u8] {
        &mut self.map[self.from..self.from + self.bytes]
    }
}

/// The base object of an array that lies in a region.
#[pyclass(frozen, module = "hotrow._native")]
struct Memory(Option<Region>);

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(region) = self.0.take() {
            let freed = Cache::locked().keep(region);
            drop(freed);
        }
    }
}

/// The base object of an array that lies in a table's memory, or in a file.
#[pyclass(frozen, module = "hotrow._native")]
struct Owner(#[expect(dead_code, reason = "it is kept, not used")] Box<dyn Send + Sync>);

/// How many bytes of freed results are kept at most.
#[pyfunction]
pub(crate) fn memory_cache() -> usize {
    Cache::locked().limit
}

/// Keeps at most so many bytes of freed results for those to come; 0 gives all memory back to the system at once.
#[pyfunction]
pub(crate) fn set_memory_cache(bytes: usize) {
    let freed = {
        let mut cache = Cache::locked();
        cache.limit = bytes;
        cache.shrink()
    };
    drop(freed);
}

/// A new array, C-contiguous and aligned. Its values are arbitrary: they must be written before anybody sees it.
pub(crate) fn new_array<'py>(
    py: Python<'py>,
    dtype: Bound<'py, PyArrayDescr>,
    shape: &[usize],
) -> Result<Bound<'py, PyUntypedArray>> {
    allocate(py, dtype, shape, false)
}

/// A new array of zeros, C-contiguous and aligned.
pub(crate) fn new_zeros<'py>(
    py: Python<'py>,
    dtype: Bound<'py, PyArrayDescr>,
    shape: &[usize],
) -> Result<Bound<'py, PyUntypedArray>> {
    allocate(py, dtype, shape, true)
}

fn allocate<'py>(
    py: Python<'py>,
    dtype: Bound<'py, PyArrayDescr>,
    shape: &[usize],
    clear: bool,
) -> Result<Bound<'py, PyUntypedArray>> {
    let item = dtype.itemsize();
    let bytes = shape.iter().try_fold(item, |bytes, &n| bytes.checked_mul(n)).filter(|&bytes| bytes <= isize::MAX as usize);
    let Some(bytes) = bytes else {
        return Err(Error::SizeOverflow { shape: shape.to_vec(), element_bytes: item }.into());
    };
    if bytes < LARGE {
        return if clear { small_zeros(py, dtype, shape) } else { array_of(py, dtype, shape, ptr::null_mut()) };
    }
    // Taken before the match, which would hold the lock to its end.
    let kept = Cache::locked().take(bytes);
    let mut region = match kept {
        Some(mut region) if clear => pool::allocate(py, bytes, |_| {
            region.values().par_chunks_mut(LARGE).for_each(|piece| piece.fill(0));
            Ok(region)
        })?,
        Some(region) => region,
        None => Region::new(bytes)?,
    };
    let start = region.values().as_mut_ptr();
    let memory = Bound::new(py, Memory(Some(region)))?;
    let array = array_of(py, dtype, shape, start.cast())?;
    keep_alive(array, memory.into_any())
}

/// What the engine allocated as an array of one dimension.
pub(crate) fn array_of_buffer(py: Python<'_>, mut buffer: Buffer<f32>) -> Result<Bound<'_, PyUntypedArray>> {
    let (dtype, n) = (numpy::dtype::<f32>(py), buffer.len());
    if n == 0 {
        return new_array(py, dtype, &[0]);
    }
    let one = Lent { start: buffer.as_mut_ptr().cast(), shape: [1, n], stride: n, writable: true };
    only_row(lend(py, dtype, one, Box::new(buffer))?)
}

/// The row of an array of one row.
fn only_row(array: Bound<'_, PyUntypedArray>) -> Result<Bound<'_, PyUntypedArray>> {
    Ok(array.get_item(0)?.cast_into::<PyUntypedArray>().map_err(PyErr::from)?)
}

/// Lets an array that was just made keep alive what its memory belongs to.
fn keep_alive<'py>(array: Bound<'py, PyUntypedArray>, owner: Bound<'py, PyAny>) -> Result<Bound<'py, PyUntypedArray>> {
    let py = array.py();
    // SAFETY: both are live objects, and the array was just made, so it has no base yet. The call takes over the reference to `owner`.
    let failed = unsafe { PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast(), owner.into_ptr()) };
    if failed < 0 { Err(PyErr::fetch(py).into()) } else { Ok(array) }
}

/// A table of the engine's as an array, without a copy. `dtype` is NumPy's name for its element.
pub(crate) fn array_of_table<'py>(
    py: Python<'py>,
    table: AnyTable,
    dtype: Bound<'py, PyArrayDescr>,
) -> Result<Bound<'py, PyUntypedArray>> {
    fn of<'py, E: Element>(
        py: Python<'py>,
        table: Table<E>,
        dtype: Bound<'py, PyArrayDescr>,
    ) -> Result<Bound<'py, PyUntypedArray>> {
        let (shape, stride) = (table.shape(), table.stride());
        let mut buffer = table.into_buffer();
        let rows = Lent { start: buffer.as_mut_ptr().cast(), shape, stride, writable: true };
        lend(py, dtype, rows, Box::new(buffer))
    }
    match table {
        AnyTable::F32(table) => of(py, table, dtype),
        AnyTable::F16(table) => of(py, table, dtype),
        AnyTable::BF16(table) => of(py, table, dtype),
        _ => Err(Failure::Type("the table is of an element that NumPy has no name for".into())),
    }
}

/// A table in a file as an array that cannot be written, without a copy.
pub(crate) fn array_of_file<'py>(
    py: Python<'py>,
    file: OpenTable,
    dtype: Bound<'py, PyArrayDescr>,
) -> Result<Bound<'py, PyUntypedArray>> {
    let shape = file.shape();
    let start = match file.table() {
        AnyView::F32(table) => table.as_slice().map(|values| values.as_ptr().cast::<c_void>()),
        AnyView::F16(table) => table.as_slice().map(|values| values.as_ptr().cast()),
        AnyView::BF16(table) => table.as_slice().map(|values| values.as_ptr().cast()),
        _ => None,
    };
    let Some(start) = start else { return Err(Failure::Type("the table in the file cannot be shown as an array".into())) };
    let rows = Lent { start: start.cast_mut(), shape, stride: shape[1], writable: false };
    lend(py, dtype, rows, Box::new(file))
}

/// Rows that an owner lends to an array.
struct Lent {
    start: *mut c_void,
    shape: [usize; 2],
    /// In values.
    stride: usize,
    writable: bool,
}

/// An array of the rows, which keeps the owner alive. The rows are the owner's, wherever that is moved to, and of the item size of `dtype`.
fn lend<'py>(
    py: Python<'py>,
    dtype: Bound<'py, PyArrayDescr>,
    rows: Lent,
    owner: Box<dyn Send + Sync>,
) -> Result<Bound<'py, PyUntypedArray>> {
    lend_from(Bound::new(py, Owner(owner))?.into_any(), dtype, &rows)
}

/// [`lend`] of what lies inside a Python object, which keeps it in its place as long as it lives.
fn lend_from<'py>(owner: Bound<'py, PyAny>, dtype: Bound<'py, PyArrayDescr>, rows: &Lent) -> Result<Bound<'py, PyUntypedArray>> {
    let py = owner.py();
    let item = dtype.itemsize() as npy_intp;
    let mut dims = lengths(&rows.shape);
    // A table's memory has a size that fits an `isize`, so a row has.
    let mut strides = [rows.stride as npy_intp * item, item];
    let flags = npyffi::NPY_ARRAY_ALIGNED | if rows.writable { npyffi::NPY_ARRAY_WRITEABLE } else { 0 };
    // SAFETY: there are two lengths and two strides, which live through the call, and the call takes over the reference to `dtype`. The rows
    // lie at `start` for as long as the owner lives, which becomes the array's base object before anybody can see it.
    let array = unsafe {
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            npyffi::get_type_object(py, NpyTypes::PyArray_Type),
            dtype.into_dtype_ptr(),
            dims.len() as c_int,
            dims.as_mut_ptr(),
            strides.as_mut_ptr(),
            rows.start,
            flags,
            ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(py, array)?.cast_into_unchecked()
    };
    keep_alive(array, owner)
}

/// A table inside `owner` as an array without a copy, to be read unless `raw` may be written. `owner` keeps the table in its place as long as it lives.
pub(crate) fn rows_in<'py>(owner: Bound<'py, PyAny>, raw: &RawTable) -> Result<Bound<'py, PyUntypedArray>> {
    let py = owner.py();
    if raw.rows * raw.dim == 0 {
        return new_array(py, raw.dtype.descr(py)?, &[raw.rows, raw.dim]);
    }
    let rows = Lent { start: raw.address().cast(), shape: [raw.rows, raw.dim], stride: raw.stride, writable: raw.writable };
    lend_from(owner, raw.dtype.descr(py)?, &rows)
}

/// Row numbers inside `owner` as an array without a copy, to be read. `owner` keeps them in their place as long as it lives.
pub(crate) fn numbers_in<'py>(owner: Bound<'py, PyAny>, numbers: &RawSlice<u32>) -> Result<Bound<'py, PyUntypedArray>> {
    let py = owner.py();
    if numbers.len() == 0 {
        return new_array(py, numpy::dtype::<u32>(py), &[0]);
    }
    let one = Lent { start: numbers.address().cast(), shape: [1, numbers.len()], stride: numbers.len(), writable: false };
    only_row(lend_from(owner, numpy::dtype::<u32>(py), &one)?)
}

/// An array of zeros in NumPy's memory.
fn small_zeros<'py>(py: Python<'py>, dtype: Bound<'py, PyArrayDescr>, shape: &[usize]) -> Result<Bound<'py, PyUntypedArray>> {
    let mut dims = lengths(shape);
    // SAFETY: `dims` has as many lengths as are announced, and lives through the call, which takes over the reference to `dtype`.
    unsafe {
        let array = PY_ARRAY_API.PyArray_Zeros(py, dims.len() as c_int, dims.as_mut_ptr(), dtype.into_dtype_ptr(), 0);
        Ok(Bound::from_owned_ptr_or_err(py, array)?.cast_into_unchecked())
    }
}

/// Lengths as NumPy has them. Those whose product fits an `isize` fit one themselves; where one is zero another may not, and NumPy refuses it.
fn lengths(shape: &[usize]) -> Vec<npy_intp> {
    shape.iter().map(|&n| npy_intp::try_from(n).unwrap_or(npy_intp::MAX)).collect()
}

/// An array in memory that starts at `data`, or in memory of its own if that is null.
fn array_of<'py>(
    py: Python<'py>,
    dtype: Bound<'py, PyArrayDescr>,
    shape: &[usize],
    data: *mut c_void,
) -> Result<Bound<'py, PyUntypedArray>> {
    let mut dims = lengths(shape);
    let flags = if data.is_null() { 0 } else { npyffi::NPY_ARRAY_CARRAY };
    // SAFETY: `dims` has as many lengths as are announced, and lives through the call, which takes over the reference to `dtype`. Memory at
    // `data` holds the whole array (`new_array`), and lives as long as the array does, whose base object it becomes before anybody can see it.
    unsafe {
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            npyffi::get_type_object(py, NpyTypes::PyArray_Type),
            dtype.into_dtype_ptr(),
            dims.len() as c_int,
            dims.as_mut_ptr(),
            ptr::null_mut(),
            data,
            flags,
            ptr::null_mut(),
        );
        Ok(Bound::from_owned_ptr_or_err(py, array)?.cast_into_unchecked())
    }
}
