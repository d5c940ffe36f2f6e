//! What the optimizers of PyTorch, FBGEMM and TensorFlow really answered: recorded steps, replayed.

mod common;

use common::recorded::{Case, Recorded, assert_close};
use common::{label, workspaces};
use hotrow::reference::{self, PlainBags, RowGradients};
use hotrow::{Adagrad, Adam, Bags, Ftrl, Gradient, Ids, Optimizer, Pooling, RmsProp, RowWiseAdagrad, Rule, Sgd, Table};

/// A case: its table, its optimizer, and each step's gradient.
struct Replay<'a> {
    recorded: &'a Recorded,
    case: &'a Case,
    shape: [usize; 2],
    weight: Vec<f32>,
    rule: Rule,
}

impl<'a> Replay<'a> {
    fn new(recorded: &'a Recorded, case: &'a Case, rule: Rule) -> Replay<'a> {
        let (shape, weight) = recorded.f32(&case.inputs["weight"]);
        Replay { recorded, case, shape: shape.try_into().unwrap(), weight, rule }
    }

    /// The steps of the reference, and of the engine on every level and thread count: the table after each, and the states after
    /// the last, by our name and theirs.
    fn run(&self, lookups: &[Lookup], states: &[(&str, &str)]) {
        let [rows, dim] = self.shape;
        let tables = self.expected("weight_after");
        let states: Vec<(&str, Vec<f64>)> = states.iter().map(|&(ours, theirs)| (ours, self.expected(theirs))).collect();
        self.replay(lookups, &tables, &states, "reference", &mut |optimizer, table, lookup| {
            reference::step(optimizer, table.view_mut(), &lookup.gradient(rows, dim)).unwrap();
        });
        for mut workspace in workspaces() {
            let label = label(&workspace);
            self.replay(lookups, &tables, &states, &label, &mut |optimizer, table, lookup| match &lookup.offsets {
                None => workspace.step(optimizer, table, Gradient::of_gather(&lookup.ids, &lookup.grad)).unwrap(),
                Some(offsets) => {
                    let bags = Bags::from_splits(&lookup.ids, offsets);
                    workspace.step(optimizer, table, Gradient::of_bags(&bags, lookup.pooling, &lookup.grad)).unwrap();
                }
            });
        }
    }

    fn replay(
        &self,
        lookups: &[Lookup],
        tables: &[f64],
        states: &[(&str, Vec<f64>)],
        by: &str,
        step: &mut dyn FnMut(&mut Optimizer, &mut Table<f32>, &Lookup),
    ) {
        let [rows, dim] = self.shape;
        let mut table = Table::from_slice(&self.weight, rows, dim).unwrap();
        let mut optimizer = Optimizer::new(self.rule, rows, dim).unwrap();
        assert_eq!(tables.len(), lookups.len() * rows * dim);
        for (at, (lookup, want)) in lookups.iter().zip(tables.chunks(rows * dim)).enumerate() {
            step(&mut optimizer, &mut table, lookup);
            assert_close(&table.to_vec(), want, &format!("{} after step {at}, {by}", self.case.id));
        }
        assert_eq!(optimizer.state().count(), states.len());
        for ((name, state), (expected, want)) in optimizer.state().zip(states) {
            assert_eq!(name, *expected);
            let got = state.to_vec();
            assert_eq!(got.len(), want.len());
            // On the state's own scale, which can be small.
            let scale = want.iter().fold(0.0f64, |scale, x| scale.max(x.abs()));
            for (got, want) in got.iter().zip(want) {
                let close = (f64::from(*got) - want).abs() <= 1e-5 * scale;
                assert!(close, "{} {name}, {by}: {got} instead of {want}", self.case.id);
            }
        }
    }

    fn expected(&self, name: &str) -> Vec<f64> {
        self.recorded.f32(&self.case.outputs[name]).1.into_iter().map(f64::from).collect()
    }

    /// A number of the case.
    fn param(case: &Case, name: &str) -> f32 {
        case.params[name].as_f64().unwrap() as f32
    }
}

/// One step's lookup, and the gradient of its output.
struct Lookup {
    ids: Vec<i64>,
    /// Of bags, with the last.
    offsets: Option<Vec<i64>>,
    pooling: Pooling,
    grad: Vec<f32>,
}

impl Lookup {
    fn gradient(&self, rows: usize, dim: usize) -> RowGradients {
        match &self.offsets {
            None => {
                let resolved = reference::resolve(Ids::from(&self.ids), rows).unwrap();
                reference::gather_gradient(&resolved, &self.grad, dim, None, false)
            }
            Some(offsets) => {
                let bags = Bags::from_splits(&self.ids, offsets);
                let bags = PlainBags::of(&bags, rows).unwrap();
                reference::bag_gradient(&bags, self.pooling, &self.grad, dim, false)
            }
        }
    }
}

/// Steps of gathers: `ids` is `[steps, ids]` and `grads` `[steps, ids, dim]`.
fn gathers(recorded: &Recorded, case: &Case) -> Vec<Lookup> {
    let (shape, ids) = recorded.i64(&case.inputs["ids"]);
    let (_, grads) = recorded.f32(&case.inputs["grads"]);
    let lookups = ids.chunks(shape[1]).zip(grads.chunks(grads.len() / shape[0]));
    lookups.map(|(ids, grad)| Lookup { ids: ids.to_vec(), offsets: None, pooling: Pooling::Sum, grad: grad.to_vec() }).collect()
}

/// Steps of bags: `offsets` is `[steps, bags + 1]` and `grads` `[steps, bags, dim]`.
fn bags(recorded: &Recorded, case: &Case) -> Vec<Lookup> {
    let (shape, offsets) = recorded.i64(&case.inputs["offsets"]);
    let (_, grads) = recorded.f32(&case.inputs["grads"]);
    let pooling: Pooling = case.params["pooling"].as_str().unwrap().parse().unwrap();
    let lookups = offsets.chunks(shape[1]).zip(grads.chunks(grads.len() / shape[0])).enumerate();
    lookups
        .map(|(step, (offsets, grad))| {
            let (_, ids) = recorded.i64(&case.inputs[&format!("ids{step}")]);
            Lookup { ids, offsets: Some(offsets.to_vec()), pooling, grad: grad.to_vec() }
        })
        .collect()
}

fn replay_gathers(op: &str, states: &[(&str, &str)], rule: impl Fn(&Case) -> Rule) {
    let recorded = Recorded::open("optimizers");
    for case in recorded.of(op, 5) {
        Replay::new(&recorded, &case, rule(&case)).run(&gathers(&recorded, &case), states);
    }
}

fn replay_bags(op: &str, states: &[(&str, &str)], rule: impl Fn(&Case) -> Rule) {
    let recorded = Recorded::open("optimizers");
    for case in recorded.of(op, 10) {
        Replay::new(&recorded, &case, rule(&case)).run(&bags(&recorded, &case), states);
    }
}

#[test]
fn torch_sgd() {
    replay_gathers("torch.SGD", &[], |case| Sgd { lr: Replay::param(case, "lr"), ..Sgd::default() }.into());
}

#[test]
fn torch_adagrad() {
    replay_gathers("torch.Adagrad", &[("sum", "state_sum")], adagrad);
}

#[test]
fn torch_sparse_adam() {
    replay_gathers("torch.SparseAdam", &[("exp_avg", "state_exp_avg"), ("exp_avg_sq", "state_exp_avg_sq")], |case| {
        let param = |name| Replay::param(case, name);
        let beta = |name: &str| case.params[name].as_f64().unwrap();
        Adam { lr: param("lr"), beta1: beta("beta1"), beta2: beta("beta2"), eps: param("eps") }.into()
    });
}

#[test]
fn fbgemm_sgd() {
    replay_bags("fbgemm.sgd", &[], |case| Sgd { lr: Replay::param(case, "lr"), ..Sgd::default() }.into());
}

#[test]
fn fbgemm_adagrad() {
    replay_bags("fbgemm.adagrad", &[("sum", "state")], |case| {
        Adagrad { lr: Replay::param(case, "lr"), eps: Replay::param(case, "eps"), ..Adagrad::default() }.into()
    });
}

#[test]
fn fbgemm_rowwise_adagrad() {
    replay_bags("fbgemm.rowwise_adagrad", &[("sum", "state")], |case| {
        RowWiseAdagrad { lr: Replay::param(case, "lr"), eps: Replay::param(case, "eps"), ..RowWiseAdagrad::default() }.into()
    });
}

#[test]
fn tensorflow_adagrad() {
    replay_gathers("tf.Adagrad", &[("sum", "state_accum")], adagrad);
}

#[test]
fn tensorflow_momentum() {
    replay_gathers("tf.Momentum", &[("momentum", "state_accum")], |case| {
        let nesterov = case.params["nesterov"].as_bool().unwrap();
        Sgd { lr: Replay::param(case, "lr"), momentum: Replay::param(case, "momentum"), nesterov }.into()
    });
}

#[test]
fn tensorflow_rmsprop() {
    replay_gathers("tf.RMSProp", &[("ms", "state_ms"), ("mom", "state_mom")], |case| {
        let param = |name| Replay::param(case, name);
        RmsProp { lr: param("lr"), rho: param("rho"), momentum: param("momentum"), eps: param("eps") }.into()
    });
}

#[test]
fn tensorflow_ftrl() {
    replay_gathers("tf.Ftrl", &[("accum", "state_accum"), ("linear", "state_linear")], |case| {
        assert_eq!((case.params["lr_power"].as_f64(), case.params["l2_shrinkage"].as_f64()), (Some(-0.5), Some(0.0)));
        let param = |name| Replay::param(case, name);
        let initial_accumulator = param("initial_accumulator_value");
        Ftrl { lr: param("lr"), l1: param("l1"), l2: param("l2"), initial_accumulator }.into()
    });
}

fn adagrad(case: &Case) -> Rule {
    let param = |name| Replay::param(case, name);
    Adagrad { lr: param("lr"), eps: param("eps"), initial_accumulator: param("initial_accumulator_value") }.into()
}
