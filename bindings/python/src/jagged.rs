//! The input of a collection: lists of ids under keys.

use hotrow::{IdPolicy, KeyedJagged};
use numpy::PyUntypedArray;
use pyo3::prelude::*;

use crate::arrays::{RawIds, RawSlice};
use crate::bags::{floats, whole_numbers};
use crate::error::{Failure, Result};
use crate::ids::{IdArray, ids as ids_of};
use crate::options;

/// What a caller says of the lists.
pub(crate) struct JaggedOptions<'a, 'py> {
    pub(crate) lengths: Option<Bound<'py, PyAny>>,
    pub(crate) offsets: Option<Bound<'py, PyAny>>,
    pub(crate) weights: Option<Bound<'py, PyAny>>,
    pub(crate) policy: &'a str,
}

/// Arrays that are held while the engine reads them.
pub(crate) struct JaggedArrays<'py> {
    keys: Vec<String>,
    ids: IdArray<'py>,
    cuts: IdArray<'py>,
    by_length: bool,
    weights: Option<(Bound<'py, PyUntypedArray>, RawSlice<f32>)>,
    policy: IdPolicy,
}

impl<'py> JaggedArrays<'py> {
    pub(crate) fn of(keys: Vec<String>, values: &Bound<'py, PyAny>, options: JaggedOptions<'_, 'py>) -> Result<JaggedArrays<'py>> {
        let ids = IdArray::of(values, "values")?;
        if ids.shape().len() != 1 {
            return Err(Failure::Value(format!("values must have one dimension, and have the shape {:?}", ids.shape())));
        }
        let (cuts, by_length) = match (options.lengths, options.offsets) {
            (Some(lengths), None) => (whole_numbers(&lengths, "lengths")?, true),
            (None, Some(offsets)) => (whole_numbers(&offsets, "offsets")?, false),
            _ => return Err(Failure::Value("lists are cut by lengths or by offsets: give one of them".into())),
        };
        let weights = options.weights.map(|weights| floats(&weights, "weights", ids.shape())).transpose()?;
        Ok(JaggedArrays { keys, ids, cuts, by_length, weights, policy: options::policy(Some(options.policy))? })
    }

    /// How many ids there are.
    pub(crate) fn ids(&self) -> usize {
        self.ids.len()
    }

    /// How many examples there are, if the lists can be shared out evenly among the keys, which the engine checks.
    pub(crate) fn examples(&self) -> usize {
        let lists = if self.by_length { self.cuts.len() } else { self.cuts.len().saturating_sub(1) };
        lists.checked_div(self.keys.len()).unwrap_or(0)
    }

    pub(crate) fn raw(&self) -> RawJagged<'_> {
        RawJagged {
            keys: &self.keys,
            ids: self.ids.raw(),
            shape: self.ids.shape(),
            cuts: self.cuts.raw(),
            by_length: self.by_length,
            weights: self.weights.as_ref().map(|(_, weights)| *weights),
            policy: self.policy,
        }
    }
}

/// The memory of [`JaggedArrays`], which can be read while Python runs.
pub(crate) struct RawJagged<'a> {
    keys: &'a [String],
    ids: RawIds,
    shape: &'a [usize],
    cuts: RawIds,
    by_length: bool,
    weights: Option<RawSlice<f32>>,
    policy: IdPolicy,
}

impl RawJagged<'_> {
    pub(crate) fn input(&self) -> Result<KeyedJagged<'_>> {
        let ids = ids_of(&self.ids, self.shape, self.policy)?;
        let input = match (&self.cuts, self.by_length) {
            (RawIds::I32(lengths), true) => KeyedJagged::from_lengths(self.keys, ids, lengths.get()),
            (RawIds::I64(lengths), true) => KeyedJagged::from_lengths(self.keys, ids, lengths.get()),
            (RawIds::I32(offsets), false) => KeyedJagged::from_offsets(self.keys, ids, offsets.get()),
            (RawIds::I64(offsets), false) => KeyedJagged::from_offsets(self.keys, ids, offsets.get()),
            _ => return Err(Failure::Type("lengths and offsets must be of int32 or int64".into())),
        };
        Ok(match &self.weights {
            Some(weights) => input.with_weights(weights.get()),
            None => input,
        })
    }
}
