//! The engine's optimizers, by name.

use std::fmt;

use clap::ValueEnum;
use hotrow::{Optimizer, Rule};
use serde::{Deserialize, Serialize};

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

    /// The engine's optimizer for a table of this size, with the engine's defaults except for the step size.
    pub(crate) fn optimizer(self, lr: f32, rows: usize, dim: usize) -> hotrow::Result<Optimizer> {
        let mut optimizer = Optimizer::new(self.name().parse::<Rule>()?, rows, dim)?;
        optimizer.set_lr(lr)?;
        Ok(optimizer)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_engine_and_of_the_command() {
        assert_eq!(Method::ALL.map(Method::name).as_slice(), Rule::NAMES);
        for method in Method::ALL {
            let value = method.to_possible_value().unwrap();
            assert_eq!(value.get_name(), method.name());
            assert_eq!(serde_json::to_value(method).unwrap(), method.name());
            assert_eq!(method.optimizer(0.25, 3, 2).unwrap().lr(), 0.25);
        }
    }
}
