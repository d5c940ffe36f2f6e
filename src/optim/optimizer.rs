//! An optimizer with the state of one table.

use super::checks;
use super::columns::Wider;
use super::record::OptimizerRecord;
use super::rounding::{Noise, Rounding, StepOptions};
use super::rule::{Rule, State};
use crate::error::{Error, Result};
use crate::index::RowSet;
use crate::table::{Table, TableViewMut};

/// How weights are drawn toward zero. Only rows that the batch names decay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum WeightDecay {
    /// Not at all.
    #[default]
    None,
    /// `g += decay * w` before the rule, as PyTorch's `weight_decay` (but for AdamW) and FBGEMM's `WeightDecayMode.L2`.
    L2(f32),
    /// `w *= 1 - lr * decay` before the rule, as PyTorch's AdamW and FBGEMM's `WeightDecayMode.DECOUPLE`.
    Decoupled(f32),
}

/// A rule, its options, its step count, and its state for one table of shape `[rows, dim]`.
///
/// A step goes through the rows that the batch names, once each, ascending, with the sum of their gradients (what FBGEMM calls
/// exact). Of a row's gradient `g` and weights `w`, in this order:
///
/// 1. a finite check, and then `clip_norm`, look at the gradient of the whole batch;
/// 2. `clip_value` brings each value of `g` into `-limit..=limit`;
/// 3. weight decay: `g += decay * w`, or `w *= 1 - lr * decay`;
/// 4. the rule;
/// 5. `max_row_norm` scales the new weights, still in f32;
/// 6. they are rounded to the table's element.
///
/// ```
/// use hotrow::{Adam, Optimizer, Rounding, WeightDecay};
///
/// let mut optimizer = Optimizer::new(Adam { lr: 0.01, ..Adam::default() }, 1000, 16)?
///     .with_weight_decay(WeightDecay::L2(1e-5))?
///     .with_clip_norm(1.0)?
///     .with_rounding(Rounding::Stochastic { seed: 1 });
/// assert_eq!(optimizer.steps(), 0);
/// optimizer.set_lr(0.001)?;
/// assert_eq!(optimizer.lr(), 0.001);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    decay: WeightDecay,
    clip_value: Option<f32>,
    clip_norm: Option<f32>,
    max_row_norm: Option<f32>,
    rounding: Rounding,
    finite_check: bool,
    steps: u64,
    rows: usize,
    dim: usize,
    /// What the table is some columns of, where it is.
    pub(super) wider: Option<Wider>,
    /// Two states for each value and one for each row; those that the rule has not are empty.
    state: [Table<f32>; 3],
    /// The rows that steps have changed, where somebody wants to know.
    touched: Option<RowSet>,
}

/// What the driver of a step needs.
pub(crate) struct Parts<'a> {
    /// To be [prepared](Rule::prepare) for `step`.
    pub(crate) rule: Rule,
    /// The number of the step, counted from 1.
    pub(crate) step: u64,
    pub(crate) options: StepOptions,
    /// Two states for each value, `[rows, dim]`, and one for each row, `[rows, 1]`; `[0, 0]` where the rule has none.
    pub(crate) states: [TableViewMut<'a, f32>; 3],
}

impl Optimizer {
    /// An optimizer for a table of shape `[rows, dim]`, its state as before the first step.
    ///
    /// # Errors
    /// [`Error::InvalidHyperparameter`], and the sizes' errors of [`Table::zeros`] for the state.
    pub fn new(rule: impl Into<Rule>, rows: usize, dim: usize) -> Result<Optimizer> {
        let rule = rule.into();
        rule.validate()?;
        let [first, second, row] = rule.states().in_order();
        let state = [initial(first, rows, dim)?, initial(second, rows, dim)?, initial(row, rows, 1)?];
        Ok(Optimizer {
            rule,
            decay: WeightDecay::None,
            clip_value: None,
            clip_norm: None,
            max_row_norm: None,
            rounding: Rounding::Nearest,
            finite_check: false,
            steps: 0,
            rows,
            dim,
            wider: None,
            state,
            touched: None,
        })
    }

    /// An optimizer for a table of a shape whose states, those that the rule has, are these.
    pub(crate) fn with_states(rule: Rule, [rows, dim]: [usize; 2], states: Vec<Table<f32>>) -> Result<Optimizer> {
        let mut optimizer = Optimizer::new(rule, 0, 0)?;
        let mut states = states.into_iter();
        for (at, kept) in rule.states().in_order().into_iter().enumerate() {
            if kept.is_some() {
                let wanted = [rows, if at == 2 { 1 } else { dim }];
                let state = states.next().filter(|state| state.shape() == wanted);
                optimizer.state[at] = state.ok_or(Error::OptimizerShape { optimizer: wanted, table: [rows, dim] })?;
            }
        }
        Ok(Optimizer { rows, dim, ..optimizer })
    }

    /// The same, with weights that decay.
    ///
    /// # Errors
    /// [`Error::InvalidHyperparameter`] when the decay is not finite or negative; [`Error::OptionConflict`] beside AdamW, which
    /// has its own, for a decoupled one beside FTRL, which makes the weights from its state alone, and for L2 where the table is some columns of a wider one.
    pub fn with_weight_decay(self, decay: WeightDecay) -> Result<Optimizer> {
        let conflict = |reason| Err(Error::OptionConflict { option: "weight decay", optimizer: self.rule.name(), reason });
        match (decay, self.rule) {
            (WeightDecay::None, _) => {}
            (_, Rule::AdamW(_)) => return conflict("it has a weight decay of its own"),
            (WeightDecay::Decoupled(_), Rule::Ftrl(_)) => {
                return conflict("it makes the weights from its state alone, so only L2 can act");
            }
            (WeightDecay::L2(x) | WeightDecay::Decoupled(x), _) => checks::not_negative("weight_decay", x)?,
        }
        let optimizer = Optimizer { decay, ..self };
        optimizer.check_whole_rows()?;
        Ok(optimizer)
    }

    /// The same, with each value of a row's summed gradient brought into `-limit..=limit`, as Keras's `clipvalue`. A NaN stays.
    ///
    /// # Errors
    /// [`Error::InvalidHyperparameter`] when the limit is not finite and above zero.
    pub fn with_clip_value(self, limit: f32) -> Result<Optimizer> {
        checks::positive("clip_value", limit)?;
        Ok(Optimizer { clip_value: Some(limit), ..self })
    }

    /// The same, with the gradient of the whole batch scaled down to an L2 norm of `max` where it has a greater one, as PyTorch's
    /// `clip_grad_norm_` and Keras's `clipnorm` do. The norm is that of the summed rows.
    ///
    /// # Errors
    /// [`Error::InvalidHyperparameter`] when the norm is not finite and above zero.
    pub fn with_clip_norm(self, max: f32) -> Result<Optimizer> {
        checks::positive("clip_norm", max)?;
        Ok(Optimizer { clip_norm: Some(max), ..self })
    }

    /// The same, with every updated row scaled down to an L2 norm of `max` where it has a greater one.
    ///
    /// # Errors
    /// [`Error::InvalidHyperparameter`] when the norm is not finite and above zero; [`Error::OptionConflict`] where the table is some columns of a wider one.
    pub fn with_max_row_norm(self, max: f32) -> Result<Optimizer> {
        checks::positive("max_row_norm", max)?;
        let optimizer = Optimizer { max_row_norm: Some(max), ..self };
        optimizer.check_whole_rows()?;
        Ok(optimizer)
    }

    /// The same, with another rounding of f16 and bf16 weights.
    #[must_use]
    pub fn with_rounding(self, rounding: Rounding) -> Optimizer {
        Optimizer { rounding, ..self }
    }

    /// The same, refusing a step whose summed gradient has a NaN or an infinity, or not. Without the check such a row becomes
    /// what arithmetic makes of it, and the others are not touched by it.
    #[must_use]
    pub fn with_finite_check(self, finite_check: bool) -> Optimizer {
        Optimizer { finite_check, ..self }
    }

    /// The rule and its hyperparameters.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// How many rows the table has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many values a row of the table has.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The weight decay given as an option.
    pub fn weight_decay(&self) -> WeightDecay {
        self.decay
    }

    /// The limit of each gradient value.
    pub fn clip_value(&self) -> Option<f32> {
        self.clip_value
    }

    /// The limit of the norm of a batch's gradient.
    pub fn clip_norm(&self) -> Option<f32> {
        self.clip_norm
    }

    /// The limit of the norm of an updated row.
    pub fn max_row_norm(&self) -> Option<f32> {
        self.max_row_norm
    }

    /// How f16 and bf16 weights are rounded.
    pub fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// Whether gradients that are not finite are refused.
    pub fn finite_check(&self) -> bool {
        self.finite_check
    }

    /// The learning rate.
    pub fn lr(&self) -> f32 {
        self.rule.lr()
    }

    /// Changes the learning rate from the next step on.
    ///
    /// # Errors
    /// [`Error::InvalidHyperparameter`] when the rule cannot use it; the old one stays.
    pub fn set_lr(&mut self, lr: f32) -> Result<()> {
        self.check_lr(lr)?;
        self.rule = self.rule.with_lr(lr);
        Ok(())
    }

    /// Whether the rule can use a learning rate.
    pub(crate) fn check_lr(&self, lr: f32) -> Result<()> {
        self.rule.with_lr(lr).validate()
    }

    /// How many steps were made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Says how many steps were made, as a checkpoint remembers them. Adam's corrections and stochastic rounding depend on it.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Goes on as the optimizer that a record was taken from: with its hyperparameters, options and steps. The states stay as they are.
    ///
    /// ```
    /// use hotrow::{Adam, Optimizer};
    ///
    /// let mut saved = Optimizer::new(Adam { lr: 0.5, ..Adam::default() }, 10, 4)?;
    /// saved.set_steps(7);
    /// let mut optimizer = Optimizer::new(Adam::default(), 5, 4)?; // of half of the rows
    /// optimizer.set_record(&saved.record())?;
    /// assert_eq!((optimizer.lr(), optimizer.steps()), (0.5, 7));
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownName`] when the record is of another rule, or has numbers that no optimizer has; [`Error::OptionConflict`] when the table is some
    /// columns of a wider one, and an option needs whole rows. Nothing changes then.
    pub fn set_record(&mut self, record: &OptimizerRecord) -> Result<()> {
        if record.name() != self.rule.name() {
            let (given, expected) = (record.name().to_owned(), self.rule.name());
            return Err(Error::UnknownName { what: "optimizer for these states", given, expected });
        }
        let adopted = Optimizer { wider: self.wider, ..record.of_nothing()? };
        adopted.check_whole_rows()?;
        let Optimizer { rule, decay, clip_value, clip_norm, max_row_norm, rounding, finite_check, steps, .. } = adopted;
        self.rule = rule;
        (self.decay, self.clip_value, self.clip_norm, self.max_row_norm) = (decay, clip_value, clip_norm, max_row_norm);
        (self.rounding, self.finite_check, self.steps) = (rounding, finite_check, steps);
        Ok(())
    }

    /// The states and their names, which are those of the system that the rule follows: `[rows, dim]`, or `[rows, 1]` where a row
    /// has one.
    pub fn state(&self) -> impl Iterator<Item = (&'static str, &Table<f32>)> {
        let named = self.rule.states().in_order().into_iter().zip(&self.state);
        named.filter_map(|(state, table)| Some((state?.name, table)))
    }

    /// Sets a state, row-major, as a checkpoint remembers it.
    ///
    /// ```
    /// use hotrow::{Adagrad, Optimizer};
    ///
    /// let mut optimizer = Optimizer::new(Adagrad::default(), 2, 2)?;
    /// optimizer.set_state("sum", &[0.5, 1.0, 1.5, 2.0])?;
    /// assert_eq!(optimizer.state().next().unwrap().1.row(1), Some(&[1.5, 2.0][..]));
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownName`] when the rule keeps no such state, [`Error::ShapeMismatch`] when there are more or fewer values
    /// than the state has. It is unchanged then.
    pub fn set_state(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let mut table = self.state_mut(name)?;
        let [rows, dim] = [table.rows(), table.dim()];
        if values.len() != rows * dim {
            let expected = vec![rows, dim];
            return Err(Error::ShapeMismatch { what: "optimizer state", expected, needed: rows * dim, actual: values.len() });
        }
        for row in 0..rows {
            if let Some(cells) = table.row_mut(row) {
                cells.copy_from_slice(&values[row * dim..(row + 1) * dim]);
            }
        }
        Ok(())
    }

    /// A state to be changed in place, row by row: as [`set_state`](Optimizer::set_state), where no array has all of its values.
    ///
    /// ```
    /// use hotrow::{Adagrad, Optimizer};
    ///
    /// let mut optimizer = Optimizer::new(Adagrad::default(), 2, 2)?;
    /// optimizer.state_mut("sum")?.row_mut(1).unwrap().copy_from_slice(&[1.5, 2.0]);
    /// assert_eq!(optimizer.state().next().unwrap().1.to_vec(), [0.0, 0.0, 1.5, 2.0]);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownName`] when the rule keeps no such state.
    pub fn state_mut(&mut self, name: &str) -> Result<TableViewMut<'_, f32>> {
        let states = self.rule.states();
        let at = states.in_order().into_iter().position(|state| state.is_some_and(|state| state.name == name));
        let unknown = || Error::UnknownName { what: "optimizer state", given: name.to_owned(), expected: states.names };
        Ok(self.state[at.ok_or_else(unknown)?].view_mut())
    }

    /// Remembers from now on which rows steps change, for incremental checkpoints. That costs one bit for
    /// each row of the table, and a pass over the rows of each step. What was remembered before is forgotten.
    ///
    /// ```
    /// use hotrow::{Gradient, Optimizer, Sgd, Table};
    ///
    /// let mut table = Table::<f32>::zeros(10, 1)?;
    /// let mut optimizer = Optimizer::new(Sgd::default(), 10, 1)?;
    /// optimizer.track_rows()?;
    /// optimizer.step(&mut table, Gradient::of_gather(&[7, 4, 7], &[1.0f32; 3]))?;
    /// assert_eq!(optimizer.touched().unwrap().iter().collect::<Vec<_>>(), [4, 7]);
    /// let saved = optimizer.take_touched()?.unwrap();
    /// assert_eq!((saved.count(), optimizer.touched().unwrap().count()), (2, 0));
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; nothing changes then.
    pub fn track_rows(&mut self) -> Result<()> {
        self.touched = Some(RowSet::new(self.rows)?);
        Ok(())
    }

    /// The rows that steps have changed since [`track_rows`](Optimizer::track_rows), or since they were last taken or cleared; `None` where nothing
    /// is tracked.
    pub fn touched(&self) -> Option<&RowSet> {
        self.touched.as_ref()
    }

    /// Takes the rows that steps have changed, and goes on with none.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; nothing changes then.
    pub fn take_touched(&mut self) -> Result<Option<RowSet>> {
        let Some(touched) = &mut self.touched else { return Ok(None) };
        Ok(Some(std::mem::replace(touched, RowSet::new(self.rows)?)))
    }

    /// Forgets the rows that steps have changed, once they are saved.
    pub fn clear_touched(&mut self) {
        if let Some(touched) = &mut self.touched {
            touched.clear();
        }
    }

    /// The rows to be marked by a step.
    pub(crate) fn touched_mut(&mut self) -> Option<&mut RowSet> {
        self.touched.as_mut()
    }

    /// Makes room for a table that has grown to `rows` rows: the old rows keep their state, and the new ones have that of before
    /// the first step. Where rows are tracked, the new ones count as changed.
    ///
    /// ```
    /// use hotrow::{Adagrad, Optimizer};
    ///
    /// let mut optimizer = Optimizer::new(Adagrad { initial_accumulator: 0.5, ..Adagrad::default() }, 1, 1)?;
    /// optimizer.set_state("sum", &[2.0])?;
    /// optimizer.grow(3)?;
    /// assert_eq!(optimizer.state().next().unwrap().1.to_vec(), [2.0, 0.5, 0.5]);
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::CannotShrink`] when there are more rows already, and the sizes' errors. Nothing changes then.
    pub fn grow(&mut self, rows: usize) -> Result<()> {
        if rows < self.rows {
            return Err(Error::CannotShrink { rows: self.rows, asked: rows });
        }
        let [first, second, row] = self.rule.states().in_order();
        let [old_first, old_second, old_row] = &self.state;
        let state = [grown(old_first, first, rows)?, grown(old_second, second, rows)?, grown(old_row, row, rows)?];
        if let Some(touched) = &mut self.touched {
            touched.resize(rows)?;
            touched.fill(self.rows..rows);
        }
        self.state = state;
        self.rows = rows;
        Ok(())
    }

    /// Whether this is a table that the optimizer was made for.
    pub(crate) fn check_table(&self, rows: usize, dim: usize) -> Result<()> {
        if [rows, dim] == [self.rows, self.dim] {
            return Ok(());
        }
        Err(Error::OptimizerShape { optimizer: [self.rows, self.dim], table: [rows, dim] })
    }

    /// Whether a step looks at the gradient of all rows before it changes the first.
    pub(crate) fn needs_whole_gradient(&self) -> bool {
        self.finite_check || self.clip_norm.is_some()
    }

    /// The next step's numbers, and the states to be changed.
    pub(crate) fn parts(&mut self) -> Parts<'_> {
        let step = self.steps.saturating_add(1);
        let decoupled = match (self.decay, self.rule) {
            (WeightDecay::Decoupled(decay), _) => decay,
            (_, Rule::AdamW(config)) => config.weight_decay,
            _ => 0.0,
        };
        let options = StepOptions {
            clip: self.clip_value,
            l2: if let WeightDecay::L2(decay) = self.decay { Some(decay) } else { None },
            keep: (1.0 - f64::from(self.rule.lr()) * f64::from(decoupled)) as f32,
            max_norm: self.max_row_norm,
            noise: match self.rounding {
                Rounding::Nearest => None,
                Rounding::Stochastic { seed } => Some(Noise::new(seed, step)),
            },
            wider: self.wider,
        };
        let [first, second, row] = &mut self.state;
        Parts { rule: self.rule, step, options, states: [first.view_mut(), second.view_mut(), row.view_mut()] }
    }

    /// Counts a step that was made.
    pub(crate) fn advance(&mut self) {
        self.steps = self.steps.saturating_add(1);
    }
}

/// A state before the first step; of no rows if there is no such state.
fn initial(state: Option<State>, rows: usize, dim: usize) -> Result<Table<f32>> {
    match state {
        None => Table::zeros(0, 0),
        Some(State { initial: 0.0, .. }) => Table::zeros(rows, dim),
        Some(State { initial, .. }) => Table::from_fn(rows, dim, |_, _| initial),
    }
}

/// A state with more rows.
fn grown(old: &Table<f32>, state: Option<State>, rows: usize) -> Result<Table<f32>> {
    let Some(State { initial, .. }) = state else { return Table::zeros(0, 0) };
    Table::from_fn(rows, old.dim(), |row, column| old.row(row).map_or(initial, |old| old[column]))
}
