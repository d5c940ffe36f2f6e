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
            Kind::Mf => Method::RowwiseAdagrad,
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

/// Found on MovieLens-100K and on the made-up market.
fn mf(optimizer: Method) -> Defaults {
    let of = |epochs, batch, lr, l2| Defaults { dim: 64, epochs, lr, l2, batch };
    match optimizer {
        Method::Sgd => of(40, 256, 0.1, 0.01),
        Method::Adagrad => of(30, 512, 0.15, 0.015),
        Method::RowwiseAdagrad => of(26, 512, 0.35, 0.0175),
        Method::Adam | Method::PartialRowwiseAdam => of(15, 512, 0.02, 0.01),
        Method::Adamw => of(15, 512, 0.01, 0.3),
        Method::Rmsprop => of(20, 1024, 0.02, 0.01),
        Method::Ftrl => of(30, 256, 0.2, 0.015),
    }
}

/// Found on clicks with ten categories a line.
fn fm(optimizer: Method) -> Defaults {
    let of = |lr| Defaults { dim: 32, epochs: 8, lr, l2: 0.0, batch: 512 };
    match optimizer {
        Method::Sgd => of(1.0),
        Method::Adagrad | Method::RowwiseAdagrad => of(0.1),
        Method::Adam | Method::Adamw | Method::PartialRowwiseAdam => of(0.02),
        Method::Rmsprop => of(0.03),
        Method::Ftrl => of(2.0),
    }
}
