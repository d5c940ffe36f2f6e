//! NumPy's arrays as the engine's tables, ids and outputs, without a copy.
//!
//! What is borrowed here belongs to Python, and another thread may write it while the engine reads. That is the caller's race, as in NumPy itself:
//! numbers may come out torn or old, and nothing else can go wrong. Ids are read once, by the pass that checks them; whatever is written after
//! that changes nothing. Every bit pattern of these types is a number. Arrays are kept alive by the caller's reference for as long as a call
//! takes, and NumPy refuses to resize an array that has references.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicI32, Ordering};

use hotrow::{AnyView, DType, Element, Id, Ids, Table, TableView, TableViewMut, bf16, f16};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyImportError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::error::{Failure, Result};

/// What a table's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F16,
    BF16,
}

impl Kind {
    pub(crate) fn size(self) -> usize {
        match self {
            Kind::F32 => 4,
            Kind::F16 | Kind::BF16 => 2,
        }
    }

    pub(crate) fn dtype(self) -> DType {
        match self {
            Kind::F32 => DType::F32,
            Kind::F16 => DType::F16,
            Kind::BF16 => DType::BF16,
        }
    }

    /// NumPy's type for it. Where the package `ml_dtypes` is not there, bfloat16 is shown as its bits.
    pub(crate) fn descr(self, py: Python<'_>) -> Result<Bound<'_, PyArrayDescr>> {
        Ok(match self {
            Kind::F32 => numpy::dtype::<f32>(py),
            Kind::F16 => numpy::dtype::<f16>(py),
            Kind::BF16 => match py.import(intern!(py, "ml_dtypes")) {
                Ok(package) => PyArrayDescr::new(py, package.getattr(intern!(py, "bfloat16"))?)?,
                Err(error) if error.is_instance_of::<PyImportError>(py) => numpy::dtype::<u16>(py),
                Err(error) => return Err(error.into()),
            },
        })
    }

    /// Its name in NumPy.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::F32 => "float32",
            Kind::F16 => "float16",
            Kind::BF16 => "bfloat16",
        }
    }
}

/// Where an array's memory is.
#[derive(Clone, Copy, Debug)]
struct Start(*mut u8);

// SAFETY: a `Start` is an address. What is done with the memory there is argued for where it is done.
unsafe impl Send for Start {}
// SAFETY: as above.
unsafe impl Sync for Start {}

/// The memory of an array of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawTable {
    start: Start,
    pub(crate) rows: usize,
    pub(crate) dim: usize,
    /// In values.
    pub(crate) stride: usize,
    pub(crate) dtype: Kind,
    pub(crate) writable: bool,
}

/// Values of any element.
#[derive(Clone, Copy)]
pub(crate) enum RawValues<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
}

/// A table to be changed, of any element.
pub(crate) enum AnyViewMut<'a> {
    F32(TableViewMut<'a, f32>),
    F16(TableViewMut<'a, f16>),
    BF16(TableViewMut<'a, bf16>),
}

impl TryFrom<DType> for Kind {
    type Error = Failure;

    fn try_from(dtype: DType) -> Result<Kind> {
        match dtype {
            DType::F32 => Ok(Kind::F32),
            DType::F16 => Ok(Kind::F16),
            DType::BF16 => Ok(Kind::BF16),
            other => Err(Failure::Type(format!("NumPy has no name for numbers of {other}"))),
        }
    }
}

impl RawTable {
    /// An array as a table. Unsigned 16-bit numbers are bfloat16 if `bits` says so.
    pub(crate) fn of(array: &Bound<'_, PyUntypedArray>, bits: bool, what: &str) -> Result<RawTable> {
        let dtype = element(&array.dtype(), bits, what)?;
        let &[rows, dim] = array.shape() else {
            return Err(Failure::Value(format!(
                "{what} must have two dimensions, [rows, dim], and has the shape {:?}",
                array.shape()
            )));
        };
        let item = dtype.size() as isize;
        let strides = array.strides();
        if !array.is_aligned() {
            return Err(Failure::Value(format!(
                "{what} is not aligned to its numbers; numpy.require(array, requirements=\"A\") makes it so"
            )));
        }
        // Strides mean nothing where there is only one to go.
        let across = if dim <= 1 || rows == 0 { item } else { strides[1] };
        let down = if rows <= 1 || dim == 0 { dim as isize * item } else { strides[0] };
        if across != item || down % item != 0 || down < dim as isize * item {
            return Err(Failure::Value(format!(
                "{what} must have its rows one after the other and each row's numbers side by side; its strides are {strides:?} bytes: \
                 numpy.ascontiguousarray makes such a copy"
            )));
        }
        let stride = (down / item) as usize;
        Ok(RawTable { start: start(array), rows, dim, stride, dtype, writable: is_writable(array) })
    }

    /// An array as rows of its last dimension, whatever dimensions come before. `None` if its rows are not evenly apart or their numbers not side by
    /// side: it has to be copied first.
    pub(crate) fn of_rows(array: &Bound<'_, PyUntypedArray>, dtype: Kind) -> Option<RawTable> {
        let (&dim, before) = array.shape().split_last()?;
        let (&across, strides) = array.strides().split_last()?;
        let item = dtype.size() as isize;
        let rows: usize = before.iter().product();
        let dense = dim as isize * item;
        let mut down = dense;
        // Rows of the dimensions that were gone through, the last first.
        let mut gone = 1;
        for (&n, &stride) in before.iter().zip(strides).rev().filter(|&(&n, _)| n > 1) {
            if gone == 1 {
                down = stride;
            } else if stride != down * gone {
                return None;
            }
            gone *= n as isize;
        }
        if rows == 0 || dim == 0 {
            down = dense;
        }
        let whole = down >= dense && down % item == 0 && (across == item || dim <= 1 || rows == 0);
        let fits = whole && array.is_aligned();
        let stride = (down / item) as usize;
        fits.then(|| RawTable { start: start(array), rows, dim, stride, dtype, writable: false })
    }

    /// A table of the engine, to be read. Who keeps this keeps the table, and never gives it other memory.
    pub(crate) fn of_table(table: &Table<f32>) -> RawTable {
        let first = table.row(0).map_or(std::ptr::null(), <[f32]>::as_ptr);
        let start = Start(first.cast_mut().cast());
        let [rows, dim] = table.shape();
        RawTable { start, rows, dim, stride: table.stride(), dtype: Kind::F32, writable: false }
    }

    /// Dense rows of the engine, to be read. Who keeps this keeps them, and never gives them other memory.
    pub(crate) fn of_values(values: &[f32], rows: usize, dim: usize) -> RawTable {
        let start = Start(values.as_ptr().cast_mut().cast());
        RawTable { start, rows, dim, stride: dim, dtype: Kind::F32, writable: false }
    }

    /// A table of the engine that may be written from outside. Who keeps this keeps the table, and never gives it other memory.
    pub(crate) fn of_table_mut(table: hotrow::AnyViewMut<'_>) -> Result<RawTable> {
        fn of<E: Element>(mut table: TableViewMut<'_, E>, dtype: Kind) -> RawTable {
            let [rows, dim, stride] = [table.rows(), table.dim(), table.stride()];
            let first = table.row_mut(0).map_or(std::ptr::null_mut(), <[E]>::as_mut_ptr);
            RawTable { start: Start(first.cast()), rows, dim, stride, dtype, writable: true }
        }
        match table {
            hotrow::AnyViewMut::F32(table) => Ok(of(table, Kind::F32)),
            hotrow::AnyViewMut::F16(table) => Ok(of(table, Kind::F16)),
            hotrow::AnyViewMut::BF16(table) => Ok(of(table, Kind::BF16)),
            _ => Err(Failure::Type("the table is of an element that NumPy has no name for".into())),
        }
    }

    /// Where it starts, for an array that shares it.
    pub(crate) fn address(&self) -> *mut u8 {
        self.start.0
    }

    /// All of its values, and what lies between its rows.
    pub(crate) fn values(&self) -> RawValues<'_> {
        // SAFETY: as in `view`.
        unsafe {
            match self.dtype {
                Kind::F32 => RawValues::F32(slice(self.start, self.span())),
                Kind::F16 => RawValues::F16(slice(self.start, self.span())),
                Kind::BF16 => RawValues::BF16(slice(self.start, self.span())),
            }
        }
    }

    /// Values from the first of the first row to the last of the last.
    fn span(&self) -> usize {
        match self.rows {
            0 => 0,
            rows => (rows - 1) * self.stride + self.dim,
        }
    }

    /// How many bytes from its first value to its last.
    pub(crate) fn bytes(&self) -> usize {
        self.span() * self.dtype.size()
    }

    /// The bytes of `count` rows.
    pub(crate) fn bytes_of(&self, count: usize) -> usize {
        count.saturating_mul(self.dim * self.dtype.size())
    }

    /// The table, to be read.
    pub(crate) fn view(&self) -> Result<AnyView<'_>> {
        let RawTable { rows, dim, stride, .. } = *self;
        // SAFETY: an array of this element, shape and stride starts there, aligned (`RawTable::of`); the caller's reference keeps it alive. For
        // writers elsewhere, see this module.
        unsafe {
            Ok(match self.dtype {
                Kind::F32 => AnyView::F32(TableView::new(slice(self.start, self.span()), rows, dim, stride)?),
                Kind::F16 => AnyView::F16(TableView::new(slice(self.start, self.span()), rows, dim, stride)?),
                Kind::BF16 => AnyView::BF16(TableView::new(slice(self.start, self.span()), rows, dim, stride)?),
            })
        }
    }

    /// The table, to be written. Nothing else that the call borrows may overlap it: see [`apart`].
    pub(crate) fn view_mut(&mut self) -> Result<AnyViewMut<'_>> {
        let RawTable { rows, dim, stride, .. } = *self;
        if !self.writable {
            return Err(Failure::Value("the table is read-only".into()));
        }
        // SAFETY: as in `view`; the array is writable, and what else the call borrows does not overlap it.
        unsafe {
            Ok(match self.dtype {
                Kind::F32 => AnyViewMut::F32(TableViewMut::new(slice_mut(self.start, self.span()), rows, dim, stride)?),
                Kind::F16 => AnyViewMut::F16(TableViewMut::new(slice_mut(self.start, self.span()), rows, dim, stride)?),
                Kind::BF16 => AnyViewMut::BF16(TableViewMut::new(slice_mut(self.start, self.span()), rows, dim, stride)?),
            })
        }
    }

    /// What its rows are to come as: `dtype`, or `otherwise` where none is asked for.
    pub(crate) fn rows_as(&self, dtype: Option<&str>, otherwise: Kind) -> Result<Kind> {
        match dtype {
            None => Ok(otherwise),
            Some("float32") => Ok(Kind::F32),
            Some(same) if same == self.dtype.name() => Ok(self.dtype),
            Some(other) => {
                Err(Failure::Type(format!("rows of {} can be had as they are or as float32, not as {other}", self.dtype.name())))
            }
        }
    }

    fn range(&self) -> (usize, usize) {
        (self.start.0.addr(), self.bytes())
    }
}

/// The memory of an array without gaps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawSlice<T> {
    start: Start,
    len: usize,
    of: std::marker::PhantomData<fn() -> T>,
}

/// Numbers of which every bit pattern is one.
pub(crate) trait Number: Copy {}
macro_rules! numbers {
    ($($type:ty),*) => { $(impl Number for $type {})* };
}

impl RawSlice<f32> {
    /// An array of float32 without gaps; `None` if it is another.
    pub(crate) fn of_f32(array: &Bound<'_, PyUntypedArray>) -> Option<RawSlice<f32>> {
        let dtype = array.dtype();
        if dtype.kind() == b'f' && is_native(&dtype) { RawSlice::of(array) } else { None }
    }
}

impl RawSlice<u32> {
    /// An array of uint32 without gaps; `None` if it is another.
    pub(crate) fn of_u32(array: &Bound<'_, PyUntypedArray>) -> Option<RawSlice<u32>> {
        let dtype = array.dtype();
        if dtype.kind() == b'u' && is_native(&dtype) { RawSlice::of(array) } else { None }
    }

    /// Row numbers of the engine, to be read. Who keeps this keeps them, and never gives them other memory.
    pub(crate) fn of_numbers(numbers: &[u32]) -> RawSlice<u32> {
        let start = Start(numbers.as_ptr().cast_mut().cast());
        RawSlice { start, len: numbers.len(), of: std::marker::PhantomData }
    }
}

numbers!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, f16, bf16);

impl<T: Number> RawSlice<T> {
    /// An array whose numbers are `T`s, which the caller has made sure of; `None` if it has gaps or is not aligned.
    fn of(array: &Bound<'_, PyUntypedArray>) -> Option<RawSlice<T>> {
        let fits = array.dtype().itemsize() == size_of::<T>() && array.is_c_contiguous() && array.is_aligned();
        fits.then(|| RawSlice { start: start(array), len: array.len(), of: std::marker::PhantomData })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self) -> &[T] {
        // SAFETY: an array of so many numbers of this size starts there, aligned and without gaps (`RawSlice::of`), every bit pattern is a
        // `T`, and the caller's reference keeps it alive. For writers elsewhere, see this module.
        unsafe { slice(self.start, self.len) }
    }

    /// Where it starts, for an array that shares it.
    pub(crate) fn address(&self) -> *mut u8 {
        self.start.0
    }

    /// To be written: of an array that is writable. Nothing else that the call borrows may overlap it: see [`apart`].
    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `get`; the caller has checked that it may be written and is borrowed once (`apart`).
        unsafe { slice_mut(self.start, self.len) }
    }

    fn range(&self) -> (usize, usize) {
        (self.start.0.addr(), self.len * size_of::<T>())
    }
}

/// A result: rows of an element, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RawRows {
    F32(RawSlice<f32>),
    F16(RawSlice<f16>),
    BF16(RawSlice<bf16>),
}

impl RawRows {
    /// An array of this element and shape that can be written.
    pub(crate) fn of(array: &Bound<'_, PyUntypedArray>, dtype: Kind, shape: &[usize]) -> Result<RawRows> {
        let bits = dtype == Kind::BF16;
        if element(&array.dtype(), bits, "out")? != dtype {
            return Err(Failure::Type(format!("out must be of {}, and is of {}", dtype.name(), array.dtype())));
        }
        if array.shape() != shape {
            return Err(Failure::Value(format!("out must have the shape {shape:?}, and has {:?}", array.shape())));
        }
        if !is_writable(array) {
            return Err(Failure::Value("out is read-only".into()));
        }
        let rows = match dtype {
            Kind::F32 => RawSlice::of(array).map(RawRows::F32),
            Kind::F16 => RawSlice::of(array).map(RawRows::F16),
            Kind::BF16 => RawSlice::of(array).map(RawRows::BF16),
        };
        rows.ok_or_else(|| Failure::Value("out must be C-contiguous and aligned".into()))
    }

    /// An array to be read, of one of these elements and without gaps; `None` if it is another. Unsigned 16-bit numbers are bfloat16 if `bits`
    /// says so.
    pub(crate) fn to_read(array: &Bound<'_, PyUntypedArray>, bits: bool) -> Option<RawRows> {
        match element(&array.dtype(), bits, "").ok()? {
            Kind::F32 => RawSlice::of(array).map(RawRows::F32),
            Kind::F16 => RawSlice::of(array).map(RawRows::F16),
            Kind::BF16 => RawSlice::of(array).map(RawRows::BF16),
        }
    }

    /// Whether an array holds the bits of numbers that NumPy has no type for.
    pub(crate) fn is_bits(array: &Bound<'_, PyUntypedArray>) -> bool {
        let dtype = array.dtype();
        (dtype.kind(), dtype.itemsize()) == (b'u', 2)
    }

    fn range(&self) -> (usize, usize) {
        match self {
            RawRows::F32(values) => values.range(),
            RawRows::F16(values) => values.range(),
            RawRows::BF16(values) => values.range(),
        }
    }
}

/// Ids of any type, without gaps.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RawIds {
    I8(RawSlice<i8>),
    I16(RawSlice<i16>),
    I32(RawSlice<i32>),
    I64(RawSlice<i64>),
    U8(RawSlice<u8>),
    U16(RawSlice<u16>),
    U32(RawSlice<u32>),
    U64(RawSlice<u64>),
    F16(RawSlice<f16>),
    F32(RawSlice<f32>),
    F64(RawSlice<f64>),
}

macro_rules! each_id {
    ($ids:expr, $slice:ident => $body:expr) => {
        match $ids {
            RawIds::I8($slice) => $body,
            RawIds::I16($slice) => $body,
            RawIds::I32($slice) => $body,
            RawIds::I64($slice) => $body,
            RawIds::U8($slice) => $body,
            RawIds::U16($slice) => $body,
            RawIds::U32($slice) => $body,
            RawIds::U64($slice) => $body,
            RawIds::F16($slice) => $body,
            RawIds::F32($slice) => $body,
            RawIds::F64($slice) => $body,
        }
    };
}

impl RawIds {
    /// The ids of an array of whole numbers or floats; `None` if it is of another type, or has to be copied first.
    pub(crate) fn of(array: &Bound<'_, PyUntypedArray>) -> Option<RawIds> {
        let dtype = array.dtype();
        if !is_native(&dtype) {
            return None;
        }
        match (dtype.kind(), dtype.itemsize()) {
            (b'i', 8) => RawSlice::of(array).map(RawIds::I64),
            (b'i', 4) => RawSlice::of(array).map(RawIds::I32),
            (b'i', 2) => RawSlice::of(array).map(RawIds::I16),
            (b'i', 1) => RawSlice::of(array).map(RawIds::I8),
            (b'u', 8) => RawSlice::of(array).map(RawIds::U64),
            (b'u', 4) => RawSlice::of(array).map(RawIds::U32),
            (b'u', 2) => RawSlice::of(array).map(RawIds::U16),
            (b'u', 1) => RawSlice::of(array).map(RawIds::U8),
            (b'f', 8) => RawSlice::of(array).map(RawIds::F64),
            (b'f', 4) => RawSlice::of(array).map(RawIds::F32),
            (b'f', 2) => RawSlice::of(array).map(RawIds::F16),
            _ => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        each_id!(self, slice => slice.len())
    }

    pub(crate) fn is_float(&self) -> bool {
        matches!(self, RawIds::F16(_) | RawIds::F32(_) | RawIds::F64(_))
    }

    /// The ids in their shape.
    pub(crate) fn ids<'a>(&'a self, shape: &'a [usize]) -> Result<Ids<'a>> {
        fn of<'a, T: Number + Id>(slice: &'a RawSlice<T>, shape: &'a [usize]) -> Result<Ids<'a>> {
            Ok(Ids::new(slice.get(), shape)?)
        }
        each_id!(self, slice => of(slice, shape))
    }

    fn range(&self) -> (usize, usize) {
        each_id!(self, slice => slice.range())
    }
}

/// Something that lies in memory.
pub(crate) trait Range {
    /// Address and length in bytes.
    fn range(&self) -> (usize, usize);
}

macro_rules! ranges {
    ($($type:ty),*) => { $(impl Range for $type {
        fn range(&self) -> (usize, usize) {
            self.range()
        }
    })* };
}
ranges!(RawTable, RawRows, RawIds);

impl<T: Number> Range for RawSlice<T> {
    fn range(&self) -> (usize, usize) {
        self.range()
    }
}

/// Refuses to write `out` where it overlaps something that is read: what comes of that would depend on the order.
pub(crate) fn apart(out: &dyn Range, what: &str, read: &dyn Range, of_what: &str) -> Result<()> {
    let ((start, len), (other, length)) = (out.range(), read.range());
    if len > 0 && length > 0 && start < other + length && other < start + len {
        return Err(Failure::Value(format!("{what} shares memory with {of_what}")));
    }
    Ok(())
}

/// The element of an array's numbers.
pub(crate) fn element(dtype: &Bound<'_, PyArrayDescr>, bits: bool, what: &str) -> Result<Kind> {
    let found = match (dtype.kind(), dtype.itemsize()) {
        (b'f', 4) => Some(Kind::F32),
        (b'f', 2) => Some(Kind::F16),
        (b'u', 2) if bits => Some(Kind::BF16),
        (_, 2) if is_bfloat16(dtype) => Some(Kind::BF16),
        _ => None,
    };
    match found {
        Some(found) if is_native(dtype) => Ok(found),
        _ => Err(Failure::Type(format!("{what} must be of float32, float16 or bfloat16, and is of {dtype}"))),
    }
}

/// Whether numbers have the machine's order of bytes.
fn is_native(dtype: &Bound<'_, PyArrayDescr>) -> bool {
    dtype.is_native_byteorder().unwrap_or(true)
}

/// Whether this is the bfloat16 of the package `ml_dtypes`.
fn is_bfloat16(dtype: &Bound<'_, PyArrayDescr>) -> bool {
    // NumPy numbers the types of packages when they register; the number stays the same until the process ends.
    static NUMBER: AtomicI32 = AtomicI32::new(-1);
    let number = dtype.num();
    if NUMBER.load(Ordering::Relaxed) == number {
        return true;
    }
    let is = dtype.typeobj().name().is_ok_and(|name| name == "bfloat16");
    if is {
        NUMBER.store(number, Ordering::Relaxed);
    }
    is
}

fn is_writable(array: &Bound<'_, PyUntypedArray>) -> bool {
    // SAFETY: the array is a live object.
    let flags = unsafe { (*array.as_array_ptr()).fields.flags };
    flags & numpy::npyffi::NPY_ARRAY_WRITEABLE != 0
}

fn start(array: &Bound<'_, PyUntypedArray>) -> Start {
    // SAFETY: the array is a live object.
    Start(unsafe { (*array.as_array_ptr()).fields.data.cast() })
}

/// # Safety
/// So many `T`s lie there, aligned, for as long as `'a`.
unsafe fn slice<'a, T>(start: Start, len: usize) -> &'a [T] {
    // NumPy may give any address for an array without values.
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts(start.0.cast(), len) }
}

/// # Safety
/// So many `T`s lie there, aligned and to be written, for as long as `'a`, and nobody else in this process borrows them.
unsafe fn slice_mut<'a, T>(start: Start, len: usize) -> &'a mut [T] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts_mut(start.0.cast(), len) }
}
