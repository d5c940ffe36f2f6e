//! States that are saved, set again and grown.

use hotrow::{Error, Gradient, Optimizer, Rounding, Table, f16};

use crate::common::{Random, Repeats, assert_identical, draw_ids};
use crate::{Recipe, assert_same_state, rules};

/// An optimizer whose steps and states are set to another's goes on as that one does.
#[test]
fn saved_states_go_on_identically() {
    let (rows, dim) = (50, 9);
    for rule in rules() {
        let recipe = Recipe { rounding: Rounding::Stochastic { seed: 5 }, ..Recipe::plain(rule) };
        let mut random = Random(1);
        let mut batch = || {
            let ids = draw_ids(&mut random, 80, rows, Repeats::Some);
            let grad: Vec<f32> = random.values(ids.len() * dim, false);
            (ids, grad)
        };
        let mut table = Table::<f16>::zeros(rows, dim).unwrap();
        let mut optimizer = recipe.make(rows, dim);
        for _ in 0..3 {
            let (ids, grad) = batch();
            optimizer.step(&mut table, Gradient::of_gather(&ids, &grad)).unwrap();
        }

        let mut copy = recipe.make(rows, dim);
        let saved: Vec<(&str, Vec<f32>)> = optimizer.state().map(|(name, state)| (name, state.to_vec())).collect();
        for (name, values) in &saved {
            copy.set_state(name, values).unwrap();
        }
        copy.set_steps(optimizer.steps());
        let mut copied = table.try_clone().unwrap();
        for _ in 0..3 {
            let (ids, grad) = batch();
            optimizer.step(&mut table, Gradient::of_gather(&ids, &grad)).unwrap();
            copy.step(&mut copied, Gradient::of_gather(&ids, &grad)).unwrap();
        }
        assert_identical(&copied.to_vec(), &table.to_vec(), rule.name());
        assert_same_state(&copy, &optimizer, rule.name());
    }
}

/// A table that grows: old rows go on as they would have, new ones as in a new optimizer that has made as many steps.
#[test]
fn grown_states_keep_the_old_and_start_the_new() {
    let (rows, more, dim) = (20, 35, 6);
    for rule in rules() {
        let mut random = Random(4);
        let ids = draw_ids(&mut random, 40, rows, Repeats::Some);
        let grad: Vec<f32> = random.values(40 * dim, false);
        let (mut small, mut large) = (Optimizer::new(rule, rows, dim).unwrap(), Optimizer::new(rule, more, dim).unwrap());
        let mut table = Table::<f32>::zeros(rows, dim).unwrap();
        let mut wide = Table::<f32>::zeros(more, dim).unwrap();
        small.step(&mut table, Gradient::of_gather(&ids, &grad)).unwrap();
        large.step(&mut wide, Gradient::of_gather(&ids, &grad)).unwrap();
        small.grow(more).unwrap();
        assert_eq!(small.rows(), more);
        assert_same_state(&small, &large, rule.name());
        // And it is an optimizer of the larger table now.
        assert!(matches!(small.step(&mut table, Gradient::of_gather(&ids, &grad)), Err(Error::OptimizerShape { .. })));
        assert_eq!(small.grow(rows), Err(Error::CannotShrink { rows: more, asked: rows }));
        assert_same_state(&small, &large, rule.name());
    }
}

/// The last step that can be counted is counted.
#[test]
fn steps_do_not_overflow() {
    for rule in rules() {
        let mut table = Table::<f16>::zeros(2, 2).unwrap();
        let mut optimizer = Optimizer::new(rule, 2, 2).unwrap().with_rounding(Rounding::Stochastic { seed: 1 });
        optimizer.set_steps(u64::MAX);
        optimizer.step(&mut table, Gradient::of_gather(&[1], &[1.0f32, 2.0])).unwrap();
        assert_eq!(optimizer.steps(), u64::MAX);
        assert!(table.to_vec().iter().all(|x| x.is_finite()));
    }
}
