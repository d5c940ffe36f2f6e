//! Options that are given by name.

use hotrow::{IdPolicy, Initializer, Metric, Pooling};

use crate::arrays::Kind;
use crate::error::{Failure, Result};

const POLICIES: [(&str, IdPolicy); 11] = [
    ("strict", IdPolicy::STRICT),
    ("keras_call", IdPolicy::KERAS_CALL),
    ("tf_keras2", IdPolicy::TF_KERAS2),
    ("keras3_tensorflow", IdPolicy::KERAS3_TENSORFLOW),
    ("keras3_numpy", IdPolicy::KERAS3_NUMPY),
    ("keras3_jax", IdPolicy::KERAS3_JAX),
    ("keras3_torch", IdPolicy::KERAS3_TORCH),
    ("torch", IdPolicy::TORCH),
    ("jax_clip", IdPolicy::JAX_CLIP),
    ("tf_safe", IdPolicy::TF_SAFE),
    ("zero_fill", IdPolicy::ZERO_FILL),
];

/// How ids are read; strictly unless it is said.
pub(crate) fn policy(name: Option<&str>) -> Result<IdPolicy> {
    let Some(name) = name else { return Ok(IdPolicy::STRICT) };
    match POLICIES.iter().find(|(known, _)| *known == name) {
        Some((_, policy)) => Ok(*policy),
        None => {
            let known: Vec<&str> = POLICIES.iter().map(|(name, _)| *name).collect();
            Err(Failure::Value(format!("policy {name:?} is not known: expected one of {}", known.join(", "))))
        }
    }
}

/// How bags are pooled.
pub(crate) fn pooling(mode: &str) -> Result<Pooling> {
    Ok(mode.parse()?)
}

/// How near rows are.
pub(crate) fn metric(name: &str) -> Result<Metric> {
    Ok(name.parse()?)
}

/// How a table is filled at first.
pub(crate) fn initializer(name: &str) -> Result<Initializer> {
    Ok(name.parse()?)
}

/// What a table's numbers are.
pub(crate) fn kind(dtype: &str) -> Result<Kind> {
    match dtype {
        "float32" => Ok(Kind::F32),
        "float16" => Ok(Kind::F16),
        "bfloat16" => Ok(Kind::BF16),
        _ => Err(Failure::Value(format!("dtype {dtype:?} is not known: expected one of float32, float16, bfloat16"))),
    }
}
