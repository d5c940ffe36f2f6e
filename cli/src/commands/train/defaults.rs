//! What is not said on the command line. Each optimizer has step sizes of its own.

use super::args::Kind;
use crate::train::Method;

/// Settings that go with a model and an optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Defaults {
    pub dim: usize,
    pub epochs: usize,
    pub lr: f32,
    pub l2: f32,
    pub batch: usize,
}

impl Defaults {
    /// The optimizer of a model.
    pub(super) fn optimizer(kind: Kind) -> Method {
        match kind {
            Kind::Mf => Method::Adam,
            Kind::Fm => Method::Adagrad,
        }
    }

    /// The settings of a model with an optimizer.
    pub(super) fn of(kind: Kind, optimizer: Method) -> Self {
        match kind {
            Kind::Mf => mf(optimizer),
            Kind::Fm => fm(optimizer),
        }
    }
}

fn mf(optimizer: Method) -> Defaults {
    let of = |epochs, batch, lr, l2| Defaults { dim: 64, epochs, lr, l2, batch };
    match optimizer {
        Method::Sgd => of(40, 256, 0.1, 0.01),
        Method::Adagrad => of(20, 1024, 0.05, 0.01),
        Method::RowwiseAdagrad => of(20, 1024, 0.05, 0.01),
        Method::Adam => of(20, 1024, 0.01, 0.01),
        Method::Adamw => of(20, 1024, 0.01, 0.01),
        Method::PartialRowwiseAdam => of(20, 1024, 0.01, 0.01),
        Method::Rmsprop => of(20, 1024, 0.01, 0.01),
        Method::Ftrl => of(20, 1024, 0.05, 0.01),
    }
}

fn fm(optimizer: Method) -> Defaults {
    let of = |epochs, lr| Defaults { dim: 32, epochs, lr, l2: 0.0, batch: 512 };
    match optimizer {
        Method::Sgd => of(8, 1.0),
        Method::Adagrad => of(8, 0.1),
        Method::RowwiseAdagrad => of(8, 0.1),
        Method::Adam => of(8, 0.01),
        Method::Adamw => of(8, 0.01),
        Method::PartialRowwiseAdam => of(8, 0.01),
        Method::Rmsprop => of(8, 0.01),
        Method::Ftrl => of(8, 0.1),
    }
}
