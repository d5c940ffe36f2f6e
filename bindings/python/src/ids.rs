//! Ids as Python has them.

use hotrow::{IdPolicy, Ids};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;

use crate::arrays::RawIds;
use crate::error::{Failure, Result};

/// An array of ids, ready to be read.
pub(crate) struct IdArray<'py> {
    array: Bound<'py, PyUntypedArray>,
    raw: RawIds,
}

impl<'py> IdArray<'py> {
    /// Any array of numbers, a number, or nested sequences of them. What the engine cannot read in place is copied.
    pub(crate) fn of(ids: &Bound<'py, PyAny>, what: &str) -> Result<IdArray<'py>> {
        if let Ok(array) = ids.cast::<PyUntypedArray>()
            && let Some(raw) = RawIds::of(array)
        {
            return Ok(IdArray { array: array.clone(), raw });
        }
        let py = ids.py();
        let given = py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (ids,))?;
        let given = given.cast_into::<PyUntypedArray>().map_err(PyErr::from)?;
        let dtype = given.dtype();
        let order = pyo3::types::PyDict::new(py);
        order.set_item(intern!(py, "order"), "C")?;
        let copied = match dtype.kind() {
            // A byte that is neither 0 nor 1 counts as true.
            b'b' => given.call_method(intern!(py, "astype"), ("uint8",), Some(&order))?,
            b'i' | b'u' | b'f' => given.call_method(
                intern!(py, "astype"),
                (dtype.call_method1(intern!(py, "newbyteorder"), ("=",))?,),
                Some(&order),
            )?,
            _ => return Err(Failure::Type(format!("{what} must be integers or floats, and are of {dtype}"))),
        };
        let array = copied.cast_into::<PyUntypedArray>().map_err(PyErr::from)?;
        match RawIds::of(&array) {
            Some(raw) => Ok(IdArray { array, raw }),
            None => Err(Failure::Type(format!("{what} must be integers or floats of at most 64 bits, and are of {dtype}"))),
        }
    }

    /// A copy of other numbers.
    pub(crate) fn cast(&self, dtype: &str) -> PyResult<Bound<'py, PyAny>> {
        self.array.call_method1(intern!(self.array.py(), "astype"), (dtype,))
    }

    pub(crate) fn raw(&self) -> RawIds {
        self.raw
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    pub(crate) fn len(&self) -> usize {
        self.raw.len()
    }
}

/// The ids in their shape, read by a policy.
pub(crate) fn ids<'a>(raw: &'a RawIds, shape: &'a [usize], policy: IdPolicy) -> Result<Ids<'a>> {
    Ok(raw.ids(shape)?.with_policy(policy))
}
