//! What a backward is given: an array of gradients and the lookup that it belongs to.

use hotrow::{Element, Gradient, IdPolicy, Pooling};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;

use crate::arrays::{Kind, Range, RawIds, RawSlice, RawTable, RawValues, element};
use crate::bags::{BagArrays, BagOptions, RawBags};
use crate::error::{Failure, Result};
use crate::ids::{IdArray, ids as ids_of};
use crate::options;

/// What a caller says of a lookup, all but the ids.
pub(crate) struct LookupOptions<'a, 'py> {
    pub(crate) offsets: Option<Bound<'py, PyAny>>,
    pub(crate) lengths: Option<Bound<'py, PyAny>>,
    pub(crate) mode: Option<&'a str>,
    pub(crate) per_sample_weights: Option<Bound<'py, PyAny>>,
    pub(crate) include_last_offset: bool,
    pub(crate) padding_idx: Option<i64>,
    pub(crate) scale_grad_by_freq: bool,
    pub(crate) argmax: Option<Bound<'py, PyAny>>,
    pub(crate) policy: &'a str,
    pub(crate) dtype: Option<&'a str>,
}

/// Arrays that are held while the engine reads them.
pub(crate) struct GradientArrays<'py> {
    lookup: Lookup<'py>,
    /// Keeps the memory of `values`.
    _array: Bound<'py, PyUntypedArray>,
    values: RawTable,
    padding_idx: Option<i64>,
    by_freq: bool,
}

enum Lookup<'py> {
    Ids(IdArray<'py>, IdPolicy),
    Bags(BagArrays<'py>, Pooling),
    Max(BagArrays<'py>, IdArray<'py>),
}

impl<'py> GradientArrays<'py> {
    pub(crate) fn of(
        ids: &Bound<'py, PyAny>,
        grad: &Bound<'py, PyAny>,
        options: LookupOptions<'_, 'py>,
    ) -> Result<GradientArrays<'py>> {
        let bits = bits(options.dtype)?;
        let (array, values) = rows(grad, bits)?;
        let policy = options::policy(Some(options.policy))?;
        let by_freq = options.scale_grad_by_freq;
        let cut = options.offsets.is_some() || options.lengths.is_some();
        if !cut && options.mode.is_none() && options.argmax.is_none() {
            if options.per_sample_weights.is_some() || options.include_last_offset {
                return Err(Failure::Value(
                    "per_sample_weights and include_last_offset are for bags: give a mode, offsets or lengths".into(),
                ));
            }
            let ids = IdArray::of(ids, "ids")?;
            let wanted: Vec<usize> = ids.shape().iter().copied().chain([values.dim]).collect();
            check_shape(&array, &wanted, "the ids' shape and a row")?;
            let padding_idx = options.padding_idx;
            return Ok(GradientArrays { lookup: Lookup::Ids(ids, policy), _array: array, values, padding_idx, by_freq });
        }
        let mode = match (&options.mode, &options.argmax) {
            (Some(mode), _) => options::pooling(mode)?,
            (None, None) => Pooling::Sum,
            (None, Some(_)) => Pooling::Max,
        };
        let bags = BagOptions {
            offsets: options.offsets,
            lengths: options.lengths,
            per_sample_weights: options.per_sample_weights,
            include_last_offset: options.include_last_offset,
            padding_idx: options.padding_idx,
            default_row: None,
            policy,
        };
        let bags = BagArrays::of(ids, bags)?;
        let wanted = [bags.count(), values.dim];
        check_shape(&array, &wanted, "a row for each bag")?;
        let lookup = match options.argmax {
            None => Lookup::Bags(bags, mode),
            Some(_) if mode != Pooling::Max => return Err(Failure::Value("argmax is for the mode \"max\" alone".into())),
            Some(argmax) => {
                let argmax = IdArray::of(&argmax, "argmax")?;
                if !matches!(argmax.raw(), RawIds::U32(_)) {
                    return Err(Failure::Type("argmax must be of uint32, as embedding_bag_max returns it".into()));
                }
                if argmax.shape() != wanted {
                    return Err(Failure::Value(format!("argmax must have the shape {wanted:?}, and has {:?}", argmax.shape())));
                }
                Lookup::Max(bags, argmax)
            }
        };
        Ok(GradientArrays { lookup, _array: array, values, padding_idx: None, by_freq })
    }

    /// The values of a row.
    pub(crate) fn dim(&self) -> usize {
        self.values.dim
    }

    /// How many ids there are.
    pub(crate) fn ids(&self) -> usize {
        match &self.lookup {
            Lookup::Ids(ids, _) => ids.len(),
            Lookup::Bags(bags, _) | Lookup::Max(bags, _) => bags.ids(),
        }
    }

    pub(crate) fn raw(&self) -> Result<RawGradient<'_>> {
        let lookup = match &self.lookup {
            Lookup::Ids(ids, policy) => RawLookup::Ids(ids.raw(), ids.shape(), *policy),
            Lookup::Bags(bags, mode) => RawLookup::Bags(bags.raw()?, *mode),
            Lookup::Max(bags, argmax) => match argmax.raw() {
                RawIds::U32(argmax) => RawLookup::Max(bags.raw()?, argmax),
                _ => return Err(Failure::Type("argmax must be of uint32".into())),
            },
        };
        Ok(RawGradient { lookup, values: self.values, padding_idx: self.padding_idx, by_freq: self.by_freq })
    }
}

/// The memory of [`GradientArrays`], which can be read while Python runs.
pub(crate) struct RawGradient<'a> {
    lookup: RawLookup<'a>,
    values: RawTable,
    padding_idx: Option<i64>,
    by_freq: bool,
}

enum RawLookup<'a> {
    Ids(RawIds, &'a [usize], IdPolicy),
    Bags(RawBags<'a>, Pooling),
    Max(RawBags<'a>, RawSlice<u32>),
}

impl RawGradient<'_> {
    pub(crate) fn gradient(&self) -> Result<Gradient<'_>> {
        match self.values.values() {
            RawValues::F32(values) => self.of(values),
            RawValues::F16(values) => self.of(values),
            RawValues::BF16(values) => self.of(values),
        }
    }

    fn of<'a, S: Element>(&'a self, values: &'a [S]) -> Result<Gradient<'a>> {
        let mut gradient = match &self.lookup {
            RawLookup::Ids(ids, shape, policy) => Gradient::of_gather(ids_of(ids, shape, *policy)?, values),
            RawLookup::Bags(bags, mode) => Gradient::of_bags(&bags.bags()?, *mode, values),
            RawLookup::Max(bags, argmax) => Gradient::of_max(&bags.bags()?, argmax.get(), values),
        };
        if self.values.stride != self.values.dim {
            gradient = gradient.with_stride(self.values.stride);
        }
        if let Some(row) = self.padding_idx {
            gradient = gradient.with_padding_idx(row);
        }
        Ok(gradient.scale_by_freq(self.by_freq))
    }

    /// Everything that is read, for [`apart`](crate::arrays::apart).
    pub(crate) fn ranges(&self) -> Vec<(&'static str, &dyn Range)> {
        let mut all: Vec<(&'static str, &dyn Range)> = vec![("the gradient", &self.values)];
        match &self.lookup {
            RawLookup::Ids(ids, ..) => all.push(("the ids", ids)),
            RawLookup::Bags(bags, _) => all.extend(bags.ranges()),
            RawLookup::Max(bags, argmax) => {
                all.extend(bags.ranges());
                all.push(("argmax", argmax));
            }
        }
        all
    }
}

/// Whether unsigned 16-bit numbers are said to be bfloat16.
pub(crate) fn bits(dtype: Option<&str>) -> Result<bool> {
    match dtype {
        None => Ok(false),
        Some("bfloat16") => Ok(true),
        Some(other) => {
            Err(Failure::Value(format!("dtype says that a gradient of uint16 is of \"bfloat16\", and nothing else: not {other:?}")))
        }
    }
}

/// Gradients in rows. What the engine cannot read in place is copied; float64 and sequences become float32.
fn rows<'py>(grad: &Bound<'py, PyAny>, bits: bool) -> Result<(Bound<'py, PyUntypedArray>, RawTable)> {
    let py = grad.py();
    let numpy = py.import(intern!(py, "numpy"))?;
    let given = match grad.cast::<PyUntypedArray>() {
        Ok(array) => array.clone(),
        Err(_) => {
            let array = numpy.call_method1(intern!(py, "asarray"), (grad,))?.cast_into::<PyUntypedArray>().map_err(PyErr::from)?;
            if matches!(array.dtype().kind(), b'i' | b'u') { as_float32(&array)? } else { array }
        }
    };
    if given.shape().is_empty() {
        return Err(Failure::Value("the gradient must have at least one dimension, that of a row".into()));
    }
    let dtype = given.dtype();
    let given = if dtype.kind() == b'f' && (dtype.itemsize() == 8 || !dtype.is_native_byteorder().unwrap_or(true)) {
        if dtype.itemsize() == 2 { native(&given)? } else { as_float32(&given)? }
    } else {
        given
    };
    let kind: Kind = element(&given.dtype(), bits, "the gradient")?;
    if let Some(raw) = RawTable::of_rows(&given, kind) {
        return Ok((given, raw));
    }
    let copied = numpy.call_method1(intern!(py, "array"), (&given,))?;
    let copied = numpy.call_method1(intern!(py, "ascontiguousarray"), (copied,))?;
    let copied = copied.cast_into::<PyUntypedArray>().map_err(PyErr::from)?;
    match RawTable::of_rows(&copied, kind) {
        Some(raw) => Ok((copied, raw)),
        None => Err(Failure::Value("the gradient cannot be copied into rows".into())),
    }
}

fn as_float32<'py>(array: &Bound<'py, PyUntypedArray>) -> Result<Bound<'py, PyUntypedArray>> {
    let copied = array.call_method1(intern!(array.py(), "astype"), ("float32",))?;
    Ok(copied.cast_into::<PyUntypedArray>().map_err(PyErr::from)?)
}

/// The same numbers in the machine's order of bytes.
fn native<'py>(array: &Bound<'py, PyUntypedArray>) -> Result<Bound<'py, PyUntypedArray>> {
    let dtype = array.dtype().call_method1(intern!(array.py(), "newbyteorder"), ("=",))?;
    let copied = array.call_method1(intern!(array.py(), "astype"), (dtype,))?;
    Ok(copied.cast_into::<PyUntypedArray>().map_err(PyErr::from)?)
}

fn check_shape(array: &Bound<'_, PyUntypedArray>, wanted: &[usize], of: &str) -> Result<()> {
    if array.shape() == wanted {
        return Ok(());
    }
    Err(Failure::Value(format!("the gradient must have the shape {wanted:?}, {of}, and has {:?}", array.shape())))
}
