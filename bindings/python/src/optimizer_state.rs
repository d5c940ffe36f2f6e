//! An optimizer of the engine together with the arrays that its state is seen through.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use hotrow::{Optimizer, Rounding, Rule, WeightDecay};
use numpy::PyUntypedArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Kind, RawRows, RawTable, apart};
use crate::bags::floats;
use crate::error::{Failure, Result};
use crate::memory::{new_array, rows_in};
use crate::pool;
use crate::rules::{self, Named, Number};

/// What the states are named in a `state_dict`: `momentum` is both a state of SGD and a hyperparameter.
const PREFIX: &str = "state.";

/// The base object of the arrays that show an optimizer's state: it keeps their memory when the optimizer has got another.
#[pyclass(frozen, name = "OptimizerState", module = "hotrow._native")]
pub(crate) struct State {
    /// Its state is changed in place alone.
    optimizer: Mutex<Optimizer>,
    tables: Vec<(&'static str, RawTable)>,
    pub(crate) rows: usize,
    pub(crate) dim: usize,
    /// The columns of a gradient: more, where the table is some columns of a wider one.
    pub(crate) gradient_dim: usize,
}

impl State {
    /// An optimizer with the hyperparameters and options that are given, its state as before the first step.
    pub(crate) fn new(py: Python<'_>, rule: &str, shape: [usize; 2], given: &Named<'_>) -> Result<State> {
        let recipe = Recipe::of(rule, given)?;
        let bytes = shape[0].saturating_mul(shape[1]).saturating_mul(2 * size_of::<f32>());
        State::of(pool::allocate(py, bytes, |_| Ok(recipe.make(shape)?))?)
    }

    fn of(optimizer: Optimizer) -> Result<State> {
        let tables = optimizer.state().map(|(name, table)| (name, RawTable::of_table(table))).collect();
        let [rows, dim, gradient_dim] = [optimizer.rows(), optimizer.dim(), optimizer.gradient_dim()];
        Ok(State { tables, rows, dim, gradient_dim, optimizer: Mutex::new(optimizer) })
    }

    /// The optimizer that [`dict`](State::dict) wrote, for a table of this shape if one is given.
    pub(crate) fn of_dict(dict: &Bound<'_, PyDict>, wanted: Option<[usize; 2]>) -> Result<State> {
        let py = dict.py();
        let given = Named::of(dict)?;
        let lacks = |name: &str| Failure::Value(format!("the optimizer's state lacks {name:?}"));
        let rule = given.take("rule")?.ok_or_else(|| lacks("rule"))?.str()?.to_string();
        let size = |name| given.number::<u64>(name)?.map(|n| n as usize).ok_or_else(|| lacks(name));
        let shape = [size("rows")?, size("dim")?];
        if let Some([rows, dim]) = wanted.filter(|wanted| *wanted != shape) {
            return Err(Failure::Value(format!(
                "the state is of a table of {} by {}, and this one is of {rows} by {dim}",
                shape[0], shape[1]
            )));
        }
        let steps = given.number::<u64>("steps")?.ok_or_else(|| lacks("steps"))?;
        for &name in rules::names(rule.parse()?) {
            if !dict.contains(name)? {
                return Err(lacks(name));
            }
        }
        let mut arrays = Vec::new();
        for (name, value) in dict.iter() {
            let name = name.str()?.to_string();
            if let Some(state) = name.strip_prefix(PREFIX) {
                arrays.push((state.to_owned(), value));
                given.take(&name)?;
            }
        }
        let state = State::new(py, &rule, shape, &given)?;
        for (name, _) in &state.tables {
            if !arrays.iter().any(|(known, _)| known == name) {
                return Err(lacks(&format!("{PREFIX}{name}")));
            }
        }
        for (name, values) in arrays {
            state.set(&name, &values)?;
        }
        state.lock().set_steps(steps);
        Ok(state)
    }

    /// Everything that it takes to go on from here, copied.
    pub(crate) fn dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let mut copy = Copy::new(py, self.with(py, |optimizer| shapes(optimizer)))?;
        let taken = copy.taken();
        py.detach(|| taken.take(&self.lock()))?;
        copy.dict()
    }

    /// The optimizer alone.
    pub(crate) fn into_optimizer(self) -> Optimizer {
        self.optimizer.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets one state in place.
    pub(crate) fn set(&self, name: &str, values: &Bound<'_, PyAny>) -> Result<()> {
        let Some((_, raw)) = self.tables.iter().find(|(known, _)| *known == name) else {
            // The engine says which there are.
            return Ok(self.lock().set_state(name, &[])?);
        };
        let py = values.py();
        let (_array, values) = floats(values, name, &[raw.rows, raw.dim])?;
        apart(raw, "the optimizer's state", &values, "the values")?;
        Ok(py.detach(|| self.lock().set_state(name, values.get()))?)
    }

    /// The states as arrays without a copy, to be read.
    pub(crate) fn arrays<'py>(slf: &Bound<'py, State>) -> Result<Bound<'py, PyDict>> {
        let dict = PyDict::new(slf.py());
        for (name, raw) in &slf.get().tables {
            dict.set_item(name, rows_in(slf.clone().into_any(), raw)?)?;
        }
        Ok(dict)
    }

    /// Their memory.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &RawTable> {
        self.tables.iter().map(|(_, raw)| raw)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Optimizer> {
        self.optimizer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the lock could be had at once.
    pub(crate) fn is_free(&self) -> bool {
        !matches!(self.optimizer.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// Asks the optimizer something, or changes a number of it.
    pub(crate) fn with<T: Send>(&self, py: Python<'_>, ask: impl FnOnce(&mut Optimizer) -> T + Send) -> T {
        if self.is_free() { ask(&mut self.lock()) } else { py.detach(|| ask(&mut self.lock())) }
    }
}

/// What states an optimizer has, and their shapes.
type Shapes = Vec<(&'static str, [usize; 2])>;

pub(crate) fn shapes(optimizer: &Optimizer) -> Shapes {
    optimizer.state().map(|(name, table)| (name, table.shape())).collect()
}

/// A copy of an optimizer in Python's memory. That is allocated before the optimizer's lock is taken: who holds a lock never waits for Python.
pub(crate) struct Copy<'py> {
    py: Python<'py>,
    arrays: Vec<Bound<'py, PyUntypedArray>>,
    taken: Taken,
}

/// What the engine writes of it.
pub(crate) struct Taken {
    shapes: Shapes,
    rows: Vec<RawRows>,
    numbers: Option<Numbers>,
}

impl<'py> Copy<'py> {
    pub(crate) fn new(py: Python<'py>, shapes: Shapes) -> Result<Copy<'py>> {
        let (mut arrays, mut rows) = (Vec::new(), Vec::new());
        for (_, shape) in &shapes {
            let array = new_array(py, numpy::dtype::<f32>(py), shape)?;
            rows.push(RawRows::of(&array, Kind::F32, shape)?);
            arrays.push(array);
        }
        Ok(Copy { py, arrays, taken: Taken { shapes, rows, numbers: None } })
    }

    pub(crate) fn taken(&mut self) -> &mut Taken {
        &mut self.taken
    }

    pub(crate) fn dict(self) -> Result<Bound<'py, PyDict>> {
        let Taken { shapes, numbers, .. } = self.taken;
        let Some(numbers) = numbers else { return Err(Failure::Value("the optimizer was not copied".into())) };
        let dict = PyDict::new(self.py);
        dict.set_item("rule", numbers.rule.name())?;
        dict.set_item("rows", numbers.shape[0])?;
        dict.set_item("dim", numbers.shape[1])?;
        dict.set_item("steps", numbers.steps)?;
        rules::put(numbers.rule, &dict)?;
        numbers.options.put(&dict)?;
        for ((name, _), array) in shapes.iter().zip(self.arrays) {
            dict.set_item(format!("{PREFIX}{name}"), array)?;
        }
        Ok(dict)
    }
}

impl Taken {
    /// Copies an optimizer whose states have the shapes that were asked for.
    pub(crate) fn take(&mut self, optimizer: &Optimizer) -> Result<()> {
        if shapes(optimizer) != self.shapes {
            return Err(Failure::Value("the optimizer was replaced by another while it was copied".into()));
        }
        for ((_, table), out) in optimizer.state().zip(&mut self.rows) {
            if let RawRows::F32(out) = out {
                let out = out.get_mut().chunks_exact_mut(table.dim().max(1));
                out.zip(table.iter()).for_each(|(to, from)| to.copy_from_slice(from));
            }
        }
        self.numbers = Some(Numbers::of(optimizer));
        Ok(())
    }
}

/// An optimizer without its state.
struct Numbers {
    rule: Rule,
    shape: [usize; 2],
    options: Options,
    steps: u64,
}

impl Numbers {
    fn of(optimizer: &Optimizer) -> Numbers {
        let options = Options {
            decay: optimizer.weight_decay(),
            clip_value: optimizer.clip_value(),
            clip_norm: optimizer.clip_norm(),
            max_row_norm: optimizer.max_row_norm(),
            rounding: optimizer.rounding(),
            finite_check: optimizer.finite_check(),
            columns: Some((optimizer.columns().start, optimizer.gradient_dim())).filter(|&whole| whole != (0, optimizer.dim())),
        };
        Numbers { rule: optimizer.rule(), shape: [optimizer.rows(), optimizer.dim()], options, steps: optimizer.steps() }
    }
}

/// A rule and options that are known to be good.
pub(crate) struct Recipe {
    rule: Rule,
    options: Options,
}

impl Recipe {
    pub(crate) fn of(rule: &str, given: &Named<'_>) -> Result<Recipe> {
        let rule = rules::rule(rule, given)?;
        let options = Options::of(rule, given)?;
        if let Some(name) = given.left() {
            let known = rules::names(rule).join(", ");
            return Err(Failure::Type(format!("{rule} knows no {name:?}: it has {known}, and the options of all optimizers")));
        }
        let recipe = Recipe { rule, options };
        // On a table without rows: nothing is allocated before the options are known to be good.
        recipe.make([0, 0])?;
        Ok(recipe)
    }

    /// The optimizer of a table of this shape, its state as before the first step.
    pub(crate) fn make(&self, [rows, dim]: [usize; 2]) -> hotrow::Result<Optimizer> {
        self.options.apply(Optimizer::new(self.rule, rows, dim)?)
    }

    /// The same with random numbers of its own, for the table of this number: those that are trained together should not share them.
    pub(crate) fn for_table(&self, at: usize) -> Recipe {
        let rounding = match self.options.rounding {
            Rounding::Stochastic { seed } => Rounding::Stochastic { seed: seed.wrapping_add(at as u64) },
            other => other,
        };
        Recipe { rule: self.rule, options: Options { rounding, ..self.options } }
    }
}

/// What every optimizer can have beside its rule.
#[derive(Clone, Copy)]
struct Options {
    decay: WeightDecay,
    clip_value: Option<f32>,
    clip_norm: Option<f32>,
    max_row_norm: Option<f32>,
    rounding: Rounding,
    finite_check: bool,
    /// The first column and the dim of the wider table that the table is some columns of.
    columns: Option<(usize, usize)>,
}

impl Options {
    /// Takes them out of `given`.
    fn of(rule: Rule, given: &Named<'_>) -> Result<Options> {
        let own = matches!(rule, Rule::AdamW(_));
        let mode = given.take("weight_decay_mode")?.map(|mode| mode.str()).transpose()?.map(|mode| mode.to_string());
        // AdamW has taken its own.
        let decay = given.number::<f32>("weight_decay")?;
        let decay = match (decay, mode.as_deref()) {
            (_, Some("l2")) if own => return Err(Failure::Value("adamw has a weight decay of its own, which is decoupled".into())),
            // A decay of nothing is none: adding zero times an infinite weight would not be.
            (None | Some(0.0), None | Some("l2" | "decoupled")) => WeightDecay::None,
            (Some(decay), None | Some("l2")) => WeightDecay::L2(decay),
            (Some(decay), Some("decoupled")) => WeightDecay::Decoupled(decay),
            (_, Some(other)) => {
                return Err(Failure::Value(format!("weight_decay_mode must be \"l2\" or \"decoupled\", and is {other:?}")));
            }
        };
        let rounding = match given.take("stochastic_rounding")? {
            None => Rounding::Nearest,
            Some(flag) if flag.is_instance_of::<pyo3::types::PyBool>() => {
                return Err(Failure::Type("stochastic_rounding is the seed of the rounding, a whole number, or None".into()));
            }
            Some(seed) => Rounding::Stochastic { seed: u64::of("stochastic_rounding", &seed)? },
        };
        let columns = |given: Bound<'_, PyAny>| {
            let wrong = "columns must be two whole numbers: which is the first, and how many the whole table has";
            given.extract::<(usize, usize)>().map_err(|_| Failure::Type(wrong.into()))
        };
        Ok(Options {
            decay,
            clip_value: given.number("clip_value")?,
            clip_norm: given.number("clip_norm")?,
            max_row_norm: given.number("max_row_norm")?,
            rounding,
            finite_check: given.number("finite_check")?.unwrap_or(false),
            columns: given.take("columns")?.map(columns).transpose()?,
        })
    }

    fn apply(self, optimizer: Optimizer) -> hotrow::Result<Optimizer> {
        let mut optimizer =
            optimizer.with_weight_decay(self.decay)?.with_rounding(self.rounding).with_finite_check(self.finite_check);
        if let Some(limit) = self.clip_value {
            optimizer = optimizer.with_clip_value(limit)?;
        }
        if let Some(max) = self.clip_norm {
            optimizer = optimizer.with_clip_norm(max)?;
        }
        if let Some(max) = self.max_row_norm {
            optimizer = optimizer.with_max_row_norm(max)?;
        }
        if let Some((first, whole)) = self.columns {
            let end = first.saturating_add(optimizer.dim());
            optimizer = optimizer.of_columns(first..end, whole)?;
        }
        Ok(optimizer)
    }

    /// Writes those that are set.
    fn put(self, into: &Bound<'_, PyDict>) -> Result<()> {
        match self.decay {
            WeightDecay::L2(decay) => {
                decay.put("weight_decay", into)?;
                into.set_item("weight_decay_mode", "l2")?;
            }
            WeightDecay::Decoupled(decay) => {
                decay.put("weight_decay", into)?;
                into.set_item("weight_decay_mode", "decoupled")?;
            }
            _ => {}
        }
        for (name, value) in [("clip_value", self.clip_value), ("clip_norm", self.clip_norm), ("max_row_norm", self.max_row_norm)] {
            if let Some(value) = value {
                value.put(name, into)?;
            }
        }
        if let Rounding::Stochastic { seed } = self.rounding {
            seed.put("stochastic_rounding", into)?;
        }
        if self.finite_check {
            true.put("finite_check", into)?;
        }
        if let Some(columns) = self.columns {
            into.set_item("columns", columns)?;
        }
        Ok(())
    }
}
