//! Optimizers: every rule, option, element, source of gradient, level and thread count against `reference`, bit for bit; what a
//! step refuses; states that are saved, set again and grown.

#[path = "../common/mod.rs"]
mod common;

mod columns;
mod formulas;
mod plain_loop;
mod refusals;
mod rounding;
mod states;

use common::assert_same;
use hotrow::{Ftrl, Optimizer, RmsProp, Rounding, Rule, Sgd, WeightDecay};
use proptest::prelude::*;

/// Every rule by its defaults, and those that momentum makes another one of; with a learning rate that moves something.
fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Rule::NAMES.iter().map(|name| name.parse().unwrap()).collect();
    rules.push(Sgd { momentum: 0.9, ..Sgd::default() }.into());
    rules.push(Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() }.into());
    rules.push(RmsProp { momentum: 0.5, ..RmsProp::default() }.into());
    rules.push(Ftrl { l1: 0.1, l2: 0.2, ..Ftrl::default() }.into());
    rules.into_iter().map(|rule| rule.with_lr(0.1)).collect()
}

/// An optimizer to be made.
#[derive(Clone, Debug)]
struct Recipe {
    rule: Rule,
    decay: WeightDecay,
    clip_value: Option<f32>,
    clip_norm: Option<f32>,
    max_row_norm: Option<f32>,
    rounding: Rounding,
    finite_check: bool,
}

impl Recipe {
    fn plain(rule: Rule) -> Recipe {
        Recipe {
            rule,
            decay: WeightDecay::None,
            clip_value: None,
            clip_norm: None,
            max_row_norm: None,
            rounding: Rounding::Nearest,
            finite_check: false,
        }
    }

    fn make(&self, rows: usize, dim: usize) -> Optimizer {
        let mut optimizer = Optimizer::new(self.rule, rows, dim).unwrap();
        optimizer = optimizer.with_rounding(self.rounding).with_finite_check(self.finite_check);
        // A decay that the rule refuses is left out.
        let allowed = match (self.rule, self.decay) {
            (Rule::AdamW(_), _) | (Rule::Ftrl(_), WeightDecay::Decoupled(_)) => WeightDecay::None,
            (_, decay) => decay,
        };
        optimizer = optimizer.with_weight_decay(allowed).unwrap();
        if let Some(limit) = self.clip_value {
            optimizer = optimizer.with_clip_value(limit).unwrap();
        }
        if let Some(max) = self.clip_norm {
            optimizer = optimizer.with_clip_norm(max).unwrap();
        }
        if let Some(max) = self.max_row_norm {
            optimizer = optimizer.with_max_row_norm(max).unwrap();
        }
        optimizer
    }
}

/// Mostly plain optimizers, and each option now and then.
fn recipe() -> impl Strategy<Value = Recipe> {
    let decay = prop_oneof![
        3 => Just(WeightDecay::None),
        1 => Just(WeightDecay::L2(0.05)),
        1 => Just(WeightDecay::Decoupled(0.05)),
    ];
    let seldom = |value: f32| prop_oneof![4 => Just(None), 1 => Just(Some(value))];
    let rounding = prop_oneof![2 => Just(Rounding::Nearest), 1 => any::<u64>().prop_map(|seed| Rounding::Stochastic { seed })];
    let limits = (seldom(0.5), seldom(3.0), seldom(2.0));
    (proptest::sample::select(rules()), decay, limits, rounding, proptest::bool::weighted(0.2)).prop_map(
        |(rule, decay, (clip_value, clip_norm, max_row_norm), rounding, finite_check)| Recipe {
            rule,
            decay,
            clip_value,
            clip_norm,
            max_row_norm,
            rounding,
            finite_check,
        },
    )
}

fn assert_same_state(got: &Optimizer, want: &Optimizer, context: &str) {
    assert_eq!(got.steps(), want.steps(), "{context}");
    assert_eq!(got.state().count(), want.state().count(), "{context}");
    for ((name, got), (other, want)) in got.state().zip(want.state()) {
        assert_eq!(name, other);
        assert_same(&got.to_vec(), &want.to_vec(), &format!("{name}, {context}"));
    }
}
