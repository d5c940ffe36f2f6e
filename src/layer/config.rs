//! A layer's configuration as JSON, with Keras's keys: what is written, and what is read.

mod read;
mod write;

pub(super) use read::read;
pub(super) use write::write;

use super::constraint::Constraint;
use super::regularizer::Regularizer;
use crate::element::DType;
use crate::index::IdPolicy;
use crate::table::Initializer;

/// What a layer is, beside its weights.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    pub(super) name: String,
    pub(super) trainable: bool,
    pub(super) input_dim: usize,
    pub(super) output_dim: usize,
    pub(super) initializer: Initializer,
    pub(super) seed: u64,
    pub(super) regularizer: Option<Regularizer>,
    pub(super) constraint: Option<Constraint>,
    pub(super) mask_zero: bool,
    pub(super) input_length: Option<usize>,
    pub(super) max_norm: Option<f32>,
    pub(super) norm_type: f32,
    /// How ids are read; not part of the JSON.
    pub(super) policy: IdPolicy,
}

impl Config {
    /// Keras's defaults.
    pub(super) fn new(input_dim: usize, output_dim: usize) -> Config {
        Config {
            name: "embedding".to_owned(),
            trainable: true,
            input_dim,
            output_dim,
            initializer: Initializer::UNIFORM,
            seed: 0,
            regularizer: None,
            constraint: None,
            mask_zero: false,
            input_length: None,
            max_norm: None,
            norm_type: 2.0,
            policy: IdPolicy::STRICT,
        }
    }
}

/// Keras's name of an element.
fn keras_dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float32",
        DType::F16 => "float16",
        DType::BF16 => "bfloat16",
    }
}
