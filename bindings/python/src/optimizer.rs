//! Optimizers: one exact step for each row that a batch names, fused with the sum of its gradients.

use std::sync::{Mutex, PoisonError, RwLockReadGuard};

use hotrow::Gradient;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{AnyViewMut, Range, RawRows, RawTable, apart};
use crate::error::{Failure, Result};
use crate::gradient::{GradientArrays, LookupOptions, RawGradient};
use crate::optimizer_state::State;
use crate::pool;
use crate::rules::Named;
use crate::sparse::SparseGrad;
use crate::table::TableArg;

/// An optimizer and its state for one table of `rows` rows of `dim` values.
#[pyclass(frozen, weakref, module = "hotrow")]
pub(crate) struct Optimizer {
    /// Replaced by `load_state_dict` alone.
    state: Mutex<Py<State>>,
}

impl Optimizer {
    fn of(py: Python<'_>, state: State) -> Result<Optimizer> {
        Ok(Optimizer { state: Mutex::new(Py::new(py, state)?) })
    }

    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bind(py).clone()
    }

    fn put(&self, py: Python<'_>, state: State) -> Result<()> {
        let mut new = Py::new(py, state)?;
        std::mem::swap(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), &mut new);
        // The old one ends here, when the lock is not held any more.
        drop(new);
        Ok(())
    }

    /// Applies a gradient. The optimizer's lock is taken before the table's, here and everywhere.
    fn apply(&self, py: Python<'_>, table: &TableArg<'_>, ids: usize, source: Source<'_>) -> Result<()> {
        let state = self.state(py);
        let state = state.get();
        let mut raw: RawTable = table.raw();
        for (what, range) in source.ranges() {
            apart(&raw, "the table", range, what)?;
            for own in state.tables() {
                apart(own, "the optimizer's state", range, what)?;
            }
        }
        let access = table.write();
        let free = source.is_free() && state.is_free() && access.is_free();
        pool::run_locked(py, 2 * raw.bytes_of(ids), free, |place| {
            let held = source.hold();
            let mut optimizer = state.lock();
            let optimizer = &mut *optimizer;
            access.hold(|| {
                place.run(|workspace| {
                    let gradient = held.gradient()?;
                    match raw.view_mut()? {
                        AnyViewMut::F32(table) => workspace.step(optimizer, table, gradient)?,
                        AnyViewMut::F16(table) => workspace.step(optimizer, table, gradient)?,
                        AnyViewMut::BF16(table) => workspace.step(optimizer, table, gradient)?,
                    }
                    Ok(())
                })
            })
        })
    }
}

/// Where a step's gradient comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Lookup(&'a RawGradient<'a>),
    Summed(&'a SparseGrad),
}

/// A [`Source`] that nobody changes.
enum Held<'a> {
    Lookup(&'a RawGradient<'a>),
    Summed(RwLockReadGuard<'a, hotrow::SparseGrad>),
}

impl<'a> Source<'a> {
    /// Everything that is read.
    fn ranges(self) -> Vec<(&'static str, &'a dyn Range)> {
        match self {
            Source::Lookup(lookup) => lookup.ranges(),
            Source::Summed(summed) => vec![("the gradient", summed.raw())],
        }
    }

    fn is_free(self) -> bool {
        match self {
            Source::Lookup(_) => true,
            Source::Summed(summed) => summed.is_free(),
        }
    }

    fn hold(self) -> Held<'a> {
        match self {
            Source::Lookup(lookup) => Held::Lookup(lookup),
            Source::Summed(summed) => Held::Summed(summed.read()),
        }
    }
}

impl Held<'_> {
    fn gradient(&self) -> Result<Gradient<'_>> {
        match self {
            Held::Lookup(lookup) => lookup.gradient(),
            Held::Summed(summed) => Ok(Gradient::of_sparse(summed)),
        }
    }
}

#[pymethods]
impl Optimizer {
    #[new]
    #[pyo3(signature = (rule, rows, dim, **hyperparameters))]
    fn new(py: Python<'_>, rule: &str, rows: usize, dim: usize, hyperparameters: Option<&Bound<'_, PyDict>>) -> Result<Optimizer> {
        let given = hyperparameters.cloned().unwrap_or_else(|| PyDict::new(py));
        Optimizer::of(py, State::new(py, rule, [rows, dim], &Named::of(&given)?)?)
    }

    /// The name of the rule.
    #[getter]
    fn rule(&self, py: Python<'_>) -> &'static str {
        self.state(py).get().with(py, |optimizer| optimizer.rule().name())
    }

    /// How many rows the table has.
    #[getter]
    fn rows(&self, py: Python<'_>) -> usize {
        self.state(py).get().rows
    }

    /// How many values a row of the table has.
    #[getter]
    fn dim(&self, py: Python<'_>) -> usize {
        self.state(py).get().dim
    }

    /// The learning rate, from the next step on.
    #[getter]
    fn lr(&self, py: Python<'_>) -> f32 {
        self.state(py).get().with(py, |optimizer| optimizer.lr())
    }

    #[setter]
    fn set_lr(&self, py: Python<'_>, lr: f64) -> Result<()> {
        Ok(self.state(py).get().with(py, |optimizer| optimizer.set_lr(lr as f32))?)
    }

    /// How many steps were made.
    #[getter]
    fn steps(&self, py: Python<'_>) -> u64 {
        self.state(py).get().with(py, |optimizer| optimizer.steps())
    }

    #[setter]
    fn set_steps(&self, py: Python<'_>, steps: u64) {
        self.state(py).get().with(py, |optimizer| optimizer.set_steps(steps));
    }

    /// The states by name, as arrays that share their memory. They can be read and not written, and `load_state_dict` gives the optimizer others.
    #[pyo3(name = "state")]
    fn state_arrays<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        State::arrays(&self.state(py))
    }

    /// Sets one state, in place.
    fn set_state(&self, name: &str, values: &Bound<'_, PyAny>) -> Result<()> {
        self.state(values.py()).get().set(name, values)
    }

    /// Everything that it takes to go on bit for bit: strings, numbers, and a copy of each state.
    fn state_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        self.state(py).get().dict(py)
    }

    /// Goes on as the optimizer that `state` was taken from: with its hyperparameters, options, steps and states, which are copied.
    fn load_state_dict(&self, state: &Bound<'_, PyDict>) -> Result<()> {
        let py = state.py();
        let own = self.state(py);
        let own = own.get();
        let loaded = State::of_dict(state, Some([own.rows, own.dim]))?;
        let rule = |state: &State| state.with(py, |optimizer| optimizer.rule().name());
        let (theirs, ours) = (rule(&loaded), rule(own));
        if theirs != ours {
            return Err(Failure::Value(format!("the state is of {theirs}, and this is {ours}")));
        }
        self.put(py, loaded)
    }

    /// One step on the rows that the ids name. `grad` is the gradient of the lookup's output: `ids.shape + [dim]` of a gather, `[bags, dim]` of bags.
    #[pyo3(signature = (table, ids, grad, *, offsets=None, lengths=None, mode=None, per_sample_weights=None, include_last_offset=false,
        padding_idx=None, scale_grad_by_freq=false, argmax=None, policy="strict", dtype=None))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn step<'py>(
        &self,
        table: &Bound<'py, PyAny>,
        ids: &Bound<'py, PyAny>,
        grad: &Bound<'py, PyAny>,
        offsets: Option<Bound<'py, PyAny>>,
        lengths: Option<Bound<'py, PyAny>>,
        mode: Option<&str>,
        per_sample_weights: Option<Bound<'py, PyAny>>,
        include_last_offset: bool,
        padding_idx: Option<i64>,
        scale_grad_by_freq: bool,
        argmax: Option<Bound<'py, PyAny>>,
        policy: &str,
        dtype: Option<&str>,
    ) -> Result<()> {
        let table = TableArg::of(table)?;
        let options = LookupOptions {
            offsets,
            lengths,
            mode,
            per_sample_weights,
            include_last_offset,
            padding_idx,
            scale_grad_by_freq,
            argmax,
            policy,
            // Where the table's bfloat16 is in uint16, the gradient's is.
            dtype: dtype.or_else(|| RawRows::is_bits(&table.array()).then_some("bfloat16")),
        };
        let arrays = GradientArrays::of(ids, grad, options)?;
        let state = self.state(ids.py());
        let (whose, dim) = match state.get() {
            own if own.gradient_dim > own.dim => ("the whole table's", own.gradient_dim),
            _ => ("the table's", table.raw().dim),
        };
        if arrays.dim() != dim {
            return Err(Failure::Value(format!("{whose} rows have {dim} values, and the gradient's have {}", arrays.dim())));
        }
        let raw = arrays.raw()?;
        self.apply(ids.py(), &table, arrays.ids(), Source::Lookup(&raw))
    }

    /// One step by a gradient that has been summed by row.
    fn step_sparse(&self, table: &Bound<'_, PyAny>, gradient: &Bound<'_, SparseGrad>) -> Result<()> {
        let summed = gradient.get();
        self.apply(gradient.py(), &TableArg::of(table)?, summed.raw().rows, Source::Summed(summed))
    }

    fn __copy__(&self, py: Python<'_>) -> Result<Optimizer> {
        Optimizer::of(py, State::of_dict(&self.state_dict(py)?, None)?)
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> Result<Optimizer> {
        self.__copy__(py)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Optimizer>) -> Result<Reduced<'py>> {
        let (py, own) = (slf.py(), slf.get());
        let made_by = (own.rule(py), own.rows(py), own.dim(py));
        Ok((slf.get_type().into_any(), made_by, own.state_dict(py)?))
    }

    fn __setstate__(&self, state: &Bound<'_, PyDict>) -> Result<()> {
        self.load_state_dict(state)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let state = self.state(py);
        let (rule, lr, steps) = state.get().with(py, |optimizer| (optimizer.rule().name(), optimizer.lr(), optimizer.steps()));
        format!("hotrow.Optimizer({rule:?}, rows={}, dim={}, lr={lr}, steps={steps})", state.get().rows, state.get().dim)
    }
}

type Reduced<'py> = (Bound<'py, PyAny>, (&'static str, usize, usize), Bound<'py, PyDict>);
