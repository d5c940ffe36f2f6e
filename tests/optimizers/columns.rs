//! Tables that together are the columns of one, each stepped by the gradients of whole rows, against that one, bit for bit.

use std::ops::Range;

use hotrow::{
    Adagrad, Element, Error, Gradient, Optimizer, PartialRowWiseAdam, Pooling, RowWiseAdagrad, Rule, Sgd, Table, TableViewMut,
    WeightDecay, bf16, f16, reference,
};
use proptest::prelude::*;

use crate::common::bags::{BagCase, Lengths, bag_case};
use crate::common::{Random, Repeats, assert_same, label, workspaces};
use crate::plain_loop::{SOURCES, Source, Step, small};
use crate::{Recipe, assert_same_state};

fn rules() -> [Rule; 2] {
    [
        RowWiseAdagrad { lr: 0.1, ..RowWiseAdagrad::default() }.into(),
        PartialRowWiseAdam { lr: 0.1, ..PartialRowWiseAdam::default() }.into(),
    ]
}

/// These columns of rows of `dim` values.
fn cut<E: Copy>(values: &[E], dim: usize, columns: &Range<usize>) -> Vec<E> {
    values.chunks(dim).flat_map(|row| row[columns.clone()].to_vec()).collect()
}

/// Some steps of the reference on the whole table, and of the reference and the engine on each of its parts.
fn check<E: Element>(case: &BagCase, recipe: &Recipe, source: Source, bounds: &[usize]) {
    let BagCase { rows, dim, .. } = *case;
    let mut random = Random(case.seed);
    let values: Vec<E> = random.values(rows * dim, case.odd);
    let steps: Vec<Step> = (0..3).map(|_| Step::draw(case, source, false, &mut random)).collect();
    let mut whole = recipe.make(rows, dim);
    let mut model = values.clone();
    let mut answers = Vec::new();
    for step in &steps {
        answers.push(reference::step(&mut whole, TableViewMut::new(&mut model, rows, dim, dim).unwrap(), &step.want));
    }
    for bounds in bounds.windows(2) {
        let columns = bounds[0]..bounds[1];
        let part = || recipe.make(rows, columns.len()).of_columns(columns.clone(), dim).unwrap();
        let (want_cells, context) =
            (cut(&model, dim, &columns), format!("{columns:?}, {recipe:?}, {source:?}, {}, {case:?}", E::DTYPE));
        let mut want = part();
        let mut plain = cut(&values, dim, &columns);
        for (step, answer) in steps.iter().zip(&answers) {
            let table = TableViewMut::new(&mut plain, rows, columns.len(), columns.len()).unwrap();
            assert_eq!(&reference::step(&mut want, table, &step.want), answer, "{context}");
        }
        assert_same(&plain, &want_cells, &format!("reference: {context}"));
        for ((name, got), (_, of_whole)) in want.state().zip(whole.state()) {
            // A state of each row is the same in every part; one of each value is cut.
            let expected = if of_whole.dim() == 1 { of_whole.to_vec() } else { cut(&of_whole.to_vec(), dim, &columns) };
            assert_same(&got.to_vec(), &expected, &format!("reference: {name}, {context}"));
        }
        for mut workspace in workspaces() {
            let context = format!("{}, {context}", label(&workspace));
            let mut got = part();
            let mut cells = cut(&values, dim, &columns);
            for (step, answer) in steps.iter().zip(&answers) {
                let table = TableViewMut::new(&mut cells, rows, columns.len(), columns.len()).unwrap();
                assert_eq!(&step.run(&mut workspace, &mut got, table), answer, "{context}");
            }
            assert_same(&cells, &want_cells, &context);
            assert_same_state(&got, &want, &context);
        }
    }
}

fn recipes() -> Vec<Recipe> {
    let of = |rule| {
        let plain = Recipe::plain(rule);
        [
            Recipe { clip_value: Some(0.3), ..plain.clone() },
            Recipe { decay: WeightDecay::Decoupled(0.1), ..plain.clone() },
            Recipe { clip_norm: Some(0.7), ..plain.clone() },
            Recipe { finite_check: true, ..plain.clone() },
            plain,
        ]
    };
    rules().into_iter().flat_map(of).collect()
}

/// A dim of at least two columns, a state of which is told from one of a row.
fn wide_case() -> impl Strategy<Value = BagCase> {
    bag_case().prop_filter("one column cannot be cut", |case| case.dim > 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 10 } else { 200 }))]

    #[test]
    fn parts_step_as_the_whole(
        case in wide_case(),
        recipe in proptest::sample::select(recipes()),
        source in proptest::sample::select(&SOURCES[..]),
        cuts in proptest::collection::vec(0.0f64..1.0, 1..4),
        element in 0..3,
    ) {
        let mut bounds: Vec<usize> = cuts.iter().map(|at| 1 + (at * (case.dim - 1) as f64) as usize).collect();
        bounds.extend([0, case.dim]);
        bounds.sort_unstable();
        bounds.dedup();
        match element {
            0 => check::<f32>(&case, &recipe, source, &bounds),
            1 => check::<f16>(&case, &recipe, source, &bounds),
            _ => check::<bf16>(&case, &recipe, source, &bounds),
        }
    }
}

/// Every rule, option, element and source, with parts of one column, of less than a vector and of more.
#[test]
fn every_option_and_source() {
    for (at, recipe) in recipes().iter().enumerate() {
        for (k, &source) in SOURCES.iter().enumerate() {
            let case = small(43, (at + k) as u64);
            match (at + k) % 3 {
                0 => check::<f32>(&case, recipe, source, &[0, 1, 17, 43]),
                1 => check::<f16>(&case, recipe, source, &[0, 1, 17, 43]),
                _ => check::<bf16>(&case, recipe, source, &[0, 1, 17, 43]),
            }
        }
    }
}

/// A step that is shared among threads, where one row has nearly all gradients: those are summed column by column, and the row is stepped once.
#[test]
fn hot_rows_and_many_threads() {
    for (lengths, repeats) in [(Lengths::Many, Repeats::Some), (Lengths::OneHeavy, Repeats::Half), (Lengths::One, Repeats::All)] {
        let case = BagCase { rows: 3000, lengths, repeats, ..small(48, 5) };
        check::<f32>(&case, &Recipe::plain(rules()[0]), Source::Bags(Pooling::Mean), &[0, 20, 48]);
        check::<bf16>(&case, &Recipe::plain(rules()[1]), Source::Gather, &[0, 20, 48]);
    }
}

/// Rows of more values than the stack has room for.
#[test]
fn wide_rows() {
    let case = small(2100, 3);
    check::<f32>(&case, &Recipe::plain(rules()[0]), Source::Bags(Pooling::Sum), &[0, 7, 2100]);
    check::<f16>(&case, &Recipe { finite_check: true, ..Recipe::plain(rules()[1]) }, Source::Gather, &[0, 2090, 2100]);
}

#[test]
fn what_needs_more_than_the_gradient_is_refused() {
    let new = |rule: Rule, dim| Optimizer::new(rule, 5, dim).unwrap();
    let [rule, _] = rules();
    for (columns, dim, own) in [(0..2, 8, 3), (6..9, 8, 3), (0..3, 2, 3), (usize::MAX - 1..usize::MAX, 8, 1)] {
        let error = new(rule, own).of_columns(columns, dim).unwrap_err();
        assert!(matches!(error, Error::InvalidOption { option: "columns", .. }), "{error}");
    }
    for rule in [Rule::from(Sgd::default()), Adagrad::default().into()] {
        let error = new(rule, 2).of_columns(0..2, 4).unwrap_err();
        assert!(error.to_string().contains("it steps each column by itself"), "{error}");
    }
    let part = || new(rule, 2).of_columns(2..4, 4).unwrap();
    for refused in [
        part().with_weight_decay(WeightDecay::L2(0.1)),
        new(rule, 2).with_weight_decay(WeightDecay::L2(0.1)).unwrap().of_columns(2..4, 4),
        part().with_max_row_norm(1.0),
        new(rule, 2).with_max_row_norm(1.0).unwrap().of_columns(2..4, 4),
    ] {
        assert!(refused.unwrap_err().to_string().contains("it needs the weights of a whole row"));
    }
    let mut optimizer = part();
    assert_eq!((optimizer.columns(), optimizer.gradient_dim(), optimizer.dim()), (2..4, 4, 2));
    let mut table = Table::<f32>::zeros(5, 2).unwrap();
    let error = optimizer.step(&mut table, Gradient::of_gather(&[1], &[1.0f32; 2])).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    let mut whole = Table::<f32>::zeros(5, 4).unwrap();
    let error = optimizer.step(&mut whole, Gradient::of_gather(&[1], &[1.0f32; 4])).unwrap_err();
    assert!(matches!(error, Error::OptimizerShape { .. }), "{error}");
    optimizer.step(&mut table, Gradient::of_gather(&[1], &[1.0f32; 4])).unwrap();
    assert_eq!(optimizer.steps(), 1);
    optimizer.grow(6).unwrap();
    assert_eq!((optimizer.columns(), optimizer.gradient_dim(), optimizer.rows()), (2..4, 4, 6));
}
