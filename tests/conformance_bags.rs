//! What PyTorch and TensorFlow really answered about bags and the gradients of lookups: recorded cases, replayed, every one.

mod common;

use common::recorded::{Case, Recorded, assert_close};
use common::{label, workspaces};
use hotrow::{Bags, Gradient, IdPolicy, Ids, Pooling, Table, TableViewMut, Widen, Workspace, bf16, f16};
use serde_json::Value;

fn wide(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

/// The ids of a case, cut into bags, and their weights.
struct Taken {
    ids: Vec<i64>,
    splits: Vec<i64>,
    weights: Option<Vec<f32>>,
}

impl Taken {
    fn of(recorded: &Recorded, case: &Case) -> Taken {
        let weights = case.inputs.get("per_sample_weights").map(|name| recorded.f32(name).1);
        Taken { ids: recorded.i64(&case.inputs["ids"]).1, splits: recorded.i64(&case.inputs["offsets"]).1, weights }
    }

    fn bags(&self, policy: IdPolicy) -> Bags<'_> {
        let bags = Bags::from_splits(Ids::from(&self.ids).with_policy(policy), &self.splits);
        self.weights.as_ref().map_or(bags, |weights| bags.with_weights(weights))
    }
}

/// The pooled rows, and the dense gradient of the table where one is recorded.
fn check(recorded: &Recorded, case: &Case, bags: &Bags<'_>, pooling: Pooling) {
    let (shape, weight) = recorded.f32(&case.inputs["weight"]);
    let (out_shape, output) = recorded.f32(&case.outputs["output"]);
    let output = wide(output);
    let table = Table::from_slice(&weight, shape[0], shape[1]).unwrap();
    for mut workspace in workspaces() {
        let context = format!("{} {}", case.id, label(&workspace));
        let rows = workspace.bag(&table, bags, pooling).unwrap();
        assert_eq!(rows.shape(), out_shape, "{context}");
        assert_close(rows.as_slice(), &output, &context);
        let Some(grad) = case.inputs.get("grad_output") else { continue };
        let (grad, want) = (recorded.f32(grad).1, wide(recorded.f32(&case.outputs["grad_weight"]).1));
        assert_close(&dense_gradient(&mut workspace, &table, bags, pooling, &grad), &want, &format!("{context}, gradient"));
        if let Some(want) = case.outputs.get("grad_per_sample_weights") {
            let mut got = vec![7.0; bags.ids().len()];
            workspace.weight_grad(&table, bags, pooling, &grad, &mut got).unwrap();
            assert_close(&got, &wide(recorded.f32(want).1), &format!("{context}, gradient of the weights"));
        }
    }
}

fn dense_gradient(workspace: &mut Workspace, table: &Table<f32>, bags: &Bags<'_>, pooling: Pooling, grad: &[f32]) -> Vec<f32> {
    let [rows, dim] = table.shape();
    let mut argmax = vec![0; bags.count() * dim];
    let gradient = if pooling == Pooling::Max {
        let mut out = vec![0.0f32; bags.count() * dim];
        let view = TableViewMut::new(&mut out, bags.count(), dim, dim).unwrap();
        workspace.bag_max_into(table, bags, view, &mut argmax).unwrap();
        Gradient::of_max(bags, &argmax, grad)
    } else {
        Gradient::of_bags(bags, pooling, grad)
    };
    workspace.sparse_grad(gradient, rows, dim).unwrap().to_dense().unwrap().to_vec()
}

#[test]
fn torch_embedding_bag() {
    let recorded = Recorded::open("torch_bags");
    let (mut weighted, mut padded) = (0, 0);
    for case in recorded.of("torch.embedding_bag", 40) {
        let taken = Taken::of(&recorded, &case);
        let mut bags = taken.bags(IdPolicy::TORCH);
        if let Some(row) = case.params["padding_idx"].as_i64() {
            bags = bags.with_padding_idx(row);
            padded += 1;
        }
        weighted += usize::from(case.outputs.contains_key("grad_per_sample_weights"));
        check(&recorded, &case, &bags, case.params["mode"].as_str().unwrap().parse().unwrap());
    }
    assert_eq!((weighted, padded), (10, 20));
}

/// The gradient of a plain lookup; its values are replayed by `conformance.rs`.
#[test]
fn torch_embedding_gradients() {
    let recorded = Recorded::open("torch");
    let (mut padded, mut scaled) = (0, 0);
    for case in recorded.of("torch.embedding", 20) {
        let shape = recorded.f32(&case.inputs["weight"]).0;
        let (id_shape, ids) = recorded.i64(&case.inputs["ids"]);
        let grad = recorded.f32(&case.inputs["grad_output"]).1;
        let want = wide(recorded.f32(&case.outputs["grad_weight"]).1);
        let ids = Ids::new(&ids, &id_shape).unwrap().with_policy(IdPolicy::TORCH);
        let by_freq = case.params["scale_grad_by_freq"] == Value::Bool(true);
        let mut gradient = Gradient::of_gather(ids, &grad).scale_by_freq(by_freq);
        if let Some(row) = case.params["padding_idx"].as_i64() {
            gradient = gradient.with_padding_idx(row);
            padded += 1;
        }
        scaled += usize::from(by_freq);
        for mut workspace in workspaces() {
            let got = workspace.sparse_grad(gradient, shape[0], shape[1]).unwrap();
            assert_close(&got.to_dense().unwrap().to_vec(), &want, &format!("{} {}", case.id, label(&workspace)));
        }
    }
    assert_eq!((padded, scaled), (10, 10));
}

#[test]
fn half_tables_are_summed_in_f32() {
    fn check<E: Widen<f32>>(recorded: &Recorded, case: &Case, from: fn([u8; 2]) -> E) {
        let (shape, weight) = recorded.half(&case.inputs["weight"], from);
        let table = Table::from_slice(&weight, shape[0], shape[1]).unwrap();
        let taken = Taken::of(recorded, case);
        let weighted = taken.bags(IdPolicy::TORCH);
        let plain = Bags::from_splits(&taken.ids, &taken.splits);
        for (bags, output) in [(plain, "bag_sum_f64"), (weighted, "bag_wsum_f64")] {
            let want = recorded.f64(&case.outputs[output]);
            for mut workspace in workspaces() {
                let rows = workspace.bag(&table, &bags, Pooling::Sum).unwrap();
                assert_close(rows.as_slice(), &want, &format!("{} {output} {}", case.id, label(&workspace)));
            }
        }
    }
    let recorded = Recorded::open("torch_bags");
    for case in recorded.of("half_table", 10) {
        if case.params["dtype"] == "float16" {
            check(&recorded, &case, f16::from_le_bytes);
        } else {
            check(&recorded, &case, bf16::from_le_bytes);
        }
    }
}

#[test]
fn tensorflow_lookup_sparse() {
    let recorded = Recorded::open("tf_bags");
    let mut weighted = 0;
    for case in recorded.of("tf.embedding_lookup_sparse", 30) {
        let taken = Taken::of(&recorded, &case);
        assert_eq!(case.params["weighted"] == Value::Bool(true), taken.weights.is_some());
        weighted += usize::from(taken.weights.is_some());
        let pooling = case.params["combiner"].as_str().unwrap().parse().unwrap();
        check(&recorded, &case, &taken.bags(IdPolicy::TF_KERAS2), pooling);
    }
    assert_eq!(weighted, 15);
}

/// Ids below zero are left out; bags without ids give zeros, or the default row.
#[test]
fn tensorflow_safe_lookup_sparse() {
    let recorded = Recorded::open("tf_bags");
    let mut defaults = 0;
    for case in recorded.of("tf.safe_embedding_lookup_sparse", 10) {
        let taken = Taken::of(&recorded, &case);
        let mut bags = taken.bags(IdPolicy::TF_SAFE);
        if let Some(row) = case.params["default_id"].as_i64() {
            bags = bags.with_default_row(row);
            defaults += 1;
        }
        check(&recorded, &case, &bags, case.params["combiner"].as_str().unwrap().parse().unwrap());
    }
    assert_eq!(defaults, 5);
}
