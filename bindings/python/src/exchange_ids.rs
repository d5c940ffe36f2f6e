//! Ids that are not pooled on their way to the owners of their rows, and back.

use std::sync::Arc;

use hotrow::exchange::{self, Routes};
use numpy::{PyArray1, PyUntypedArray};
use pyo3::prelude::*;

use crate::arrays::{Kind, RawRows, RawSlice};
use crate::bags::any_floats;
use crate::error::Result;
use crate::exchange::{Messages, arrays};
use crate::memory::new_array;
use crate::pool::{self, Access};

/// What a rank keeps of the ids that it sent.
#[pyclass(frozen, module = "hotrow._native")]
pub(crate) struct RoutedIds {
    routes: Arc<Routes>,
    routed: exchange::RoutedIds,
}

impl RoutedIds {
    pub(crate) fn new(routes: Arc<Routes>, routed: exchange::RoutedIds) -> RoutedIds {
        RoutedIds { routes, routed }
    }
}

#[pymethods]
impl RoutedIds {
    /// How many ids each feature has.
    #[getter]
    fn ids(&self) -> Vec<usize> {
        self.routed.ids().to_vec()
    }

    /// The rows of all owners in place: float32 `[ids, dim]` of each feature, one behind the other.
    fn unpack<'py>(&self, py: Python<'py>, messages: Vec<Bound<'py, PyAny>>) -> Result<Bound<'py, PyUntypedArray>> {
        let messages = Messages::of(&messages)?;
        let size = self.routed.output_len(&self.routes);
        let array = new_array(py, numpy::dtype::<f32>(py), &[size])?;
        let mut rows = RawRows::of(&array, Kind::F32, &[size])?;
        messages.run(py, 0, |messages| {
            let RawRows::F32(out) = &mut rows else { return Ok(()) };
            Ok(self.routed.unpack(&self.routes, messages, out.get_mut())?)
        })?;
        Ok(array)
    }

    /// The gradients of each feature's rows as a message for each owner; with `summed`, those of equal ids are summed.
    #[pyo3(signature = (grads, *, summed=false))]
    fn pack_gradient<'py>(
        &self,
        py: Python<'py>,
        grads: Vec<Bound<'py, PyAny>>,
        summed: bool,
    ) -> Result<Vec<Bound<'py, PyArray1<u8>>>> {
        let (_arrays, raw) = lists(&grads, "grads")?;
        let messages = run(py, &raw, |lists| Ok(self.routed.pack_gradient(&self.routes, lists, summed)?))?;
        Ok(arrays(py, messages))
    }
}

/// The ids that an owner got from all ranks.
#[pyclass(frozen, module = "hotrow._native")]
pub(crate) struct ReceivedIds {
    routes: Arc<Routes>,
    received: exchange::ReceivedIds,
}

impl ReceivedIds {
    pub(crate) fn new(routes: Arc<Routes>, received: exchange::ReceivedIds) -> ReceivedIds {
        ReceivedIds { routes, received }
    }
}

#[pymethods]
impl ReceivedIds {
    /// The ids.
    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        PyArray1::from_slice(py, self.received.values())
    }

    /// The lengths of the lists.
    #[getter]
    fn lengths<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        PyArray1::from_slice(py, self.received.lengths())
    }

    /// The outputs of the owner's collection as a message for each rank.
    fn pack<'py>(&self, py: Python<'py>, outputs: Vec<Bound<'py, PyAny>>) -> Result<Vec<Bound<'py, PyArray1<u8>>>> {
        let (_arrays, raw) = lists(&outputs, "outputs")?;
        let messages = run(py, &raw, |lists| Ok(self.received.pack(&self.routes, lists)?))?;
        Ok(arrays(py, messages))
    }

    /// The gradients of those outputs, `[ids, columns]` of each, one behind the other; whole rows of the tables whose owners get them.
    fn unpack_gradient<'py>(&self, py: Python<'py>, messages: Vec<Bound<'py, PyAny>>) -> Result<Bound<'py, PyUntypedArray>> {
        let messages = Messages::of(&messages)?;
        let size = self.received.gradient_len(&self.routes);
        let array = new_array(py, numpy::dtype::<f32>(py), &[size])?;
        let mut rows = RawRows::of(&array, Kind::F32, &[size])?;
        messages.run(py, 0, |messages| {
            let RawRows::F32(out) = &mut rows else { return Ok(()) };
            Ok(self.received.unpack_gradient(&self.routes, messages, out.get_mut())?)
        })?;
        Ok(array)
    }
}

/// Arrays of float32 and their memory.
type Lists<'py> = (Vec<Bound<'py, PyUntypedArray>>, Vec<RawSlice<f32>>);

fn lists<'py>(given: &[Bound<'py, PyAny>], what: &str) -> Result<Lists<'py>> {
    let found = given.iter().map(|list| any_floats(list, what)).collect::<Result<Vec<_>>>()?;
    Ok(found.into_iter().unzip())
}

/// Does `work` with the lists.
fn run<T: Send>(py: Python<'_>, raw: &[RawSlice<f32>], work: impl FnOnce(&[&[f32]]) -> Result<T> + Send) -> Result<T> {
    let values: usize = raw.iter().map(RawSlice::len).sum();
    pool::run(py, 8 * values, Access::Free, |_| {
        let lists: Vec<&[f32]> = raw.iter().map(RawSlice::get).collect();
        work(&lists)
    })
}
