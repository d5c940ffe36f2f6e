//! The configuration as Keras 3.15 writes it.

use serde_json::{Value, json};

use super::{Config, keras_dtype};
use crate::element::DType;
use crate::layer::constraint::Constraint;
use crate::layer::regularizer::Regularizer;
use crate::table::Initializer;

/// Keys in alphabetical order; those that Keras 3 does not write, only where they say something.
pub(in crate::layer) fn write(config: &Config, dtype: DType) -> String {
    let mut all = json!({
        "name": config.name,
        "trainable": config.trainable,
        "dtype": object("keras", "DTypePolicy", json!({ "name": keras_dtype(dtype) })),
        "input_dim": config.input_dim,
        "output_dim": config.output_dim,
        "embeddings_initializer": initializer(config.initializer, config.seed),
        "embeddings_regularizer": config.regularizer.map(regularizer),
        "activity_regularizer": null,
        "embeddings_constraint": config.constraint.map(constraint),
        "mask_zero": config.mask_zero,
        "quantization_config": null,
    });
    if let Some(length) = config.input_length {
        all["input_length"] = length.into();
    }
    if let Some(max_norm) = config.max_norm {
        all["max_norm"] = number(max_norm);
        all["norm_type"] = number(config.norm_type);
    }
    all.to_string()
}

fn object(module: &str, class_name: &str, config: Value) -> Value {
    json!({ "module": module, "class_name": class_name, "config": config, "registered_name": null })
}

fn initializer(initializer: Initializer, seed: u64) -> Value {
    let mut config = match initializer {
        Initializer::Zeros | Initializer::Ones => json!({}),
        Initializer::Constant(value) => json!({ "value": number(value) }),
        Initializer::Uniform { low, high } => json!({ "minval": number(low), "maxval": number(high) }),
        Initializer::Normal { mean, std } | Initializer::TruncatedNormal { mean, std } => {
            json!({ "mean": number(mean), "stddev": number(std) })
        }
        Initializer::VarianceScaling { scale, mode, distribution } => json!({
            "scale": number(scale),
            "mode": mode.to_string(),
            "distribution": distribution.to_string(),
            "input_axes": null,
            "output_axes": null,
        }),
        Initializer::GlorotUniform
        | Initializer::GlorotNormal
        | Initializer::HeUniform
        | Initializer::HeNormal
        | Initializer::LecunUniform
        | Initializer::LecunNormal => json!({ "input_axes": null, "output_axes": null }),
        Initializer::Orthogonal { gain } => json!({ "gain": number(gain) }),
        // Keras forgets this one's gain; it reads it where it stands.
        Initializer::Identity { gain: 1.0 } => json!({}),
        Initializer::Identity { gain } => json!({ "gain": number(gain) }),
    };
    if initializer.is_random() {
        config["seed"] = seed.into();
    }
    object("keras.initializers", initializer.class_name(), config)
}

fn regularizer(regularizer: Regularizer) -> Value {
    let config = match regularizer {
        Regularizer::L1 { l1 } => json!({ "l1": number(l1) }),
        Regularizer::L2 { l2 } => json!({ "l2": number(l2) }),
        Regularizer::L1L2 { l1, l2 } => json!({ "l1": number(l1), "l2": number(l2) }),
        Regularizer::Orthogonal { factor } => json!({ "factor": number(factor), "mode": "rows" }),
    };
    object("keras.regularizers", regularizer.class_name(), config)
}

fn constraint(constraint: Constraint) -> Value {
    let config = match constraint {
        Constraint::MaxNorm { max_value } => json!({ "max_value": number(max_value), "axis": 1 }),
        Constraint::UnitNorm => json!({ "axis": 1 }),
        Constraint::NonNeg => json!({}),
        Constraint::MinMaxNorm { min_value, max_value, rate } => {
            json!({ "min_value": number(min_value), "max_value": number(max_value), "rate": number(rate), "axis": 1 })
        }
    };
    object("keras.constraints", constraint.class_name(), config)
}

/// The shortest decimal that reads back as the same f32. JSON has no numbers that are not finite: these are strings.
fn number(x: f32) -> Value {
    if !x.is_finite() {
        return x.to_string().into();
    }
    match x.to_string().parse::<f64>() {
        Ok(short) if (short as f32).to_bits() == x.to_bits() => short.into(),
        _ => f64::from(x).into(),
    }
}
