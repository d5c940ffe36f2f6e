//! The engine's optimizers, by name.

use std::fmt;

use clap::ValueEnum;
use hotrow::{Ftrl, Optimizer, Rule, Table};
use serde::{Deserialize, Serialize};

use crate::model::Weight;

/// How steps are made of gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Method {
    /// Gradient descent
    Sgd,
    /// Steps shrink with the sum of the squared gradients of each number
    Adagrad,
    /// The same with one sum for each embedding
    RowwiseAdagrad,
    /// Running means of the gradients and of their squares, moved where there are gradients
    Adam,
    /// The same with decoupled weight decay
    Adamw,
    /// Adam with one mean square for each embedding
    PartialRowwiseAdam,
    /// A running mean of the squares alone
    Rmsprop,
    /// Follow the regularized leader
    Ftrl,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 8] = [
        Method::Sgd,
        Method::Adagrad,
        Method::RowwiseAdagrad,
        Method::Adam,
        Method::Adamw,
        Method::PartialRowwiseAdam,
        Method::Rmsprop,
        Method::Ftrl,
    ];

    /// Its name, which is that of the engine.
    pub fn name(self) -> &'static str {
        match self {
            Method::Sgd => "sgd",
            Method::Adagrad => "adagrad",
            Method::RowwiseAdagrad => "rowwise_adagrad",
            Method::Adam => "adam",
            Method::Adamw => "adamw",
            Method::PartialRowwiseAdam => "partial_rowwise_adam",
            Method::Rmsprop => "rmsprop",
            Method::Ftrl => "ftrl",
        }
    }

    /// The engine's optimizer for a table, with the engine's defaults except for the step size, and the weight decay of AdamW, whose
    /// own the strength `l2` is.
    pub(crate) fn optimizer<E: Weight>(self, lr: f32, l2: f32, table: &Table<E>) -> hotrow::Result<Optimizer> {
        let [rows, dim] = table.shape();
        let mut rule = self.name().parse::<Rule>()?.with_lr(lr);
        if let Rule::AdamW(adamw) = &mut rule {
            adamw.weight_decay = l2;
        }
        let mut optimizer = Optimizer::new(rule, rows, dim)?;
        if let Rule::Ftrl(Ftrl { initial_accumulator, .. }) = optimizer.rule() {
            // This rule makes the weights from its state alone, and would soon forget those that it does not find there. Without
            // penalties, it is `w = -linear * lr / sqrt(accum)`.
            let scale = -initial_accumulator.sqrt() / lr;
            let linear: Vec<f32> = table.iter().flatten().map(|weight| scale * weight.to_f32()).collect();
            optimizer.set_state("linear", &linear)?;
        }
        Ok(optimizer)
    }

    /// Whether the L2 penalty is a part of the gradient, and not the optimizer's own business.
    pub(crate) fn leaves_penalty(self) -> bool {
        self != Method::Adamw
    }

    /// Whether the step size may change on the way. FTRL's weights are its state times the step size: all would move with it.
    pub(super) fn slows_down(self) -> bool {
        self != Method::Ftrl
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use hotrow::Gradient;

    use super::*;

    #[test]
    fn names_are_those_of_the_engine_and_of_the_command() {
        assert_eq!(Method::ALL.map(Method::name).as_slice(), Rule::NAMES);
        for method in Method::ALL {
            let value = method.to_possible_value().unwrap();
            assert_eq!(value.get_name(), method.name());
            assert_eq!(serde_json::to_value(method).unwrap(), method.name());
            let table = Table::<f32>::zeros(3, 2).unwrap();
            assert_eq!(method.optimizer(0.25, 0.5, &table).unwrap().lr(), 0.25);
        }
    }

    #[test]
    fn no_optimizer_forgets_where_the_table_starts() {
        for method in Method::ALL {
            let mut table = Table::<f32>::uniform(3, 2, 1).unwrap();
            let before = table.to_vec();
            let mut optimizer = method.optimizer(0.1, 0.0, &table).unwrap();
            optimizer.step(&mut table, Gradient::of_gather(&[0, 1, 2], &[0.0f32; 6])).unwrap();
            for (after, before) in table.iter().flatten().zip(&before) {
                assert!((after - before).abs() <= 1e-6 * before.abs(), "{method}: {before} {after}");
            }
        }
    }
}
