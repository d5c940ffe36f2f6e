//! An optimizer in words and numbers, as a checkpoint's manifest has it. Its states are tensors beside it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::optimizer::{Optimizer, WeightDecay};
use super::rounding::Rounding;
use super::rule::Rule;
use super::{Adagrad, Adam, AdamW, Ftrl, PartialRowWiseAdam, RmsProp, RowWiseAdagrad, Sgd};
use crate::error::{Error, Result};
use crate::table::Table;

/// An optimizer but for its states: the rule with its hyperparameters, the options, and how many steps were made. Printed, it is JSON, and
/// read again it is the same to the bit.
///
/// ```
/// use hotrow::{Adam, Optimizer, OptimizerRecord};
///
/// let mut optimizer = Optimizer::new(Adam::default(), 1000, 8)?;
/// optimizer.set_steps(7);
/// let text = optimizer.record().to_string();
/// let record: OptimizerRecord = text.parse()?;
/// assert_eq!((record.name(), record.steps(), &record), ("adam", 7, &optimizer.record()));
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerRecord {
    rule: String,
    hyperparameters: Map<String, Value>,
    weight_decay: DecayRecord,
    clip_value: Option<Exact>,
    clip_norm: Option<Exact>,
    max_row_norm: Option<Exact>,
    rounding: RoundingRecord,
    finite_check: bool,
    pub(crate) steps: u64,
    /// Only where the table is some columns of a wider one: what was written before there were such is what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<ColumnsRecord>,
}

/// The first of some columns, and how many the wider table has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnsRecord {
    first: usize,
    of: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum DecayRecord {
    None,
    L2(Exact),
    Decoupled(Exact),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum RoundingRecord {
    Nearest,
    Stochastic { seed: u64 },
}

/// An f32 whose bits survive JSON: it is written with the digits of the f64 that equals it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Exact(f32);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0))
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Exact, D::Error> {
        let wide = f64::deserialize(deserializer)?;
        f32::from_value(wide).map(Exact).ok_or_else(|| serde::de::Error::custom(format!("{wide} is no number of 32 bits")))
    }
}

/// A hyperparameter in JSON.
trait Number: Sized {
    fn json(self) -> Value;
    fn of(value: &Value) -> Option<Self>;
}

impl Number for bool {
    fn json(self) -> Value {
        self.into()
    }
    fn of(value: &Value) -> Option<bool> {
        value.as_bool()
    }
}

impl Number for f32 {
    fn json(self) -> Value {
        f64::from(self).into()
    }
    fn of(value: &Value) -> Option<f32> {
        f32::from_value(value.as_f64()?)
    }
}

impl Number for f64 {
    fn json(self) -> Value {
        self.into()
    }
    fn of(value: &Value) -> Option<f64> {
        value.as_f64()
    }
}

trait FromWide: Sized {
    fn from_value(wide: f64) -> Option<Self>;
}

impl FromWide for f32 {
    /// Nothing is rounded: only what an f32 was written as is one.
    fn from_value(wide: f64) -> Option<f32> {
        let narrow = wide as f32;
        (f64::from(narrow) == wide).then_some(narrow)
    }
}

/// Both directions for all rules, from one list of their fields.
macro_rules! hyperparameters {
    ($($config:ident { $($field:ident),+ })+) => {
        fn numbers(rule: Rule) -> Map<String, Value> {
            match rule {
                $(Rule::$config($config { $($field),+ }) => [$((stringify!($field).to_owned(), $field.json())),+].into_iter().collect(),)+
            }
        }

        /// `None` when a field is missing, or is not what it should be, or there is one more.
        fn rule(defaults: Rule, numbers: &Map<String, Value>) -> Option<Rule> {
            match defaults {
                $(Rule::$config(_) => {
                    let names = [$(stringify!($field)),+];
                    let same = numbers.len() == names.len();
                    same.then_some(Rule::$config($config { $($field: Number::of(numbers.get(stringify!($field))?)?),+ }))
                })+
            }
        }
    };
}

hyperparameters! {
    Sgd { lr, momentum, nesterov }
    Adagrad { lr, eps, initial_accumulator }
    RowWiseAdagrad { lr, eps, initial_accumulator }
    Adam { lr, beta1, beta2, eps }
    AdamW { lr, beta1, beta2, eps, weight_decay }
    PartialRowWiseAdam { lr, beta1, beta2, eps }
    RmsProp { lr, rho, momentum, eps }
    Ftrl { lr, l1, l2, initial_accumulator }
}

impl Optimizer {
    /// Everything but the states.
    pub fn record(&self) -> OptimizerRecord {
        OptimizerRecord {
            rule: self.rule().name().to_owned(),
            hyperparameters: numbers(self.rule()),
            weight_decay: match self.weight_decay() {
                WeightDecay::None => DecayRecord::None,
                WeightDecay::L2(decay) => DecayRecord::L2(Exact(decay)),
                WeightDecay::Decoupled(decay) => DecayRecord::Decoupled(Exact(decay)),
            },
            clip_value: self.clip_value().map(Exact),
            clip_norm: self.clip_norm().map(Exact),
            max_row_norm: self.max_row_norm().map(Exact),
            rounding: match self.rounding() {
                Rounding::Nearest => RoundingRecord::Nearest,
                Rounding::Stochastic { seed } => RoundingRecord::Stochastic { seed },
            },
            finite_check: self.finite_check(),
            steps: self.steps(),
            columns: self.wider.map(|wider| ColumnsRecord { first: wider.first, of: wider.dim }),
        }
    }
}

impl OptimizerRecord {
    /// The name of the rule.
    pub fn name(&self) -> &str {
        &self.rule
    }

    /// How many steps were made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The same for the whole table, where this one is for some of its columns.
    pub(crate) fn of_all_columns(&self) -> OptimizerRecord {
        OptimizerRecord { columns: None, ..self.clone() }
    }

    /// This optimizer for a table without rows, of all columns.
    pub(super) fn of_nothing(&self) -> Result<Optimizer> {
        self.of_all_columns().with_options(Optimizer::new(self.rule()?, 0, 0)?)
    }

    /// The rule, its hyperparameters checked.
    pub(crate) fn rule(&self) -> Result<Rule> {
        let defaults: Rule = self.rule.parse()?;
        let unknown = || Error::UnknownName {
            what: "list of hyperparameters",
            given: Value::Object(self.hyperparameters.clone()).to_string(),
            expected: "those of the optimizer, each a number as wide as it is, or true or false",
        };
        let rule = rule(defaults, &self.hyperparameters).ok_or_else(unknown)?;
        rule.validate()?;
        Ok(rule)
    }

    /// The names of the states, and whether a row has one value rather than `dim`, in the optimizer's order.
    pub(crate) fn states(&self) -> Result<Vec<(&'static str, bool)>> {
        let [first, second, row] = self.rule()?.states().in_order();
        let named =
            [first.map(|state| (state.name, false)), second.map(|state| (state.name, false)), row.map(|state| (state.name, true))];
        Ok(named.into_iter().flatten().collect())
    }

    /// The optimizer of a table `[rows, dim]`, with these states in the order of [`states`](OptimizerRecord::states).
    pub(crate) fn restore(&self, shape: [usize; 2], states: Vec<Table<f32>>) -> Result<Optimizer> {
        self.with_options(Optimizer::with_states(self.rule()?, shape, states)?)
    }

    fn with_options(&self, optimizer: Optimizer) -> Result<Optimizer> {
        let mut optimizer = optimizer.with_weight_decay(match self.weight_decay {
            DecayRecord::None => WeightDecay::None,
            DecayRecord::L2(Exact(decay)) => WeightDecay::L2(decay),
            DecayRecord::Decoupled(Exact(decay)) => WeightDecay::Decoupled(decay),
        })?;
        if let Some(Exact(limit)) = self.clip_value {
            optimizer = optimizer.with_clip_value(limit)?;
        }
        if let Some(Exact(max)) = self.clip_norm {
            optimizer = optimizer.with_clip_norm(max)?;
        }
        if let Some(Exact(max)) = self.max_row_norm {
            optimizer = optimizer.with_max_row_norm(max)?;
        }
        optimizer = optimizer.with_finite_check(self.finite_check).with_rounding(match self.rounding {
            RoundingRecord::Nearest => Rounding::Nearest,
            RoundingRecord::Stochastic { seed } => Rounding::Stochastic { seed },
        });
        if let Some(ColumnsRecord { first, of }) = self.columns {
            let end = first.saturating_add(optimizer.dim());
            optimizer = optimizer.of_columns(first..end, of)?;
        }
        optimizer.set_steps(self.steps);
        Ok(optimizer)
    }
}

impl fmt::Display for OptimizerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for OptimizerRecord {
    type Err = Error;

    fn from_str(text: &str) -> Result<OptimizerRecord> {
        let unknown = |_| Error::UnknownName {
            what: "record of an optimizer",
            given: text.to_owned(),
            expected: "what such a record prints",
        };
        serde_json::from_str(text).map_err(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(optimizer: &Optimizer) -> Optimizer {
        let text = serde_json::to_string(&optimizer.record()).unwrap();
        let record: OptimizerRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(record, optimizer.record());
        let states = optimizer.state().map(|(_, state)| state.try_clone().unwrap()).collect();
        record.restore([optimizer.rows(), optimizer.dim()], states).unwrap()
    }

    #[test]
    fn every_rule_comes_back_to_the_bit() {
        for name in Rule::NAMES {
            // 16777217 / 10^8 is a number whose shortest digits are many.
            let rule = name.parse::<Rule>().unwrap().with_lr(0.167_772_17);
            let mut optimizer = Optimizer::new(rule, 3, 2).unwrap().with_clip_value(f32::MIN_POSITIVE / 3.0).unwrap();
            optimizer = optimizer.with_clip_norm(f32::MAX).unwrap().with_max_row_norm(0.1).unwrap().with_finite_check(true);
            optimizer = optimizer.with_rounding(Rounding::Stochastic { seed: u64::MAX });
            if name != "adamw" {
                optimizer = optimizer.with_weight_decay(WeightDecay::L2(1e-7)).unwrap();
            }
            optimizer.set_steps(u64::MAX - 1);
            let same = again(&optimizer);
            assert_eq!(format!("{same:?}"), format!("{optimizer:?}"));
        }
        let optimizer = Optimizer::new(Sgd::default(), 1, 1).unwrap().with_weight_decay(WeightDecay::Decoupled(0.5)).unwrap();
        assert_eq!(again(&optimizer).weight_decay(), WeightDecay::Decoupled(0.5));
        let whole = Optimizer::new(RowWiseAdagrad::default(), 3, 2).unwrap();
        assert!(!serde_json::to_string(&whole.record()).unwrap().contains("columns"));
        let part = whole.of_columns(5..7, 9).unwrap();
        assert_eq!((again(&part).columns(), again(&part).gradient_dim()), (5..7, 9));
    }

    #[test]
    fn what_is_no_optimizer_is_refused() {
        let record = serde_json::to_value(Optimizer::new(Adam::default(), 1, 1).unwrap().record()).unwrap();
        let refused = |at: &str, value: Value| {
            let mut record = record.clone();
            *record.pointer_mut(at).unwrap() = value;
            serde_json::from_value::<OptimizerRecord>(record).map_or(true, |record| record.rule().is_err())
        };
        assert!(!refused("/hyperparameters/lr", 0.5.into()));
        for value in [Value::Null, 0.1.into(), (-1).into(), 1e300.into(), "1".into(), true.into()] {
            assert!(refused("/hyperparameters/lr", value.clone()), "{value}");
            assert!(refused("/clip_norm", value.clone()) || value.is_null() || value == -1, "{value}");
        }
        assert!(refused("/rule", "adagrad".into()));
        assert!(refused("/rule", "none".into()));
        assert!(refused("/hyperparameters", serde_json::json!({"lr": 0.5})));
        assert!(refused("/rounding", "up".into()));
        assert!(refused("/steps", (-1).into()));
        let part = Optimizer::new(RowWiseAdagrad::default(), 1, 2).unwrap().of_columns(5..7, 9).unwrap().record();
        for (first, of) in [(8, 9), (usize::MAX, 9), (0, 1)] {
            let wrong = OptimizerRecord { columns: Some(ColumnsRecord { first, of }), ..part.clone() };
            let states = vec![Table::zeros(1, 1).unwrap()];
            assert!(matches!(wrong.restore([1, 2], states), Err(Error::InvalidOption { .. })), "{first} of {of}");
        }
    }
}
