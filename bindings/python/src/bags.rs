//! Bags as Python has them: ids, where each bag starts, and what else there is to know.

use hotrow::{Bags, IdPolicy};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;

use crate::arrays::{Range, RawIds, RawSlice};
use crate::error::{Failure, Result};
use crate::ids::{self, IdArray};

/// What a caller says of bags, all but the ids.
pub(crate) struct BagOptions<'py> {
    pub(crate) offsets: Option<Bound<'py, PyAny>>,
    pub(crate) lengths: Option<Bound<'py, PyAny>>,
    pub(crate) per_sample_weights: Option<Bound<'py, PyAny>>,
    pub(crate) include_last_offset: bool,
    pub(crate) padding_idx: Option<i64>,
    pub(crate) default_row: Option<i64>,
    pub(crate) policy: IdPolicy,
}

/// Arrays that are held while the engine reads them.
pub(crate) struct BagArrays<'py> {
    ids: IdArray<'py>,
    splits: Splits<IdArray<'py>>,
    weights: Option<(Bound<'py, PyUntypedArray>, RawSlice<f32>)>,
    padding_idx: Option<i64>,
    default_row: Option<i64>,
    policy: IdPolicy,
}

/// How the ids are cut.
#[derive(Clone, Copy)]
enum Splits<T> {
    /// Each row of the ids is a bag.
    Matrix,
    Starts(T),
    Bounds(T),
    Lengths(T),
}

/// Where bags start, or their lengths.
#[derive(Clone, Copy)]
enum RawOffsets {
    I32(RawSlice<i32>),
    I64(RawSlice<i64>),
}

/// The memory of [`BagArrays`], which can be read while Python runs.
#[derive(Clone, Copy)]
pub(crate) struct RawBags<'a> {
    ids: RawIds,
    shape: &'a [usize],
    splits: Splits<RawOffsets>,
    weights: Option<RawSlice<f32>>,
    padding_idx: Option<i64>,
    default_row: Option<i64>,
    policy: IdPolicy,
}

impl<'py> BagArrays<'py> {
    pub(crate) fn of(ids: &Bound<'py, PyAny>, options: BagOptions<'py>) -> Result<BagArrays<'py>> {
        let ids = IdArray::of(ids, "ids")?;
        let flat = |what: &str| match ids.shape() {
            [_] => Ok(()),
            shape => {
                Err(Failure::Value(format!("ids that are cut by {what} must have one dimension, and have the shape {shape:?}")))
            }
        };
        let splits = match (options.offsets, options.lengths) {
            (Some(_), Some(_)) => return Err(Failure::Value("bags are cut by offsets or by lengths, not by both".into())),
            (Some(offsets), None) => {
                flat("offsets")?;
                let offsets = whole_numbers(&offsets, "offsets")?;
                if options.include_last_offset { Splits::Bounds(offsets) } else { Splits::Starts(offsets) }
            }
            (None, Some(lengths)) => {
                flat("lengths")?;
                Splits::Lengths(whole_numbers(&lengths, "lengths")?)
            }
            (None, None) => match ids.shape() {
                [_, _] => Splits::Matrix,
                shape => {
                    return Err(Failure::Value(format!(
                        "ids without offsets or lengths must have two dimensions, a bag in each row, and have the shape {shape:?}"
                    )));
                }
            },
        };
        let weights = match options.per_sample_weights {
            Some(weights) => Some(floats(&weights, "per_sample_weights", ids.shape())?),
            None => None,
        };
        let BagOptions { padding_idx, default_row, policy, .. } = options;
        Ok(BagArrays { ids, splits, weights, padding_idx, default_row, policy })
    }

    /// How many bags there are.
    pub(crate) fn count(&self) -> usize {
        match &self.splits {
            Splits::Matrix => self.ids.shape()[0],
            Splits::Starts(offsets) | Splits::Lengths(offsets) => offsets.len(),
            Splits::Bounds(offsets) => offsets.len().saturating_sub(1),
        }
    }

    /// How many ids there are.
    pub(crate) fn ids(&self) -> usize {
        self.ids.len()
    }

    /// The shape of the ids.
    pub(crate) fn shape(&self) -> &[usize] {
        self.ids.shape()
    }

    pub(crate) fn raw(&self) -> Result<RawBags<'_>> {
        let offsets = |offsets: &IdArray<'_>| match offsets.raw() {
            RawIds::I32(offsets) => Ok(RawOffsets::I32(offsets)),
            RawIds::I64(offsets) => Ok(RawOffsets::I64(offsets)),
            _ => Err(Failure::Type("offsets and lengths must be of int32 or int64".into())),
        };
        Ok(RawBags {
            ids: self.ids.raw(),
            shape: self.ids.shape(),
            splits: match &self.splits {
                Splits::Matrix => Splits::Matrix,
                Splits::Starts(starts) => Splits::Starts(offsets(starts)?),
                Splits::Bounds(bounds) => Splits::Bounds(offsets(bounds)?),
                Splits::Lengths(lengths) => Splits::Lengths(offsets(lengths)?),
            },
            weights: self.weights.as_ref().map(|(_, weights)| *weights),
            padding_idx: self.padding_idx,
            default_row: self.default_row,
            policy: self.policy,
        })
    }
}

impl RawBags<'_> {
    pub(crate) fn bags(&self) -> Result<Bags<'_>> {
        let ids = ids::ids(&self.ids, self.shape, self.policy)?;
        let mut bags = match &self.splits {
            Splits::Matrix => Bags::from_matrix(ids)?,
            Splits::Starts(RawOffsets::I32(starts)) => Bags::from_offsets(ids, starts.get()),
            Splits::Starts(RawOffsets::I64(starts)) => Bags::from_offsets(ids, starts.get()),
            Splits::Bounds(RawOffsets::I32(bounds)) => Bags::from_splits(ids, bounds.get()),
            Splits::Bounds(RawOffsets::I64(bounds)) => Bags::from_splits(ids, bounds.get()),
            Splits::Lengths(RawOffsets::I32(lengths)) => Bags::from_lengths(ids, lengths.get()),
            Splits::Lengths(RawOffsets::I64(lengths)) => Bags::from_lengths(ids, lengths.get()),
        };
        if let Some(weights) = &self.weights {
            bags = bags.with_weights(weights.get());
        }
        if let Some(row) = self.padding_idx {
            bags = bags.with_padding_idx(row);
        }
        if let Some(row) = self.default_row {
            bags = bags.with_default_row(row);
        }
        Ok(bags)
    }

    /// Everything that is read, for [`apart`](crate::arrays::apart).
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (&'static str, &dyn Range)> {
        let offsets: Option<&dyn Range> = match &self.splits {
            Splits::Matrix => None,
            Splits::Starts(offsets) | Splits::Bounds(offsets) | Splits::Lengths(offsets) => match offsets {
                RawOffsets::I32(offsets) => Some(offsets),
                RawOffsets::I64(offsets) => Some(offsets),
            },
        };
        let weights = self.weights.as_ref().map(|weights| ("per_sample_weights", weights as &dyn Range));
        [("the ids", &self.ids as &dyn Range)].into_iter().chain(offsets.map(|offsets| ("the offsets", offsets))).chain(weights)
    }
}

/// Offsets or lengths: 32-bit or 64-bit integers, in one dimension.
pub(crate) fn whole_numbers<'py>(given: &Bound<'py, PyAny>, what: &str) -> Result<IdArray<'py>> {
    let array = IdArray::of(given, what)?;
    let array = match array.raw() {
        RawIds::I32(_) | RawIds::I64(_) => array,
        // An empty list is an array of floats.
        RawIds::F64(_) if array.len() == 0 => IdArray::of(&array.cast("int64")?, what)?,
        _ => return Err(Failure::Type(format!("{what} must be of int32 or int64"))),
    };
    match array.shape() {
        [_] => Ok(array),
        shape => Err(Failure::Value(format!("{what} must have one dimension, and have the shape {shape:?}"))),
    }
}

/// An array of float32 of this shape; of other numbers, or with gaps, it is copied.
pub(crate) fn floats<'py>(
    given: &Bound<'py, PyAny>,
    what: &str,
    shape: &[usize],
) -> Result<(Bound<'py, PyUntypedArray>, RawSlice<f32>)> {
    let (array, raw) = any_floats(given, what)?;
    if array.shape() != shape {
        return Err(Failure::Value(format!("{what} must have the shape {shape:?}, and has {:?}", array.shape())));
    }
    Ok((array, raw))
}

/// The same of any shape.
pub(crate) fn any_floats<'py>(given: &Bound<'py, PyAny>, what: &str) -> Result<(Bound<'py, PyUntypedArray>, RawSlice<f32>)> {
    let in_place = given.cast::<PyUntypedArray>().ok().and_then(|array| Some((array.clone(), RawSlice::of_f32(array)?)));
    if let Some(found) = in_place {
        return Ok(found);
    }
    let py = given.py();
    let array = py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (given,))?;
    let array = array.cast_into::<PyUntypedArray>().map_err(PyErr::from)?;
    if !matches!(array.dtype().kind(), b'f' | b'i' | b'u' | b'b' | b'V') {
        return Err(Failure::Type(format!("{what} must be of float32, and is of {}", array.dtype())));
    }
    let order = pyo3::types::PyDict::new(py);
    order.set_item(intern!(py, "order"), "C")?;
    let copied = array.call_method(intern!(py, "astype"), ("float32",), Some(&order))?;
    let array = copied.cast_into::<PyUntypedArray>().map_err(PyErr::from)?;
    match RawSlice::of_f32(&array) {
        Some(raw) => Ok((array, raw)),
        None => Err(Failure::Type(format!("{what} cannot be read as float32"))),
    }
}
