//! Steps against the plain loop: every rule, element, source of gradient, option, level and number of threads.

use hotrow::reference::{self, RowGradients};
use hotrow::{
    Adam, Batch, DType, Element, Gradient, IdPolicy, Ids, Optimizer, Pooling, Rounding, RowWiseAdagrad, Sgd, SparseGrad, Table,
    TableViewMut, WeightDecay, Workspace, bf16, f16,
};
use proptest::prelude::*;

use crate::common::bags::{BagCase, Drawn, Lengths, Strays, Weights, bag_case};
use crate::common::{DIMS, Random, Repeats, assert_same, draw_ids, label, workspaces};
use crate::{Recipe, assert_same_state, recipe, rules};

/// Where a step's gradient comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Gather,
    Bags(Pooling),
    Max,
    Sparse,
    PreparedIds,
    PreparedBags(Pooling),
}

pub(super) const SOURCES: [Source; 9] = [
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
pub(super) struct Step {
    source: Source,
    drawn: Drawn,
    argmax: Vec<u32>,
    grad: Vec<f32>,
    by_freq: bool,
    pub(super) want: RowGradients,
    summed: SparseGrad,
}

impl Step {
    pub(super) fn draw(case: &BagCase, source: Source, by_freq: bool, random: &mut Random) -> Step {
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
    pub(super) fn run<E: Element>(
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
pub(super) fn small(dim: usize, seed: u64) -> BagCase {
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
