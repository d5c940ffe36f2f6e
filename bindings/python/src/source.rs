//! Rows that a caller hands in: gradients, and rows to be added.

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::arrays::RawRows;
use crate::bags::floats;
use crate::error::{Failure, Result};

/// An array of float32, float16 or bfloat16 that is held while the engine reads it.
pub(crate) struct Source<'py> {
    _array: Bound<'py, PyUntypedArray>,
    pub(crate) rows: RawRows,
}

impl<'py> Source<'py> {
    /// Of this shape. What has gaps, or is of other numbers, is copied. Unsigned 16-bit numbers are bfloat16 if `bits` says so.
    pub(crate) fn of(given: &Bound<'py, PyAny>, what: &str, bits: bool, shape: &[usize]) -> Result<Source<'py>> {
        let in_place = given.cast::<PyUntypedArray>().ok().and_then(|array| Some((array.clone(), RawRows::to_read(array, bits)?)));
        let Some((array, rows)) = in_place else {
            if let Some(copy) = Source::copied(given, bits, shape)? {
                return Source::of(&copy, what, bits, shape);
            }
            let (array, values) = floats(given, what, shape)?;
            return Ok(Source { _array: array, rows: RawRows::F32(values) });
        };
        if array.shape() != shape {
            return Err(Failure::Value(format!("{what} must have the shape {shape:?}, and has {:?}", array.shape())));
        }
        Ok(Source { _array: array, rows })
    }

    /// Bits of bfloat16 that have gaps, without them. All others may be copied as numbers.
    fn copied(given: &Bound<'py, PyAny>, bits: bool, shape: &[usize]) -> Result<Option<Bound<'py, PyAny>>> {
        let Ok(array) = given.cast::<PyUntypedArray>() else { return Ok(None) };
        if !bits || array.shape() != shape || !RawRows::is_bits(array) {
            return Ok(None);
        }
        let copy = array.call_method1(pyo3::intern!(given.py(), "astype"), ("uint16", "C"))?;
        Ok(Some(copy))
    }
}
