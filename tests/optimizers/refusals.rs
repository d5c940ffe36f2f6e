//! What is refused, and that nothing changes then.

use hotrow::{
    Adagrad, Adam, AdamW, Error, Ftrl, Gradient, Optimizer, PartialRowWiseAdam, RmsProp, RowWiseAdagrad, Rule, Sgd, Table,
    WeightDecay, bf16,
};

use crate::common::{Random, Repeats, assert_identical, draw_ids, label, workspaces};
use crate::rules;

/// A gradient that is not finite is refused before anything changes, and the error names the row.
#[test]
fn refused_steps_change_nothing() {
    let (rows, dim) = (4000, 33);
    for rule in rules() {
        for mut workspace in workspaces() {
            let mut random = Random(9);
            let mut table = Table::<bf16>::from_slice(&random.values(rows * dim, false), rows, dim).unwrap();
            let mut optimizer = Optimizer::new(rule, rows, dim).unwrap().with_finite_check(true);
            let ids = draw_ids(&mut random, 3000, rows, Repeats::Some);
            let mut grad: Vec<f32> = random.values(ids.len() * dim, false);
            workspace.step(&mut optimizer, &mut table, Gradient::of_gather(&ids, &grad)).unwrap();
            let before = table.to_vec();
            let states: Vec<Vec<f32>> = optimizer.state().map(|(_, state)| state.to_vec()).collect();
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                grad[1000 * dim + 7] = bad;
                let error = workspace.step(&mut optimizer, &mut table, Gradient::of_gather(&ids, &grad)).unwrap_err();
                let row = ids[1000] as usize;
                assert_eq!(error, Error::NonFiniteGradient { row, column: 7, value: bad.to_string() });
            }
            // Finite gradients whose sum is not.
            grad.fill(0.0);
            let (first, second) = (10 * dim, ids.len() * dim);
            grad[first] = f32::MAX;
            let twice: Vec<i64> = ids.iter().copied().chain([ids[10]]).collect();
            grad.extend(std::iter::repeat_n(0.0, dim));
            grad[second] = f32::MAX;
            let error = workspace.step(&mut optimizer, &mut table, Gradient::of_gather(&twice, &grad)).unwrap_err();
            assert_eq!(error, Error::NonFiniteGradient { row: ids[10] as usize, column: 0, value: "inf".to_owned() });

            assert_identical(&table.to_vec(), &before, &label(&workspace));
            assert_eq!(optimizer.steps(), 1);
            for ((name, state), before) in optimizer.state().zip(&states) {
                assert_identical(&state.to_vec(), before, name);
            }
        }
    }
}

/// Nor do the lookup's own errors, or a table of another shape.
#[test]
fn refused_lookups_change_nothing() {
    let mut table = Table::<f32>::from_fn(5, 2, |row, _| row as f32).unwrap();
    let mut optimizer = Optimizer::new(Adam::default(), 5, 2).unwrap();
    let before = table.to_vec();
    let error = optimizer.step(&mut table, Gradient::of_gather(&[1, 5], &[1.0f32; 4])).unwrap_err();
    assert!(matches!(error, Error::IdOutOfRange { .. }), "{error}");
    let error = optimizer.step(&mut table, Gradient::of_gather(&[1, 4], &[1.0f32; 3])).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    let mut wider = Table::<f32>::zeros(5, 3).unwrap();
    let error = optimizer.step(&mut wider, Gradient::of_gather(&[1], &[1.0f32; 3])).unwrap_err();
    assert_eq!(error, Error::OptimizerShape { optimizer: [5, 2], table: [5, 3] });
    assert_eq!(error.to_string(), "the optimizer was made for a table of shape [5, 2], but this one has [5, 3]");
    assert_eq!(optimizer.steps(), 0);
    assert_identical(&table.to_vec(), &before, "the table");
    assert!(optimizer.state().all(|(_, state)| state.to_vec() == [0.0; 10]));
}

#[test]
fn rules_by_name() {
    for name in Rule::NAMES {
        let rule: Rule = name.parse().unwrap();
        assert_eq!((rule.name(), rule.to_string().as_str()), (name, name));
        assert!(Optimizer::new(rule, 3, 2).is_ok());
    }
    let error = "adamax".parse::<Rule>().unwrap_err();
    for name in Rule::NAMES {
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn hyperparameters_are_checked() {
    fn refused(rule: impl Into<Rule>, name: &str) {
        match Optimizer::new(rule, 2, 2).map(|optimizer| optimizer.rule()) {
            Err(Error::InvalidHyperparameter { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    for bad in [-0.1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for name in Rule::NAMES {
            refused(name.parse::<Rule>().unwrap().with_lr(bad), "lr");
        }
        refused(Sgd { momentum: bad, ..Sgd::default() }, "momentum");
        refused(Adagrad { eps: bad, ..Adagrad::default() }, "eps");
        refused(Adagrad { initial_accumulator: bad, ..Adagrad::default() }, "initial_accumulator");
        refused(RowWiseAdagrad { eps: bad, ..RowWiseAdagrad::default() }, "eps");
        refused(RowWiseAdagrad { initial_accumulator: bad, ..RowWiseAdagrad::default() }, "initial_accumulator");
        refused(Adam { beta1: bad.into(), ..Adam::default() }, "beta1");
        refused(Adam { beta2: bad.into(), ..Adam::default() }, "beta2");
        refused(Adam { eps: bad, ..Adam::default() }, "eps");
        refused(AdamW { beta1: bad.into(), ..AdamW::default() }, "beta1");
        refused(AdamW { beta2: bad.into(), ..AdamW::default() }, "beta2");
        refused(AdamW { eps: bad, ..AdamW::default() }, "eps");
        refused(AdamW { weight_decay: bad, ..AdamW::default() }, "weight_decay");
        refused(PartialRowWiseAdam { beta1: bad, ..PartialRowWiseAdam::default() }, "beta1");
        refused(PartialRowWiseAdam { beta2: bad, ..PartialRowWiseAdam::default() }, "beta2");
        refused(PartialRowWiseAdam { eps: bad, ..PartialRowWiseAdam::default() }, "eps");
        refused(RmsProp { rho: bad, ..RmsProp::default() }, "rho");
        refused(RmsProp { momentum: bad, ..RmsProp::default() }, "momentum");
        refused(RmsProp { eps: bad, ..RmsProp::default() }, "eps");
        refused(Ftrl { l1: bad, ..Ftrl::default() }, "l1");
        refused(Ftrl { l2: bad, ..Ftrl::default() }, "l2");
        refused(Ftrl { initial_accumulator: bad, ..Ftrl::default() }, "initial_accumulator");
    }
    refused(Ftrl { lr: 0.0, ..Ftrl::default() }, "lr");
    refused(Adam { beta2: 1.0, ..Adam::default() }, "beta2");
    let error = Optimizer::new(Adam { beta2: 1.0, ..Adam::default() }, 2, 2).unwrap_err();
    assert_eq!(error.to_string(), "beta2 = 1 cannot be used: it must be at least 0 and less than 1");

    let new = |rule: Rule| Optimizer::new(rule, 2, 2).unwrap();
    let plain = || new(Sgd::default().into());
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(plain().with_clip_value(bad).is_err());
        assert!(plain().with_clip_norm(bad).is_err());
        assert!(plain().with_max_row_norm(bad).is_err());
        assert_eq!(plain().with_weight_decay(WeightDecay::L2(bad)).is_ok(), bad == 0.0);
        assert_eq!(plain().with_weight_decay(WeightDecay::Decoupled(bad)).is_ok(), bad == 0.0);
    }
    let error = new(AdamW::default().into()).with_weight_decay(WeightDecay::Decoupled(0.1)).unwrap_err();
    assert_eq!(error.to_string(), "weight decay cannot be combined with the optimizer adamw: it has a weight decay of its own");
    assert!(new(AdamW::default().into()).with_weight_decay(WeightDecay::None).is_ok());
    assert!(new(Ftrl::default().into()).with_weight_decay(WeightDecay::Decoupled(0.1)).is_err());
    assert!(new(Ftrl::default().into()).with_weight_decay(WeightDecay::L2(0.1)).is_ok());
}

#[test]
fn learning_rates_and_states_are_checked() {
    let mut optimizer = Optimizer::new(Ftrl::default(), 2, 3).unwrap();
    assert!(optimizer.set_lr(0.0).is_err() && optimizer.set_lr(f32::NAN).is_err());
    assert_eq!(optimizer.lr(), 0.001);
    optimizer.set_lr(0.5).unwrap();
    assert_eq!((optimizer.lr(), optimizer.rule()), (0.5, Ftrl { lr: 0.5, ..Ftrl::default() }.into()));

    let error = optimizer.set_state("sum", &[0.0; 6]).unwrap_err();
    assert_eq!(error.to_string(), "optimizer state \"sum\" is not known: expected one of accum, linear");
    let error = optimizer.set_state("linear", &[0.0; 5]).unwrap_err();
    assert_eq!(error, Error::ShapeMismatch { what: "optimizer state", expected: vec![2, 3], needed: 6, actual: 5 });
    let error = Optimizer::new(Sgd::default(), 2, 3).unwrap().set_state("momentum", &[0.0; 6]).unwrap_err();
    assert!(matches!(error, Error::UnknownName { .. }), "{error}");

    assert!(matches!(Optimizer::new(Adam::default(), 1 << 33, 4), Err(Error::TooManyRows { .. })));
    assert!(matches!(
        Optimizer::new(Adam::default(), 1 << 31, 1 << 40),
        Err(Error::SizeOverflow { .. } | Error::OutOfMemory { .. })
    ));
}
