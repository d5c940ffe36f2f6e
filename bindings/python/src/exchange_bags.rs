//! Bags on their way to the owners of their rows, and back.

use std::sync::Arc;

use hotrow::exchange::{self, Routes};
use numpy::{PyArray1, PyUntypedArray};
use pyo3::prelude::*;

use crate::arrays::{Kind, RawRows};
use crate::bags::floats;
use crate::error::Result;
use crate::exchange::{Messages, arrays};
use crate::memory::{new_array, new_zeros};
use crate::pool::{self, Access};

/// What a rank keeps of the bags that it sent.
#[pyclass(frozen, module = "hotrow._native")]
pub(crate) struct RoutedBags {
    routes: Arc<Routes>,
    routed: exchange::RoutedBags,
}

impl RoutedBags {
    pub(crate) fn new(routes: Arc<Routes>, routed: exchange::RoutedBags) -> RoutedBags {
        RoutedBags { routes, routed }
    }

    fn shape(&self) -> [usize; 2] {
        [self.routed.examples(), self.routes.width()]
    }
}

#[pymethods]
impl RoutedBags {
    /// How many examples the batch has.
    #[getter]
    fn examples(&self) -> usize {
        self.routed.examples()
    }

    /// Puts the vectors of all owners in place: float32 `[examples, width]`. In `out`, if it is given, columns of tables without shards stay as they are;
    /// otherwise they are zeros.
    #[pyo3(signature = (messages, out=None))]
    fn unpack<'py>(
        &self,
        py: Python<'py>,
        messages: Vec<Bound<'py, PyAny>>,
        out: Option<Bound<'py, PyUntypedArray>>,
    ) -> Result<Bound<'py, PyUntypedArray>> {
        let messages = Messages::of(&messages)?;
        let array = match out {
            Some(out) => out,
            None if self.routes.is_whole() => new_array(py, numpy::dtype::<f32>(py), &self.shape())?,
            None => new_zeros(py, numpy::dtype::<f32>(py), &self.shape())?,
        };
        let mut rows = RawRows::of(&array, Kind::F32, &self.shape())?;
        messages.apart(&rows, "out")?;
        messages.run(py, 0, |messages| {
            let RawRows::F32(out) = &mut rows else { return Ok(()) };
            Ok(self.routed.unpack(&self.routes, messages, out.get_mut())?)
        })?;
        Ok(array)
    }

    /// The gradient of the output as a message for each owner.
    fn pack_gradient<'py>(&self, py: Python<'py>, grad: &Bound<'py, PyAny>) -> Result<Vec<Bound<'py, PyArray1<u8>>>> {
        let (_array, values) = floats(grad, "grad", &self.shape())?;
        let messages =
            pool::run(py, 8 * values.len(), Access::Free, |_| Ok(self.routed.pack_gradient(&self.routes, values.get())?))?;
        Ok(arrays(py, messages))
    }
}

/// The bags that an owner got from all ranks.
#[pyclass(frozen, module = "hotrow._native")]
pub(crate) struct ReceivedBags {
    routes: Arc<Routes>,
    rank: usize,
    received: exchange::ReceivedBags,
}

impl ReceivedBags {
    pub(crate) fn new(routes: Arc<Routes>, rank: usize, received: exchange::ReceivedBags) -> ReceivedBags {
        ReceivedBags { routes, rank, received }
    }

    fn shape(&self) -> [usize; 2] {
        [self.received.examples(), self.routes.width_of(self.rank)]
    }
}

#[pymethods]
impl ReceivedBags {
    /// How many examples there are, of all ranks together.
    #[getter]
    fn examples(&self) -> usize {
        self.received.examples()
    }

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

    /// The weights, if any rank gave some.
    #[getter]
    fn weights<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<f32>>> {
        self.received.weights().map(|weights| PyArray1::from_slice(py, weights))
    }

    /// The output of the owner's collection as a message for each rank.
    fn pack<'py>(&self, py: Python<'py>, output: &Bound<'py, PyAny>) -> Result<Vec<Bound<'py, PyArray1<u8>>>> {
        let (_array, values) = floats(output, "output", &self.shape())?;
        let messages = pool::run(py, 8 * values.len(), Access::Free, |_| Ok(self.received.pack(&self.routes, values.get())?))?;
        Ok(arrays(py, messages))
    }

    /// The gradient of that output, with whole rows of the tables whose owners get them.
    fn unpack_gradient<'py>(&self, py: Python<'py>, messages: Vec<Bound<'py, PyAny>>) -> Result<Bound<'py, PyUntypedArray>> {
        let messages = Messages::of(&messages)?;
        let shape = [self.received.examples(), self.routes.gradient_width_of(self.rank)];
        let array = new_array(py, numpy::dtype::<f32>(py), &shape)?;
        let mut rows = RawRows::of(&array, Kind::F32, &shape)?;
        messages.run(py, 0, |messages| {
            let RawRows::F32(out) = &mut rows else { return Ok(()) };
            Ok(self.received.unpack_gradient(&self.routes, messages, out.get_mut())?)
        })?;
        Ok(array)
    }
}
