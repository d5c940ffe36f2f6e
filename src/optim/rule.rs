//! What an optimizer does to one row, and the enumeration of all of them.

use std::fmt;
use std::str::FromStr;

use super::{Adagrad, Adam, AdamW, Ftrl, PartialRowWiseAdam, RmsProp, RowWiseAdagrad, Sgd};
use crate::error::{Error, Result};
use crate::simd::Simd;

/// One optimizer with the numbers of one step settled (bias corrections and so on).
///
/// Each method stands twice: over vectors, which is what runs, and as plain arithmetic with the prefix `reference_`, which is the
/// specification. Both do the same operations in the same order, so their bits are equal.
pub(crate) trait RowRule: Copy + fmt::Debug + Send + Sync + 'static {
    /// How many f32 of state each value of the table has: 0, 1 or 2.
    const PER_VALUE: usize;
    /// Whether each row has one f32 of state.
    const PER_ROW: bool = false;

    /// Looks at the row's whole gradient, updates the row's own state, and returns a number for [`update`](RowRule::update).
    #[inline(always)]
    fn row<S: Simd>(self, _simd: S, _grad: &[f32], _state: &mut f32) -> f32 {
        0.0
    }

    /// One vector of columns: the new weights. Updates the states that the rule has.
    fn update<S: Simd>(self, simd: S, factor: S::V, w: S::V, g: S::V, state: &mut [S::V; 2]) -> S::V;

    /// [`row`](RowRule::row).
    fn reference_row(self, _grad: &[f32], _state: &mut f32) -> f32 {
        0.0
    }

    /// [`update`](RowRule::update) of one column.
    fn reference_update(self, factor: f32, w: f32, g: f32, state: &mut [f32; 2]) -> f32;
}

/// Something to do with a rule whose type is known: [`Rule::prepare`] brings the two together.
pub(crate) trait WithRule {
    type Output;
    fn run<R: RowRule>(self, rule: R) -> Self::Output;
}

/// A state that an optimizer keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) name: &'static str,
    /// What it holds before the first step.
    pub(crate) initial: f32,
}

/// The states of an optimizer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct States {
    /// One f32 for each value of the table.
    pub(crate) per_value: [Option<State>; 2],
    /// One f32 for each row.
    pub(crate) per_row: Option<State>,
    /// All names, for messages.
    pub(crate) names: &'static str,
}

impl States {
    pub(crate) fn none() -> States {
        States { names: "none: it keeps no state", ..States::default() }
    }

    /// The states in the order of [`Optimizer`](super::Optimizer)'s tables.
    pub(crate) fn in_order(&self) -> [Option<State>; 3] {
        [self.per_value[0], self.per_value[1], self.per_row]
    }
}

/// An optimizer's rule with its hyperparameters.
///
/// By name it comes with its defaults:
///
/// ```
/// use hotrow::{Adam, Rule};
///
/// let rule: Rule = "adam".parse()?;
/// assert_eq!(rule, Rule::from(Adam::default()));
/// assert_eq!(rule.name(), "adam");
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// Gradient descent, with momentum if wanted.
    Sgd(Sgd),
    /// Adagrad.
    Adagrad(Adagrad),
    /// Adagrad with one sum for each row.
    RowWiseAdagrad(RowWiseAdagrad),
    /// Adam.
    Adam(Adam),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
    /// Adam with one second moment for each row.
    PartialRowWiseAdam(PartialRowWiseAdam),
    /// RMSProp, with momentum if wanted.
    RmsProp(RmsProp),
    /// Follow the regularized leader, with L1 and L2.
    Ftrl(Ftrl),
}

/// Calls a method that every optimizer's configuration has.
macro_rules! each {
    ($rule:expr, $config:ident => $call:expr) => {
        match $rule {
            Rule::Sgd($config) => $call,
            Rule::Adagrad($config) => $call,
            Rule::RowWiseAdagrad($config) => $call,
            Rule::Adam($config) => $call,
            Rule::AdamW($config) => $call,
            Rule::PartialRowWiseAdam($config) => $call,
            Rule::RmsProp($config) => $call,
            Rule::Ftrl($config) => $call,
        }
    };
}

impl Rule {
    /// The names that [`FromStr`] takes.
    pub const NAMES: [&'static str; 8] =
        ["sgd", "adagrad", "rowwise_adagrad", "adam", "adamw", "partial_rowwise_adam", "rmsprop", "ftrl"];

    /// The rule's name: one of [`NAMES`](Rule::NAMES).
    pub fn name(&self) -> &'static str {
        match self {
            Rule::Sgd(_) => "sgd",
            Rule::Adagrad(_) => "adagrad",
            Rule::RowWiseAdagrad(_) => "rowwise_adagrad",
            Rule::Adam(_) => "adam",
            Rule::AdamW(_) => "adamw",
            Rule::PartialRowWiseAdam(_) => "partial_rowwise_adam",
            Rule::RmsProp(_) => "rmsprop",
            Rule::Ftrl(_) => "ftrl",
        }
    }

    /// The learning rate.
    pub fn lr(&self) -> f32 {
        each!(self, config => config.lr)
    }

    /// The same rule with another learning rate.
    ///
    /// ```
    /// use hotrow::{Rule, Sgd};
    ///
    /// assert_eq!(Rule::from(Sgd::default()).with_lr(0.5).lr(), 0.5);
    /// ```
    #[must_use]
    pub fn with_lr(mut self, lr: f32) -> Rule {
        each!(&mut self, config => config.lr = lr);
        self
    }

    /// Whether every hyperparameter is one that the rule can use.
    pub(crate) fn validate(&self) -> Result<()> {
        each!(self, config => config.validate())
    }

    pub(crate) fn states(&self) -> States {
        each!(self, config => config.states())
    }

    /// Calls `with` with the rule, its numbers settled for step `step`, counted from 1.
    pub(crate) fn prepare<W: WithRule>(&self, step: u64, with: W) -> W::Output {
        each!(self, config => config.prepare(step, with))
    }
}

impl FromStr for Rule {
    type Err = Error;

    fn from_str(name: &str) -> Result<Rule> {
        match name {
            "sgd" => Ok(Sgd::default().into()),
            "adagrad" => Ok(Adagrad::default().into()),
            "rowwise_adagrad" => Ok(RowWiseAdagrad::default().into()),
            "adam" => Ok(Adam::default().into()),
            "adamw" => Ok(AdamW::default().into()),
            "partial_rowwise_adam" => Ok(PartialRowWiseAdam::default().into()),
            "rmsprop" => Ok(RmsProp::default().into()),
            "ftrl" => Ok(Ftrl::default().into()),
            _ => Err(Error::UnknownName {
                what: "optimizer",
                given: name.to_owned(),
                expected: "sgd, adagrad, rowwise_adagrad, adam, adamw, partial_rowwise_adam, rmsprop, ftrl",
            }),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! from_config {
    ($($config:ident),*) => {
        $(impl From<$config> for Rule {
            fn from(config: $config) -> Rule {
                Rule::$config(config)
            }
        })*
    };
}

from_config!(Sgd, Adagrad, RowWiseAdagrad, Adam, AdamW, PartialRowWiseAdam, RmsProp, Ftrl);
