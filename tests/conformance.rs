//! What Keras, tf_keras and PyTorch really answered: recorded cases, replayed.

mod common;

use common::recorded::{Case, Recorded, assert_close, fixture};
use common::{Random, assert_identical, label, workspaces};
use hotrow::text::HashingTrick;
use hotrow::{Element, Embedding, IdPolicy, Ids, Table, bf16, f16, gather};
use safetensors::Dtype;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct IdCase {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    hex: String,
    rows: usize,
    expect: serde_json::Map<String, Value>,
}

const SYSTEMS: [(&str, IdPolicy); 7] = [
    ("seed_call", IdPolicy::KERAS_CALL),
    ("tf_keras2", IdPolicy::TF_KERAS2),
    ("keras3-tensorflow", IdPolicy::KERAS3_TENSORFLOW),
    ("keras3-jax", IdPolicy::KERAS3_JAX),
    ("keras3-numpy", IdPolicy::KERAS3_NUMPY),
    ("keras3-torch", IdPolicy::KERAS3_TORCH),
    ("torch_embedding", IdPolicy::TORCH),
];

/// Why our policy answers a case otherwise than the system did.
fn exception(system: &str, case: &IdCase) -> Option<&'static str> {
    match system {
        "keras3-torch" if case.dtype == "uint64" => Some("that framework has no uint64 and refuses all of them; we cast them"),
        "keras3-jax" if case.name.contains("/nan/") => Some("casting NaN is undefined: JAX gives 0, we give -2^31 as x86 does"),
        _ => None,
    }
}

#[test]
fn ids_of_seven_systems() {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<IdCase>,
    }
    let file: File = serde_json::from_slice(&fixture("ids.json")).unwrap();
    assert_eq!(file.cases.len(), 290);
    let mut equal = 0;
    let mut excepted: Vec<String> = Vec::new();
    for case in &file.cases {
        for (system, policy) in SYSTEMS {
            let (got, want) = (answer(case, policy), &case.expect[system]);
            if got == *want {
                equal += 1;
            } else {
                let reason = exception(system, case);
                let reason = reason.unwrap_or_else(|| panic!("{system} {}: {got} instead of {want}", case.name));
                excepted.push(format!("{system} {}: {reason}", case.name));
            }
        }
    }
    println!("{equal} of {} answers equal; the others:\n{}", 290 * 7, excepted.join("\n"));
    // Nine casts of NaN (three float types, three tables), and the uint64 ids that are in range once cast.
    assert_eq!(excepted.iter().filter(|line| line.starts_with("keras3-jax")).count(), 9);
    assert_eq!(excepted.iter().filter(|line| line.starts_with("keras3-torch")).count(), 13);
    assert_eq!(equal + excepted.len(), 290 * 7);
}

/// What the engine reads for a case, in the form of the recorded answers.
fn answer(case: &IdCase, policy: IdPolicy) -> Value {
    let bytes: Vec<u8> = (0..case.hex.len()).step_by(2).map(|at| u8::from_str_radix(&case.hex[at..at + 2], 16).unwrap()).collect();
    macro_rules! read {
        ($t:ty, $n:literal, $from:expr) => {{
            let ids: Vec<$t> = bytes.chunks_exact($n).map(|b| $from(<[u8; $n]>::try_from(b).unwrap())).collect();
            rows_read(case, Ids::new(&ids, &case.shape).unwrap().with_policy(policy))
        }};
    }
    match case.dtype.as_str() {
        "int8" => read!(i8, 1, i8::from_le_bytes),
        "int16" => read!(i16, 2, i16::from_le_bytes),
        "int32" => read!(i32, 4, i32::from_le_bytes),
        "int64" => read!(i64, 8, i64::from_le_bytes),
        "uint8" => read!(u8, 1, u8::from_le_bytes),
        "uint16" => read!(u16, 2, u16::from_le_bytes),
        "uint32" => read!(u32, 4, u32::from_le_bytes),
        "uint64" => read!(u64, 8, u64::from_le_bytes),
        "bool" => read!(bool, 1, |b: [u8; 1]| b[0] != 0),
        "float16" => read!(f16, 2, f16::from_le_bytes),
        "float32" => read!(f32, 4, f32::from_le_bytes),
        "float64" => read!(f64, 8, f64::from_le_bytes),
        other => panic!("{other}"),
    }
}

fn rows_read(case: &IdCase, ids: Ids<'_>) -> Value {
    let table = Table::<f32>::from_fn(case.rows, 1, |row, _| row as f32).unwrap();
    let mut answers: Vec<Value> = Vec::new();
    for mut workspace in workspaces() {
        answers.push(match workspace.gather(&table, ids) {
            Err(_) => "error".into(),
            Ok(rows) => {
                assert_eq!(rows.shape(), [&case.shape[..], &[1]].concat());
                let row = |&x: &f32| if x.is_nan() { Value::Null } else { (x as u64).into() };
                rows.as_slice().iter().map(row).collect()
            }
        });
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "levels or threads disagree");
    answers.pop().unwrap()
}

#[test]
fn hashing_trick_of_keras() {
    #[derive(Deserialize)]
    struct Case {
        text: String,
        n: usize,
        lower: bool,
        words: Vec<String>,
        ids: Vec<usize>,
    }
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let file: File = serde_json::from_slice(&fixture("text.json")).unwrap();
    assert!(file.cases.len() > 20);
    for case in file.cases {
        let trick = HashingTrick::new(case.n).lower(case.lower);
        assert_eq!(trick.words(&case.text), case.words, "{:?}", case.text);
        assert_eq!(trick.ids(&case.text).unwrap(), case.ids, "{:?} n = {}", case.text, case.n);
    }
}

#[test]
fn torch_embedding() {
    let recorded = Recorded::open("torch");
    for case in recorded.of("torch.embedding", 20) {
        let (shape, weight) = recorded.f32(&case.inputs["weight"]);
        let (id_shape, ids) = recorded.i64(&case.inputs["ids"]);
        let (out_shape, output) = recorded.f32(&case.outputs["output"]);
        let table = Table::from_slice(&weight, shape[0], shape[1]).unwrap();
        let ids = Ids::new(&ids, &id_shape).unwrap().with_policy(IdPolicy::TORCH);
        for mut workspace in workspaces() {
            let rows = workspace.gather(&table, ids).unwrap();
            assert_eq!(rows.shape(), out_shape);
            assert_identical(rows.as_slice(), &output, &format!("{} {}", case.id, label(&workspace)));
        }
        // The dense gradient, where it is the plain sum.
        if case.params["padding_idx"].is_null() && case.params["scale_grad_by_freq"] == Value::Bool(false) {
            let gradient = recorded.f32(&case.inputs["grad_output"]).1;
            let want: Vec<f64> = recorded.f32(&case.outputs["grad_weight"]).1.into_iter().map(f64::from).collect();
            let dense = hotrow::scatter_add_dense(ids, &gradient, shape[0], shape[1]).unwrap();
            assert_close(&dense.to_vec(), &want, &case.id);
        }
    }
}

#[test]
fn torch_index_add() {
    let recorded = Recorded::open("torch");
    for case in recorded.of("torch.index_add", 10) {
        let (shape, weight) = recorded.f32(&case.inputs["weight"]);
        let (_, ids) = recorded.i64(&case.inputs["ids"]);
        let (_, source) = recorded.f32(&case.inputs["source"]);
        let want = recorded.f64(&case.outputs["weight_after_f64"]);
        let alpha = case.params["alpha"].as_f64().unwrap() as f32;
        for mut workspace in workspaces() {
            let mut table = Table::from_slice(&weight, shape[0], shape[1]).unwrap();
            workspace.scatter_add(&mut table, &ids, &source, alpha).unwrap();
            assert_close(&table.to_vec(), &want, &format!("{} {}", case.id, label(&workspace)));
        }
    }
}

#[test]
fn half_tables_widen_exactly() {
    fn check<E: hotrow::Widen<f32>>(recorded: &Recorded, case: &Case, from: fn([u8; 2]) -> E) {
        let (shape, weight) = recorded.half(&case.inputs["weight"], from);
        let (_, ids) = recorded.i64(&case.inputs["ids"]);
        let (_, want) = recorded.f32(&case.outputs["gather_f32"]);
        let table = Table::from_slice(&weight, shape[0], shape[1]).unwrap();
        for mut workspace in workspaces() {
            let rows = workspace.gather_f32(&table, &ids).unwrap();
            assert_identical(rows.as_slice(), &want, &format!("{} {}", case.id, label(&workspace)));
        }
    }
    let recorded = Recorded::open("torch");
    for case in recorded.of("half_table", 10) {
        if case.params["dtype"] == "float16" {
            check(&recorded, &case, f16::from_le_bytes);
        } else {
            check(&recorded, &case, bf16::from_le_bytes);
        }
    }
}

#[test]
fn rounding_to_half() {
    /// Through `from_f32`, and through the kernels: -0 + x rounds x, and keeps the sign of a zero.
    fn check<E: Element>(recorded: &Recorded, case: &Case, from: fn([u8; 2]) -> E) {
        let (_, values) = recorded.f32(&case.inputs["f32"]);
        let (_, want) = recorded.half(&case.outputs["rounded"], from);
        let direct: Vec<E> = values.iter().map(|&x| E::from_f32(x)).collect();
        common::assert_same(&direct, &want, &case.id);
        let dim = values.len();
        for mut workspace in workspaces() {
            let mut table = Table::<E>::from_fn(1, dim, |_, _| E::from_f32(-0.0)).unwrap();
            workspace.scatter_add(&mut table, &[0], &values, 1.0).unwrap();
            common::assert_same(&table.to_vec(), &want, &format!("{} {}", case.id, label(&workspace)));
        }
    }
    let recorded = Recorded::open("torch");
    for case in recorded.of("round", 2) {
        if case.params["dtype"] == "float16" {
            check(&recorded, &case, f16::from_le_bytes);
        } else {
            check(&recorded, &case, bf16::from_le_bytes);
        }
    }
}

#[test]
fn keras_layer() {
    let recorded = Recorded::open("keras");
    for case in recorded.of("keras.call", 5) {
        let (shape, weight) = recorded.f32(&case.inputs["weight"]);
        let (id_shape, ids) = recorded.i64(&case.inputs["ids"]);
        let (out_shape, output) = recorded.f32(&case.outputs["output"]);
        let (mask_shape, mask) = recorded.tensor(&case.outputs["mask"], Dtype::U8);
        let layer = Embedding::builder(shape[0], shape[1])
            .mask_zero(case.params["mask_zero"] == Value::Bool(true))
            .weights(Table::from_slice(&weight, shape[0], shape[1]).unwrap())
            .build()
            .unwrap();
        let ids = Ids::new(&ids, &id_shape).unwrap();
        let rows = layer.call(ids).unwrap();
        assert_eq!(rows.shape(), out_shape);
        assert_eq!(layer.compute_output_shape(&id_shape), out_shape);
        assert_identical(rows.as_slice(), &output, &case.id);
        assert_eq!(mask_shape, id_shape);
        let want: Vec<bool> = mask.iter().map(|&byte| byte != 0).collect();
        assert_eq!(layer.compute_mask(ids), Some(want));
    }
}

/// A sanity check of the comparison itself: a wrong row does not pass.
#[test]
fn a_wrong_answer_would_be_seen() {
    let values: Vec<f32> = Random(3).values(12, false);
    let table = Table::from_slice(&values, 4, 3).unwrap();
    let rows = gather(&table, &[1]).unwrap();
    let wrong = std::panic::catch_unwind(|| assert_identical(rows.as_slice(), &values[..3], ""));
    assert!(wrong.is_err());
}
