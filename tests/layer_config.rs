//! Configurations as JSON: those that Keras 3.15.1 and tf_keras 2.21.0 really wrote, round trips, and what is refused.

mod common;

use common::recorded::fixture;
use hotrow::{Constraint, DType, Element, Embedding, EmbeddingBuilder, Error, Fan, Initializer, Regularizer, Spread, bf16, f16};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

/// Whether ours says what was recorded. Numbers are f32 here; a seed that is null is 0, and axis -1 is axis 1.
fn says(recorded: &Value, ours: &Value, path: &str) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            for (key, value) in recorded {
                says(value, ours.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}"));
            }
        }
        (Value::Number(recorded), Value::Number(ours)) => {
            let [recorded, ours] = [recorded, ours].map(|number| number.as_f64().unwrap() as f32);
            assert!(recorded == ours || path.ends_with(".axis") && recorded == -1.0, "{path}: {ours} instead of {recorded}");
        }
        (Value::Null, _) if path.ends_with(".seed") => assert_eq!(*ours, 0, "{path}"),
        _ => assert_eq!(ours, recorded, "{path}"),
    }
}

fn keys(value: &Value) -> Vec<&String> {
    let mut keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    keys.sort();
    keys
}

#[test]
fn configurations_of_keras() {
    #[derive(Deserialize)]
    struct Case {
        system: String,
        config: Value,
    }
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let file: File = serde_json::from_slice(&fixture("layer_configs.json")).unwrap();
    let of = |system: &str| file.cases.iter().filter(|case| case.system == system).count();
    assert_eq!((of("keras"), of("tf_keras"), file.cases.len()), (15, 16, 31));
    for case in file.cases {
        let name = case.config["name"].as_str().unwrap().to_owned();
        let context = format!("{} {name}", case.system);
        let layer = Embedding::<f32>::from_config(&case.config.to_string()).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(layer.name(), name);
        assert_eq!(layer.trainable(), case.config["trainable"] == true);
        assert_eq!(layer.compute_mask(&[0]).is_some(), case.config["mask_zero"] == true);
        assert_eq!(
            [layer.input_dim(), layer.output_dim()].map(Value::from),
            [&case.config["input_dim"], &case.config["output_dim"]].map(Value::clone)
        );
        let ours: Value = serde_json::from_str(&layer.get_config()).unwrap();
        let mut recorded = case.config;
        if case.system == "tf_keras" {
            let object = recorded.as_object_mut().unwrap();
            // The last says nothing that `input_length` does not.
            object.remove("batch_input_shape").unwrap();
            assert_eq!(object.remove("dtype").unwrap(), "float32");
        } else {
            assert_eq!(keys(&recorded), keys(&ours), "{context}");
            for key in ["embeddings_initializer", "embeddings_regularizer", "embeddings_constraint"] {
                if recorded[key].is_object() {
                    assert_eq!(keys(&recorded[key]), keys(&ours[key]), "{context} {key}");
                    assert_eq!(keys(&recorded[key]["config"]), keys(&ours[key]["config"]), "{context} {key}");
                }
            }
        }
        says(&recorded, &ours, &context);
    }
}

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.05), Just(2.0), Just(0.1), 0.0f32..10.0, any::<u32>().prop_map(|bits| f32::from_bits(bits >> 2).min(1e30))]
}

fn initializer() -> impl Strategy<Value = Initializer> {
    let fans = prop_oneof![Just(Fan::In), Just(Fan::Out), Just(Fan::Average)];
    let spreads = prop_oneof![Just(Spread::TruncatedNormal), Just(Spread::Normal), Just(Spread::Uniform)];
    prop_oneof![
        proptest::sample::select(vec![
            Initializer::Zeros,
            Initializer::Ones,
            Initializer::GlorotUniform,
            Initializer::GlorotNormal,
            Initializer::HeUniform,
            Initializer::HeNormal,
            Initializer::LecunUniform,
            Initializer::LecunNormal,
            Initializer::Constant(f32::NEG_INFINITY),
            Initializer::Constant(-0.0),
        ]),
        number().prop_map(Initializer::Constant),
        (number(), number()).prop_map(|(low, width)| Initializer::Uniform { low: -low, high: width }),
        (number(), number()).prop_map(|(mean, std)| Initializer::Normal { mean, std }),
        (number(), number()).prop_map(|(mean, std)| Initializer::TruncatedNormal { mean: -mean, std }),
        (number(), fans, spreads).prop_map(|(scale, mode, distribution)| Initializer::VarianceScaling {
            scale: scale + 0.5,
            mode,
            distribution
        }),
        number().prop_map(|gain| Initializer::Orthogonal { gain }),
        number().prop_map(|gain| Initializer::Identity { gain: -gain }),
    ]
}

fn regularizer() -> impl Strategy<Value = Option<Regularizer>> {
    prop_oneof![
        Just(None),
        number().prop_map(|l1| Some(Regularizer::L1 { l1 })),
        number().prop_map(|l2| Some(Regularizer::L2 { l2 })),
        (number(), number()).prop_map(|(l1, l2)| Some(Regularizer::L1L2 { l1, l2 })),
        number().prop_map(|factor| Some(Regularizer::Orthogonal { factor })),
    ]
}

fn constraint() -> impl Strategy<Value = Option<Constraint>> {
    prop_oneof![
        Just(None),
        Just(Some(Constraint::UnitNorm)),
        Just(Some(Constraint::NonNeg)),
        number().prop_map(|max_value| Some(Constraint::MaxNorm { max_value })),
        (number(), number(), 0.0f32..1.0).prop_map(|(a, b, rate)| Some(Constraint::MinMaxNorm {
            min_value: a.min(b),
            max_value: a.max(b),
            rate
        })),
    ]
}

fn round_trip<E: Element>(layer: EmbeddingBuilder<E>) {
    let layer = layer.build().unwrap();
    let config = layer.get_config();
    let again = Embedding::<E>::from_config(&config).unwrap();
    assert_eq!(again.get_config(), config);
    // What the text says alone: nothing of the layer is lost but its weights' history.
    let debug = |layer: &Embedding<E>| format!("{layer:?}");
    assert_eq!(debug(&again), debug(&layer));
    common::assert_identical(&again.weights().unwrap().to_vec(), &layer.weights().unwrap().to_vec(), &config);
    // Another element refuses it.
    let other = if E::DTYPE == DType::F32 {
        Embedding::<f16>::from_config(&config).err()
    } else {
        Embedding::<f32>::from_config(&config).err()
    };
    assert!(matches!(other, Some(Error::InvalidConfig { key, .. }) if key == "dtype"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        initializer in initializer(),
        seed in any::<u64>(),
        regularizer in regularizer(),
        constraint in constraint(),
        flags in any::<[bool; 2]>(),
        length in proptest::option::of(0usize..9),
        max_norm in proptest::option::of(prop_oneof![number(), Just(f32::INFINITY)]),
        norm_type in prop_oneof![Just(1.0f32), Just(2.0), Just(f32::INFINITY), Just(0.3)],
        name in ".{0,8}",
    ) {
        fn builder<E: Element>(initializer: Initializer, seed: u64) -> EmbeddingBuilder<E> {
            let seed = if is_drawn(initializer) { seed } else { 0 };
            Embedding::builder(6, 3).embeddings_initializer(initializer).seed(seed)
        }
        let mut layer = builder::<f32>(initializer, seed).name(name).trainable(flags[0]).mask_zero(flags[1]);
        if let Some(regularizer) = regularizer {
            layer = layer.embeddings_regularizer(regularizer);
        }
        if let Some(constraint) = constraint {
            layer = layer.embeddings_constraint(constraint);
        }
        if let Some(length) = length {
            layer = layer.input_length(length);
        }
        if let Some(max_norm) = max_norm {
            layer = layer.max_norm(max_norm).norm_type(norm_type);
        }
        round_trip(layer);
        round_trip(builder::<f16>(initializer, seed));
        round_trip(builder::<bf16>(initializer, seed));
    }
}

/// A seed is written where it has a say.
fn is_drawn(initializer: Initializer) -> bool {
    !matches!(initializer, Initializer::Zeros | Initializer::Ones | Initializer::Constant(_) | Initializer::Identity { .. })
}

#[test]
fn plain_forms() {
    let layer = |config: Value| Embedding::<f32>::from_config(&config.to_string()).map(|layer| layer.get_config());
    let with = |key: &str, value: Value| {
        let mut config = json!({ "input_dim": 4, "output_dim": 2 });
        config[key] = value;
        layer(config)
    };
    let same = [
        ("embeddings_initializer", json!("he_normal"), json!({ "class_name": "HeNormal", "config": { "seed": null } })),
        ("embeddings_initializer", json!("uniform"), json!(null)),
        ("embeddings_initializer", json!("RandomNormal"), json!({ "class_name": "random_normal" })),
        (
            "embeddings_initializer",
            json!({ "class_name": "VarianceScaling", "config": { "distribution": "normal", "mode": "fan_avg" } }),
            json!({
                "class_name": "VarianceScaling",
                "config": { "distribution": "truncated_normal", "mode": "fan_avg", "scale": 1 }
            }),
        ),
        ("embeddings_regularizer", json!("l2"), json!({ "class_name": "L2", "config": { "l2": 0.01 } })),
        ("embeddings_regularizer", json!("l1_l2"), json!({ "class_name": "L1L2", "config": { "l1": 0.01, "l2": 0.01 } })),
        ("embeddings_regularizer", json!("L1L2"), json!({ "class_name": "L1L2", "config": {} })),
        (
            "embeddings_constraint",
            json!("non_neg"),
            json!({ "module": "tf_keras.constraints", "class_name": "NonNeg", "config": {} }),
        ),
        (
            "embeddings_constraint",
            json!({ "class_name": "MaxNorm", "config": { "axis": [1] } }),
            json!({ "class_name": "MaxNorm", "config": { "axis": -1, "max_value": 2 } }),
        ),
        ("dtype", json!("float32"), json!({ "class_name": "DTypePolicy", "config": { "name": "float32" } })),
        ("input_length", json!([7]), json!(7)),
        ("input_length", json!([null]), json!(null)),
        ("batch_shape", json!([null, 7]), json!(null)),
    ];
    for (key, one, other) in same {
        assert_eq!(with(key, one.clone()).unwrap(), with(key, other.clone()).unwrap(), "{key}: {one}, {other}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let message = |key: &str, value: Value| {
        let mut config = json!({ "input_dim": 4, "output_dim": 2 });
        config[key] = value;
        Embedding::<f32>::from_config(&config.to_string()).unwrap_err().to_string()
    };
    let uniform = |config: Value| json!({ "class_name": "RandomUniform", "config": config });
    let axis = "config: embeddings_constraint: only axis 1, a norm for each row, is supported, and Keras's default is axis 0: \
                the axis must be given as 1";
    for (key, value, want) in [
        ("sparse", json!(true), "config: sparse is not a known key"),
        (
            "embeddings_initializer",
            uniform(json!({ "minvall": 0 })),
            "config: embeddings_initializer.config.minvall is not a known key",
        ),
        (
            "embeddings_initializer",
            json!({ "class_name": "Zeros", "confg": {} }),
            "config: embeddings_initializer.confg is not a known key",
        ),
        ("embeddings_initializer", json!({ "config": {} }), "config: embeddings_initializer.class_name: it is missing"),
        (
            "embeddings_initializer",
            uniform(json!({ "minval": "low" })),
            "config: embeddings_initializer.config.minval: \"low\" is not a number that an f32 can hold",
        ),
        (
            "embeddings_initializer",
            uniform(json!({ "minval": 1e300 })),
            "config: embeddings_initializer.config.minval: 1e+300 is not a number that an f32 can hold",
        ),
        (
            "embeddings_initializer",
            uniform(json!({ "seed": -1 })),
            "config: embeddings_initializer.config.seed: -1 is not an integer from 0 to 2^64 - 1",
        ),
        ("embeddings_initializer", uniform(json!([])), "config: embeddings_initializer.config: [] is not an object"),
        ("embeddings_initializer", json!(5), "config: embeddings_initializer: 5 is not an object"),
        (
            "embeddings_initializer",
            json!({ "module": "mine", "class_name": "Zeros" }),
            "config: embeddings_initializer.module: \"mine\" is not a module of Keras",
        ),
        (
            "embeddings_initializer",
            json!({ "class_name": "Zeros", "registered_name": "mine>Zeros" }),
            "config: embeddings_initializer.registered_name: \"mine>Zeros\" is not supported: only null is",
        ),
        (
            "embeddings_initializer",
            json!({ "class_name": "HeNormal", "config": { "input_axes": [1] } }),
            "config: embeddings_initializer.config.input_axes: [1] is not supported: only null is",
        ),
        (
            "embeddings_regularizer",
            json!({ "class_name": "OrthogonalRegularizer", "config": { "mode": "columns" } }),
            "config: embeddings_regularizer: mode \"columns\" is not supported: only \"rows\" is",
        ),
        ("embeddings_constraint", json!("max_norm"), axis),
        ("embeddings_constraint", json!({ "class_name": "UnitNorm", "config": { "axis": 0 } }), axis),
        ("embeddings_constraint", json!({ "class_name": "UnitNorm", "config": { "axis": [0, 1] } }), axis),
        (
            "embeddings_constraint",
            json!({ "class_name": "NonNeg", "config": { "axis": 1 } }),
            "config: embeddings_constraint.config.axis is not a known key",
        ),
        ("dtype", json!("mixed_float16"), "config: dtype: \"mixed_float16\" is not the table's element, float32"),
        ("name", json!(3), "config: name: 3 is not a string"),
        ("mask_zero", json!(1), "config: mask_zero: 1 is not true or false"),
        ("input_dim", json!(-4), "config: input_dim: -4 is not a size"),
        ("input_dim", json!(null), "config: input_dim: it is missing"),
        ("input_length", json!([2, 3]), "config: input_length: 2 dimensions are not supported: only one is"),
        ("input_length", json!(2.5), "config: input_length: 2.5 is not a size"),
        ("batch_input_shape", json!(7), "config: batch_input_shape: 7 is not a list"),
        ("activity_regularizer", json!("l2"), "config: activity_regularizer: \"l2\" is not supported: only null is"),
        ("lora_rank", json!(8), "config: lora_rank: 8 is not supported: only null is"),
        ("max_norm", json!(-1), "max_norm is -1: it must not be below zero"),
    ] {
        assert_eq!(message(key, value), want);
    }
    for (key, value) in [
        ("embeddings_initializer", json!("STFT")),
        ("embeddings_regularizer", json!("orthogonal")),
        ("embeddings_constraint", json!("unit")),
    ] {
        assert!(message(key, value.clone()).contains(&format!("{value} is not known")));
    }
    let error = Embedding::<f32>::from_config("{").unwrap_err();
    assert!(matches!(&error, Error::InvalidConfig { key, .. } if key.is_empty()), "{error}");
    assert_eq!(Embedding::<f32>::from_config("[]").unwrap_err().to_string(), "config: [] is not an object");
}
