//! A table and an optimizer that take several steps, beside a model that the plain loop changes: the optimizer's hyperparameters
//! and options, and where each gradient comes from, are drawn. Learning rates change on the way, states are set, and tables grow.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use hotrow::reference::{self, PlainBags, RowGradients};
use hotrow::{
    Adagrad, Adam, AdamW, Bags, DType, Error, Ftrl, Gradient, Ids, Optimizer, PartialRowWiseAdam, Pooling, Result, RmsProp,
    Rounding, RowWiseAdagrad, Rule, Sgd, TableViewMut, WeightDecay, Workspace, bf16, f16,
};

use super::cases::{Bits, Sizes, assert_identical, assert_same, ids, label, policy, values, workspaces};
use super::input::Input;

/// What the engine is held against.
pub trait Oracle {
    fn step<E: Bits>(optimizer: &mut Optimizer, table: TableViewMut<'_, E>, gradient: &RowGradients) -> Result<()>;
}

/// The plain loop.
pub struct Reference;

impl Oracle for Reference {
    fn step<E: Bits>(optimizer: &mut Optimizer, table: TableViewMut<'_, E>, gradient: &RowGradients) -> Result<()> {
        reference::step(optimizer, table, gradient)
    }
}

pub fn check(bytes: &[u8]) {
    check_against::<Reference>(bytes);
}

/// With an oracle of the caller's choosing, so that the check itself can be seen to fail.
pub fn check_against<R: Oracle>(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.pick(&[DType::F32, DType::F16, DType::BF16]) {
        DType::F16 => steps::<f16, R>(input),
        DType::BF16 => steps::<bf16, R>(input),
        _ => steps::<f32, R>(input),
    }
}

/// A number that may be of use; seldom any at all.
fn number(input: &mut Input<'_>, good: &[f32]) -> f32 {
    if input.seldom() { f32::from_bits(input.word() as u32) } else { input.pick(good) }
}

fn rule(input: &mut Input<'_>) -> Rule {
    let which = input.below(8);
    let lr = number(input, &[0.1, 1.0, 1e-3, 0.0, 1e-20, 3e38]);
    let eps = number(input, &[1e-8, 0.0, 1e-3, 1.0]);
    let (one, two) = (number(input, &[0.9, 0.0, 0.5]), number(input, &[0.999, 0.0, 0.9]));
    let start = number(input, &[0.0, 0.1, 1e30]);
    match which {
        0 => Sgd { lr, momentum: one, nesterov: input.flag() }.into(),
        1 => Adagrad { lr, eps, initial_accumulator: start }.into(),
        2 => RowWiseAdagrad { lr, eps, initial_accumulator: start }.into(),
        3 => Adam { lr, beta1: one.into(), beta2: two.into(), eps }.into(),
        4 => AdamW { lr, beta1: one.into(), beta2: two.into(), eps, weight_decay: number(input, &[0.01, 0.0, 1.0]) }.into(),
        5 => PartialRowWiseAdam { lr, beta1: one, beta2: two, eps }.into(),
        6 => RmsProp { lr, rho: two, momentum: one, eps }.into(),
        _ => Ftrl { lr, l1: eps, l2: one, initial_accumulator: start }.into(),
    }
}

/// An optimizer's options.
struct Options {
    decay: WeightDecay,
    clip_value: Option<f32>,
    clip_norm: Option<f32>,
    max_row_norm: Option<f32>,
    rounding: Rounding,
    finite_check: bool,
}

impl Options {
    fn draw(input: &mut Input<'_>) -> Options {
        let decay = number(input, &[0.1, 0.0, 1e-4, 20.0]);
        let limits = [0.5, 1e-3, 100.0, 1e-30];
        Options {
            decay: match input.below(4) {
                0 => WeightDecay::L2(decay),
                1 => WeightDecay::Decoupled(decay),
                _ => WeightDecay::None,
            },
            clip_value: input.flag().then(|| number(input, &limits)),
            clip_norm: input.flag().then(|| number(input, &limits)),
            max_row_norm: input.flag().then(|| number(input, &limits)),
            rounding: if input.flag() { Rounding::Stochastic { seed: input.word() } } else { Rounding::Nearest },
            finite_check: input.below(4) == 1,
        }
    }

    fn make(&self, rule: Rule, [rows, dim]: [usize; 2]) -> Result<Optimizer> {
        let mut optimizer = Optimizer::new(rule, rows, dim)?.with_weight_decay(self.decay)?;
        if let Some(limit) = self.clip_value {
            optimizer = optimizer.with_clip_value(limit)?;
        }
        if let Some(max) = self.clip_norm {
            optimizer = optimizer.with_clip_norm(max)?;
        }
        if let Some(max) = self.max_row_norm {
            optimizer = optimizer.with_max_row_norm(max)?;
        }
        Ok(optimizer.with_rounding(self.rounding).with_finite_check(self.finite_check))
    }
}

/// The table and its optimizer, and what they should be.
struct State<E> {
    sizes: Sizes,
    table: Vec<E>,
    model: Vec<E>,
    optimizer: Optimizer,
    other: Optimizer,
}

fn steps<E: Bits, R: Oracle>(mut input: Input<'_>) {
    let sizes = Sizes::draw(&mut input);
    let (rule, options) = (rule(&mut input), Options::draw(&mut input));
    let shape = [sizes.rows, sizes.dim];
    let (optimizer, other) = match (options.make(rule, shape), options.make(rule, shape)) {
        (Ok(one), Ok(two)) => (one, two),
        (Err(error), Err(again)) => {
            // What was drawn cannot be used, and a sentence says why.
            let refused = matches!(error, Error::InvalidHyperparameter { .. } | Error::OptionConflict { .. });
            assert!(refused && error == again && !error.to_string().is_empty(), "{error}");
            return;
        }
        _ => panic!("the same optimizer was made once and refused once"),
    };
    let cells = values::<E>(&mut input, sizes.cells());
    let mut state = State { sizes, table: cells.clone(), model: cells, optimizer, other };
    let mut workspaces: Vec<Workspace> = (1..=3).flat_map(workspaces).collect();
    let most = if sizes.ids < 1000 { 6 } else { 2 };
    for step in 0..1 + input.below(most) {
        match input.below(16) {
            1 => state.change_rate(&mut input),
            2 => state.set_state(&mut input),
            3 => state.grow(&mut input),
            _ => {}
        }
        let at = input.below(workspaces.len());
        let context = format!("step {step}, {} table, {:?}, {}", E::DTYPE, state.sizes, label(&workspaces[at]));
        state.step::<R>(&mut workspaces[at], &mut input, &context);
    }
}

impl<E: Bits> State<E> {
    fn step<R: Oracle>(&mut self, workspace: &mut Workspace, input: &mut Input<'_>, context: &str) {
        let Sizes { rows, dim, stride, .. } = self.sizes;
        let before = self.table.clone();
        let policy = policy(input);
        let count = self.sizes.ids >> input.below(3);
        let numbers = ids(input, rows, count);
        let ids = Ids::from(&numbers).with_policy(policy);
        let by_freq = input.below(8) == 1;
        let pooling = input.pick(&[Pooling::Sum, Pooling::Mean, Pooling::Sqrtn]);
        let lengths = lengths(input, numbers.len());
        let weights: Option<Vec<f32>> = input.flag().then(|| values(input, numbers.len()));
        let mut bags = Bags::from_lengths(ids, &lengths);
        if let Some(weights) = &weights {
            bags = bags.with_weights(weights);
        }
        let source = input.below(3);
        let outputs = if source == 0 { lengths.len() } else { numbers.len() };
        let grad: Vec<f32> = values(input, outputs * dim);

        // What the gradient should be, or the lookup's error.
        let summed = match source {
            0 => PlainBags::of(&bags, rows).map(|bags| reference::bag_gradient(&bags, pooling, &grad, dim, by_freq)),
            _ => reference::resolve(ids, rows).map(|rows| reference::gather_gradient(&rows, &grad, dim, None, by_freq)),
        };
        let model = TableViewMut::new(&mut self.model, rows, dim, stride).expect("a table that fits");
        let want = summed.clone().and_then(|summed| R::step(&mut self.other, model, &summed));

        let table = TableViewMut::new(&mut self.table, rows, dim, stride).expect("a table that fits");
        let got = match source {
            0 => {
                let gradient = Gradient::of_bags(&bags, pooling, &grad).scale_by_freq(by_freq);
                workspace.step(&mut self.optimizer, table, gradient)
            }
            1 => {
                let gradient = Gradient::of_gather(ids, &grad).scale_by_freq(by_freq);
                workspace.step(&mut self.optimizer, table, gradient)
            }
            _ => {
                let gradient = Gradient::of_gather(ids, &grad).scale_by_freq(by_freq);
                let summed = workspace.sparse_grad(gradient, rows, dim);
                summed.and_then(|summed| workspace.step(&mut self.optimizer, table, Gradient::of_sparse(&summed)))
            }
        };

        let context = format!("{context}, source {source}, {pooling}, {:?}", self.other);
        assert_eq!(got, want, "{context}");
        assert_same(&self.table, &self.model, &context);
        self.assert_same_states(&context);
        // Rows that no id names, and the padding of all rows, keep their very bits.
        let touched = if got.is_ok() { summed.unwrap_or_default() } else { RowGradients::new() };
        for row in 0..rows {
            let kept = row * stride + if touched.contains_key(&row) { dim } else { 0 }..(row + 1) * stride;
            assert_identical(&self.table[kept.clone()], &before[kept], &context);
        }
    }

    fn assert_same_states(&self, context: &str) {
        assert_eq!(self.optimizer.steps(), self.other.steps(), "{context}");
        for ((name, got), (_, want)) in self.optimizer.state().zip(self.other.state()) {
            assert_same(&got.to_vec(), &want.to_vec(), &format!("{name}, {context}"));
        }
    }

    fn change_rate(&mut self, input: &mut Input<'_>) {
        let lr = number(input, &[0.01, 0.0, 2.0, -1.0]);
        assert_eq!(self.optimizer.set_lr(lr), self.other.set_lr(lr));
    }

    fn set_state(&mut self, input: &mut Input<'_>) {
        let steps = input.pick(&[0, 1, 1000, u64::MAX]);
        self.optimizer.set_steps(steps);
        self.other.set_steps(steps);
        let names: Vec<(&str, usize)> = self.optimizer.state().map(|(name, state)| (name, state.rows() * state.dim())).collect();
        for (name, n) in names {
            let values = values::<f32>(input, n);
            self.optimizer.set_state(name, &values).expect("a state of this name and size");
            self.other.set_state(name, &values).expect("a state of this name and size");
        }
    }

    fn grow(&mut self, input: &mut Input<'_>) {
        self.sizes.rows += input.below(5);
        let new = values::<E>(input, self.sizes.cells() - self.table.len());
        self.table.extend_from_slice(&new);
        self.model.extend_from_slice(&new);
        self.optimizer.grow(self.sizes.rows).expect("a few more rows");
        self.other.grow(self.sizes.rows).expect("a few more rows");
    }
}

/// Lengths of bags that hold `n` ids together; empty ones among them.
fn lengths(input: &mut Input<'_>, n: usize) -> Vec<i64> {
    let pattern: Vec<usize> = (0..1 + input.below(4)).map(|_| input.below(8)).collect();
    let mut lengths = Vec::new();
    let mut rest = n;
    while rest > 0 {
        // A pattern of zeros would not come to an end.
        let length = match pattern[lengths.len() % pattern.len()] {
            0 if lengths.len() >= 2 * n => rest,
            7 => rest.div_ceil(2),
            length => length.min(rest),
        };
        lengths.push(length as i64);
        rest -= length;
    }
    lengths
}
