//! Optimizers: every rule, option, element, source of gradient, level and thread count against `reference`, bit for bit; what a
//! step refuses; states that are saved, set again and grown.

mod common;

use common::bags::{BagCase, Drawn, Lengths, Strays, Weights, bag_case};
use common::{DIMS, Random, Repeats, assert_identical, assert_same, draw_ids, label, workspaces};
use hotrow::reference::{self, RowGradients};
use hotrow::{
    Adagrad, Adam, AdamW, Batch, DType, Element, Error, Ftrl, Gradient, IdPolicy, Ids, Optimizer, PartialRowWiseAdam, Pooling,
    RmsProp, Rounding, RowWiseAdagrad, Rule, Sgd, SparseGrad, Table, TableViewMut, WeightDecay, Workspace, bf16, f16,
};
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

/// Where a step's gradient comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Gather,
    Bags(Pooling),
    Max,
    Sparse,
    PreparedIds,
    PreparedBags(Pooling),
}

const SOURCES: [Source; 9] = [
    Source::Gather,
    Source::Bags(Pooling::Sum),
    Source::Bags(Pooling::Mean),
    Source::Bags(Pooling::Sqrtn),
    Source::Max,
    Source::Sparse,
    Source::PreparedIds,
    Source::PreparedBags(Pooling::Sum),
    Source::PreparedBags(Pooling::Mean),
];

/// One step: a lookup and the gradient of its output.
struct Step {
    source: Source,
    drawn: Drawn,
    argmax: Vec<u32>,
    grad: Vec<f32>,
    by_freq: bool,
    want: RowGradients,
    summed: SparseGrad,
}

impl Step {
    fn draw(case: &BagCase, source: Source, by_freq: bool, random: &mut Random) -> Step {
        let (rows, dim) = (case.rows, case.dim);
        let mut drawn = case.draw(random);
        if matches!(source, Source::Max) {
            drawn = drawn.unweighted();
        }
        let plain = drawn.plain(rows);
        let outputs = match source {
            Source::Gather | Source::PreparedIds | Source::Sparse => drawn.ids.len(),
            Source::Bags(_) | Source::PreparedBags(_) | Source::Max => plain.count(),
        };
        let grad: Vec<f32> = random.values(outputs * dim, case.odd);
        let mut argmax = Vec::new();
        let want = match source {
            Source::Gather | Source::PreparedIds | Source::Sparse => {
                let resolved = reference::resolve(drawn.ids(), rows).unwrap();
                reference::gather_gradient(&resolved, &grad, dim, None, by_freq)
            }
            Source::Bags(pooling) | Source::PreparedBags(pooling) => reference::bag_gradient(&plain, pooling, &grad, dim, by_freq),
            Source::Max => {
                let table = Table::<f32>::from_fn(rows, dim, |row, column| ((row * 7 + column * 3) % 11) as f32).unwrap();
                argmax = reference::bag_argmax(table.view(), &plain);
                reference::bag_max_gradient(&plain, &argmax, &grad, dim, by_freq)
            }
        };
        let numbers = want.keys().map(|&row| row as u32).collect();
        let values: Vec<f32> = want.values().flatten().copied().collect();
        let summed = SparseGrad::from_parts(numbers, &values, rows, dim).unwrap();
        Step { source, drawn, argmax, grad, by_freq, want, summed }
    }

    /// A step of the engine.
    fn run<E: Element>(
        &self,
        workspace: &mut Workspace,
        optimizer: &mut Optimizer,
        table: TableViewMut<'_, E>,
    ) -> hotrow::Result<()> {
        let bags = self.drawn.bags();
        let rows = table.rows();
        let batch: Batch;
        let gradient = match self.source {
            Source::Gather => Gradient::of_gather(self.drawn.ids(), &self.grad),
            Source::Bags(pooling) => Gradient::of_bags(&bags, pooling, &self.grad),
            Source::Max => Gradient::of_max(&bags, &self.argmax, &self.grad),
            Source::Sparse => return workspace.step(optimizer, table, Gradient::of_sparse(&self.summed)),
            Source::PreparedIds => {
                batch = workspace.batch_of_ids(self.drawn.ids(), rows)?;
                Gradient::of_batch(&batch, Pooling::Sum, &self.grad)
            }
            Source::PreparedBags(pooling) => {
                batch = workspace.batch(&bags, rows)?;
                Gradient::of_batch(&batch, pooling, &self.grad)
            }
        };
        workspace.step(optimizer, table, gradient.scale_by_freq(self.by_freq))
    }
}

fn assert_same_state(got: &Optimizer, want: &Optimizer, context: &str) {
    assert_eq!(got.steps(), want.steps(), "{context}");
    assert_eq!(got.state().count(), want.state().count(), "{context}");
    for ((name, got), (other, want)) in got.state().zip(want.state()) {
        assert_eq!(name, other);
        assert_same(&got.to_vec(), &want.to_vec(), &format!("{name}, {context}"));
    }
}

/// Some steps of the engine in every workspace and of the reference, the learning rate changing on the way.
fn check<E: Element>(case: &BagCase, recipe: &Recipe, source: Source, by_freq: bool) {
    let BagCase { rows, dim, stride, .. } = *case;
    let mut random = Random(case.seed);
    let values: Vec<E> = random.values(rows * stride, case.odd);
    let steps: Vec<Step> = (0..3).map(|_| Step::draw(case, source, by_freq, &mut random)).collect();
    let rate = |step: usize| recipe.rule.lr() / (step + 1) as f32;

    let mut want = recipe.make(rows, dim);
    let mut model = values.clone();
    // The table and the answer after each step.
    let mut after = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        want.set_lr(rate(at)).unwrap();
        let table = TableViewMut::new(&mut model, rows, dim, stride).unwrap();
        let answer = reference::step(&mut want, table, &step.want);
        after.push((model.clone(), answer));
    }
    for mut workspace in workspaces() {
        let context = format!("{recipe:?}, {source:?}, {}, {}, {case:?}", E::DTYPE, label(&workspace));
        let mut got = recipe.make(rows, dim);
        let mut cells = values.clone();
        for (at, (step, (model, answer))) in steps.iter().zip(&after).enumerate() {
            got.set_lr(rate(at)).unwrap();
            let table = TableViewMut::new(&mut cells, rows, dim, stride).unwrap();
            assert_eq!(&step.run(&mut workspace, &mut got, table), answer, "step {at}, {context}");
            assert_same(&cells, model, &format!("step {at}, {context}"));
        }
        assert_same_state(&got, &want, &context);
    }
}

fn check_element(element: DType, case: &BagCase, recipe: &Recipe, source: Source, by_freq: bool) {
    match element {
        DType::F16 => check::<f16>(case, recipe, source, by_freq),
        DType::BF16 => check::<bf16>(case, recipe, source, by_freq),
        _ => check::<f32>(case, recipe, source, by_freq),
    }
}

const ELEMENTS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 10 } else { 200 }))]

    #[test]
    fn steps_equal_the_plain_loop(
        case in bag_case(),
        recipe in recipe(),
        source in proptest::sample::select(&SOURCES[..]),
        element in proptest::sample::select(&ELEMENTS[..]),
        by_freq in proptest::bool::weighted(0.2),
    ) {
        check_element(element, &case, &recipe, source, by_freq);
    }
}

/// A small batch with ids that repeat.
fn small(dim: usize, seed: u64) -> BagCase {
    BagCase {
        seed,
        rows: 23,
        dim,
        stride: dim + 1,
        lengths: Lengths::Few,
        repeats: Repeats::Half,
        weights: Weights::Real,
        padding: false,
        default_row: false,
        strays: Strays::Skipped,
        odd: false,
    }
}

/// Every rule with every element and source, and with every dim: not a sample of them.
#[test]
fn every_rule_element_source_and_dim() {
    for (at, rule) in rules().into_iter().enumerate() {
        for (k, &dim) in DIMS.iter().enumerate() {
            check_element(ELEMENTS[(at + k) % 3], &small(dim, k as u64), &Recipe::plain(rule), SOURCES[k % SOURCES.len()], false);
        }
        for element in ELEMENTS {
            for source in SOURCES {
                check_element(element, &small(19, at as u64), &Recipe::plain(rule), source, false);
            }
        }
    }
}

/// Every option alone, with every rule and element.
#[test]
fn every_option() {
    for (at, rule) in rules().into_iter().enumerate() {
        let plain = Recipe::plain(rule);
        let recipes = [
            Recipe { decay: WeightDecay::L2(0.1), ..plain.clone() },
            Recipe { decay: WeightDecay::Decoupled(0.1), ..plain.clone() },
            Recipe { clip_value: Some(0.3), ..plain.clone() },
            Recipe { clip_norm: Some(0.7), ..plain.clone() },
            Recipe { max_row_norm: Some(0.9), ..plain.clone() },
            Recipe { rounding: Rounding::Stochastic { seed: 3 }, ..plain.clone() },
            Recipe { finite_check: true, ..plain.clone() },
        ];
        for (k, recipe) in recipes.iter().enumerate() {
            for element in ELEMENTS {
                check_element(element, &small(35, k as u64), recipe, SOURCES[(at + k) % SOURCES.len()], false);
            }
        }
    }
}

/// A call that is shared among threads, where one row has nearly all gradients.
#[test]
fn hot_rows_and_many_threads() {
    let rounding = Rounding::Stochastic { seed: u64::MAX };
    let all = [(RowWiseAdagrad::default().into(), 64), (Adam::default().into(), 130), (rules()[8], 33)];
    // Without optimization the reference alone takes seconds a case.
    for (rule, dim) in all.into_iter().take(if cfg!(debug_assertions) { 1 } else { 3 }) {
        let recipe = Recipe { rounding, max_row_norm: Some(1.0), ..Recipe::plain(rule) };
        for (lengths, repeats) in [(Lengths::Many, Repeats::Some), (Lengths::OneHeavy, Repeats::Half), (Lengths::One, Repeats::All)]
        {
            let case = BagCase { rows: 3000, lengths, repeats, ..small(dim, 5) };
            check::<bf16>(&case, &recipe, Source::Bags(Pooling::Mean), false);
            check::<f16>(&case, &recipe, Source::Gather, false);
        }
    }
}

/// What the documentation of each rule says, in f64: a second hand, for the rules and options that no recorded case covers, too.
#[test]
fn formulas() {
    /// One weight of a row whose gradients have the mean square `mean`, its states, and its gradient in step `t`.
    type Formula = fn(w: f64, s: &mut [f64; 2], g: f64, mean: f64, t: i32) -> f64;
    const ADAM: Adam = Adam { lr: 0.1, beta1: 0.8, beta2: 0.95, eps: 1e-4 };
    fn moments(s: &mut [f64; 2], g: f64, square: f64) {
        s[0] = 0.8 * s[0] + 0.2 * g;
        s[1] = 0.95 * s[1] + 0.05 * square;
    }
    fn corrected(s: &[f64; 2], t: i32) -> (f64, f64) {
        (s[0] / (1.0 - 0.8f64.powi(t)), (s[1] / (1.0 - 0.95f64.powi(t))).sqrt())
    }
    let adamw = AdamW { lr: 0.1, beta1: 0.8, beta2: 0.95, eps: 1e-4, weight_decay: 0.5 };
    let partial = PartialRowWiseAdam { lr: 0.1, beta1: 0.8, beta2: 0.95, eps: 1e-4 };
    let nesterov = Sgd { lr: 0.1, momentum: 0.9, nesterov: true };
    let sgd = |optimizer: fn(Optimizer) -> hotrow::Result<Optimizer>| {
        optimizer(Optimizer::new(Sgd { lr: 0.1, ..Sgd::default() }, 2, 3).unwrap()).unwrap()
    };
    let new = |rule: Rule| Optimizer::new(rule, 2, 3).unwrap();
    let cases: [(Optimizer, Formula); 9] = [
        (new(ADAM.into()), |w, s, g, _, t| {
            moments(s, g, g * g);
            // The eps of PyTorch's SparseAdam is not corrected.
            let (first, second) = (1.0 - 0.8f64.powi(t), 1.0 - 0.95f64.powi(t));
            w - 0.1 * second.sqrt() / first * s[0] / (s[1].sqrt() + 1e-4)
        }),
        (new(adamw.into()), |w, s, g, _, t| {
            moments(s, g, g * g);
            let (m, root) = corrected(s, t);
            w * (1.0 - 0.1 * 0.5) - 0.1 * m / (root + 1e-4)
        }),
        (new(partial.into()), |w, s, g, mean, t| {
            moments(s, g, mean);
            let (m, root) = corrected(s, t);
            w - 0.1 * m / (root + 1e-4)
        }),
        (new(nesterov.into()), |w, s, g, _, _| {
            s[0] = 0.9 * s[0] + g;
            w - 0.1 * (g + 0.9 * s[0])
        }),
        (sgd(|new| new.with_weight_decay(WeightDecay::L2(0.5))), |w, _, g, _, _| w - 0.1 * (g + 0.5 * w)),
        (sgd(|new| new.with_weight_decay(WeightDecay::Decoupled(0.5))), |w, _, g, _, _| w * (1.0 - 0.1 * 0.5) - 0.1 * g),
        (sgd(|new| new.with_clip_value(0.25)), |w, _, g, _, _| w - 0.1 * g.clamp(-0.25, 0.25)),
        // All of the gradient is one row's here: its norm is the root of three times the mean square.
        (sgd(|new| new.with_clip_norm(0.5)), |w, _, g, mean, _| w - 0.1 * g * (0.5 / (3.0 * mean).sqrt()).min(1.0)),
        (new(RowWiseAdagrad { lr: 0.1, eps: 1e-4, initial_accumulator: 0.2 }.into()), |w, s, g, mean, _| {
            if s[0] == 0.0 {
                s[0] = 0.2;
            }
            s[0] += mean;
            w - 0.1 * g / (s[0].sqrt() + 1e-4)
        }),
    ];
    for (mut optimizer, formula) in cases {
        let mut table = Table::<f32>::from_slice(&[9.0, 9.0, 9.0, 0.5, -0.25, 2.0], 2, 3).unwrap();
        let mut weights = [0.5, -0.25, 2.0];
        let mut states = [[0.0; 2]; 3];
        for t in 1..=4 {
            let grad = [0.3 * t as f32, -0.1, 0.8 / t as f32];
            let mean = grad.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>() / 3.0;
            for column in 0..3 {
                weights[column] = formula(weights[column], &mut states[column], f64::from(grad[column]), mean, t);
            }
            optimizer.step(&mut table, Gradient::of_gather(&[1], &grad)).unwrap();
            for (got, want) in table.row(1).unwrap().iter().zip(weights) {
                assert!((f64::from(*got) - want).abs() < 2e-6, "{optimizer:?}, step {t}: {got} instead of {want}");
            }
        }
        assert_eq!(table.row(0), Some(&[9.0; 3][..]));
    }
    // The norm of an updated row.
    let mut optimizer = sgd(|new| new.with_max_row_norm(2.0));
    let mut table = Table::<f32>::from_slice(&[0.0, 0.0, 0.0, 3.0, 0.0, 4.0], 2, 3).unwrap();
    optimizer.step(&mut table, Gradient::of_gather(&[0, 1], &[0.0f32; 6])).unwrap();
    for (got, want) in table.row(1).unwrap().iter().zip([1.2, 0.0, 1.6]) {
        assert!((got - want).abs() < 1e-6, "{got} instead of {want}");
    }
    assert_eq!(table.row(0), Some(&[0.0; 3][..]));
}

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

/// The mean over seeds is the exact weight, within four standard errors; and only the two neighbours occur.
#[test]
fn stochastic_rounding_is_unbiased() {
    fn run<E: Element>(start: f32, update: f32, place: f64) {
        const SEEDS: u64 = 400;
        let (rows, dim) = (if cfg!(debug_assertions) { 6 } else { 40 }, 25);
        let n = rows * dim;
        let ids: Vec<i64> = (0..rows as i64).collect();
        let grad = vec![-update; n];
        let mut sums = vec![0.0f64; n];
        let mut total = 0.0;
        let exact = f64::from(start + update);
        for seed in 0..SEEDS {
            let mut table = Table::<E>::from_fn(rows, dim, |_, _| E::from_f32(start)).unwrap();
            let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, rows, dim).unwrap();
            optimizer = optimizer.with_rounding(Rounding::Stochastic { seed });
            optimizer.step(&mut table, Gradient::of_gather(&ids, &grad)).unwrap();
            for (sum, x) in sums.iter_mut().zip(table.to_vec()) {
                let x = f64::from(x.to_f32());
                assert!((x - exact).abs() < place, "{exact} became {x}");
                *sum += x;
                total += x;
            }
        }
        // Up with probability p: the variance is p (1 - p) places squared.
        let p = (exact / place).fract();
        let error = |n: f64| place * (p * (1.0 - p) / n).sqrt();
        let mean = total / (SEEDS as f64 * n as f64);
        assert!((mean - exact).abs() <= 4.0 * error(SEEDS as f64 * n as f64), "{} {exact}: the mean is {mean}", E::DTYPE);
        // Each weight has random numbers of its own. Of a thousand means, some are beyond four standard errors one time in ten.
        for sum in sums {
            assert!((sum / SEEDS as f64 - exact).abs() <= 5.0 * error(SEEDS as f64), "{} {exact}: {sum}", E::DTYPE);
        }
    }
    // A tenth of a last place, a half, nearly one; for halves below the normal numbers, too.
    for part in [0.1, 0.5, 0.97] {
        run::<bf16>(1.0, part / 128.0, 1.0 / 128.0);
        run::<bf16>(0.0078125, part / 16384.0, 1.0 / 16384.0);
        run::<f16>(1.0, part / 1024.0, 1.0 / 1024.0);
        run::<f16>(0.0, part / 16_777_216.0, 1.0 / 16_777_216.0);
        run::<f16>(1.0 / 16_777_216.0 * 40.0, part / 16_777_216.0, 1.0 / 16_777_216.0);
    }
}

/// Small updates add up with stochastic rounding, and are all lost when rounded to nearest.
#[test]
fn small_updates_add_up() {
    let train = |rounding: Rounding| {
        let mut table = Table::<bf16>::from_fn(1, 64, |_, _| bf16::from_f32(1.0)).unwrap();
        let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, 1, 64).unwrap().with_rounding(rounding);
        let mut workspace = Workspace::new();
        for _ in 0..1000 {
            workspace.step(&mut optimizer, &mut table, Gradient::of_gather(&[0], &[-0.001f32; 64])).unwrap();
        }
        table.to_vec().iter().map(|x| x.to_f32()).sum::<f32>() / 64.0
    };
    assert_eq!(train(Rounding::Nearest), 1.0);
    let mean = train(Rounding::Stochastic { seed: 1 });
    assert!((mean - 2.0).abs() < 0.05, "{mean}");
}

/// The same seed gives the same weights on any number of threads; seeds and steps give others.
#[test]
fn stochastic_rounding_does_not_depend_on_threads() {
    let (rows, dim) = (20_000, 17);
    let ids: Vec<i64> = (0..rows as i64).collect();
    let grad: Vec<f32> = Random(3).values(rows * dim, false);
    let run = |workspace: &mut Workspace, seed: u64, steps: u64| {
        let mut table = Table::<bf16>::from_fn(rows, dim, |_, _| bf16::from_f32(1.0)).unwrap();
        let mut optimizer = Optimizer::new(Sgd { lr: 1e-3, ..Sgd::default() }, rows, dim).unwrap();
        optimizer = optimizer.with_rounding(Rounding::Stochastic { seed });
        optimizer.set_steps(steps);
        workspace.step(&mut optimizer, &mut table, Gradient::of_gather(&ids, &grad)).unwrap();
        table.to_vec()
    };
    let want = run(&mut Workspace::new(), 7, 0);
    for mut workspace in workspaces() {
        assert_identical(&run(&mut workspace, 7, 0), &want, &label(&workspace));
    }
    let differs = |other: Vec<bf16>| other.iter().zip(&want).filter(|(a, b)| a != b).count();
    for other in
        [run(&mut Workspace::new(), 8, 0), run(&mut Workspace::new(), 7 | 1 << 32, 0), run(&mut Workspace::new(), 7, 1 << 32)]
    {
        assert!(differs(other) > rows);
    }
}

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

/// Without repeats and momentum, gradient descent is a scatter-add.
#[test]
fn sgd_is_a_scatter_add() {
    let (rows, dim) = (300, 20);
    let mut random = Random(8);
    let ids = draw_ids(&mut random, 200, rows, Repeats::None);
    // Of finite numbers: a sum starts at +0, which would turn the sign of a gradient of -0.
    let grad: Vec<f32> = random.values(200 * dim, false);
    let mut table = Table::<f32>::from_slice(&random.values(rows * dim, true), rows, dim).unwrap();
    let mut other = table.try_clone().unwrap();
    let mut optimizer = Optimizer::new(Sgd { lr: 0.3, ..Sgd::default() }, rows, dim).unwrap();
    optimizer.step(&mut table, Gradient::of_gather(&ids, &grad)).unwrap();
    hotrow::scatter_add(&mut other, &ids, &grad, -0.3).unwrap();
    assert_same(&table.to_vec(), &other.to_vec(), "descent");
}

#[test]
fn empty_tables_and_batches() {
    for rule in rules() {
        for mut workspace in workspaces() {
            let none: [i64; 0] = [];
            for (rows, dim) in [(0, 0), (0, 3), (3, 0), (3, 2)] {
                let mut table = Table::<bf16>::zeros(rows, dim).unwrap();
                let mut optimizer = Optimizer::new(rule, rows, dim).unwrap();
                workspace.step(&mut optimizer, &mut table, Gradient::of_gather(&none, &[0.0f32; 0])).unwrap();
                let strays = Ids::from(&[7, 9]).with_policy(IdPolicy::ZERO_FILL);
                workspace.step(&mut optimizer, &mut table, Gradient::of_gather(strays, &vec![1.0f32; 2 * dim])).unwrap();
                assert_eq!(optimizer.steps(), 2);
                assert!(table.to_vec().iter().all(|x| x.to_f32() == 0.0));
            }
            let mut narrow = Table::<f32>::zeros(3, 0).unwrap();
            let mut optimizer = Optimizer::new(rule, 3, 0).unwrap();
            let before: Vec<Vec<f32>> = optimizer.state().map(|(_, state)| state.to_vec()).collect();
            workspace.step(&mut optimizer, &mut narrow, Gradient::of_gather(&[2, 0], &[0.0f32; 0])).unwrap();
            let after: Vec<Vec<f32>> = optimizer.state().map(|(_, state)| state.to_vec()).collect();
            assert_eq!(before, after, "a row without columns has no mean square");
        }
    }
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
