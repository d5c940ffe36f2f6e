//! Neighbours: every element, level and thread count against `reference`, bit for bit.

mod common;

use common::{DIMS, Random, label, workspaces};
use hotrow::{Element, Error, Level, Metric, Neighbour, Parallelism, Table, TableView, Workspace, bf16, f16, nearest, reference};
use proptest::prelude::*;

/// A table and queries for it, drawn from a seed.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    rows: usize,
    dim: usize,
    stride: usize,
    queries: usize,
    k: usize,
    values: Values,
}

#[derive(Clone, Copy, Debug)]
enum Values {
    Real,
    /// A few whole numbers: many rows have equal scores, and some are zero.
    Few,
    /// NaN, infinities and their like.
    Odd,
}

fn case() -> impl Strategy<Value = Case> {
    let dim = proptest::sample::select(&DIMS[..]);
    let values = proptest::sample::select(&[Values::Real, Values::Few, Values::Odd][..]);
    let k = prop_oneof![4 => 0usize..12, 1 => 0usize..5000];
    (any::<u64>(), prop_oneof![3 => 0usize..60, 1 => 0usize..4000], dim, 0usize..20, 0usize..10, k, values).prop_map(
        |(seed, rows, dim, beside, queries, k, values)| Case { seed, rows, dim, stride: dim + beside, queries, k, values },
    )
}

fn draw<E: Element>(random: &mut Random, n: usize, values: Values) -> Vec<E> {
    match values {
        Values::Real => random.values(n, false),
        Values::Few => (0..n).map(|_| E::from_f32([0.0, -0.0, 1.0, -1.0][random.below(4)])).collect(),
        // One in many, so that some rows are left that have a score.
        Values::Odd => (0..n).map(|_| E::from_f32(if random.below(40) == 0 { random.odd() } else { random.real() })).collect(),
    }
}

fn assert_same(got: &[Neighbour], want: &[Neighbour], context: &str) {
    assert_eq!(got.len(), want.len(), "{context}");
    for (place, (got, want)) in got.iter().zip(want).enumerate() {
        let same = got.row == want.row && got.score.to_bits() == want.score.to_bits();
        assert!(same, "{context}: place {place} has {got:?} instead of {want:?}");
    }
}

fn check<E: Element>(case: &Case) {
    let mut random = Random(case.seed);
    // The last row need not be followed by padding.
    let span = (case.rows * case.stride).saturating_sub(case.stride - case.dim);
    let mut values: Vec<E> = draw(&mut random, span, case.values);
    for row in 0..case.rows {
        let from = row * case.stride;
        match random.below(8) {
            0 => values[from..from + case.dim].fill(E::from_f32(0.0)),
            // The same row again.
            1 => values.copy_within(0..case.dim, from),
            _ => {}
        }
        // What is between rows must not count, NaN least of all.
        let end = values.len().min(from + case.stride);
        values[from + case.dim..end].fill(E::from_f32(f32::NAN));
    }
    let table = TableView::new(&values, case.rows, case.dim, case.stride).unwrap();
    let mut queries: Vec<f32> = draw(&mut random, case.queries * case.dim, case.values);
    if case.queries > 2 {
        queries[..case.dim].fill(0.0);
    }
    let exclude: Vec<Vec<u32>> =
        (0..case.queries).map(|_| (0..random.below(5)).map(|_| random.below(case.rows + 2) as u32).collect()).collect();
    let exclude: Vec<&[u32]> = exclude.iter().map(|rows| &rows[..]).collect();
    for metric in [Metric::Cosine, Metric::Dot] {
        let want: Vec<Vec<Neighbour>> = queries
            .chunks(case.dim)
            .zip(&exclude)
            .map(|(query, exclude)| reference::nearest(table, query, case.k, metric, exclude))
            .collect();
        for mut workspace in workspaces() {
            let got = workspace.nearest(table, &queries, case.k, metric, &exclude).unwrap();
            assert_eq!(got.len(), want.len());
            for (query, (got, want)) in got.iter().zip(&want).enumerate() {
                assert_same(got, want, &format!("query {query} by {metric}, {}, {}, {case:?}", E::DTYPE, label(&workspace)));
            }
        }
    }
}

fn check_elements(case: &Case) {
    check::<f32>(case);
    check::<f16>(case);
    check::<bf16>(case);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 8 } else { 200 }))]

    #[test]
    fn neighbours_equal_the_plain_loop(case in case()) {
        check_elements(&case);
    }
}

/// Every dim and number of queries up to more than two groups, not a sample of them.
#[test]
fn all_dims_around_lane_boundaries() {
    for dim in DIMS {
        for queries in [1, 4, 5, 9] {
            let values = [Values::Real, Values::Few, Values::Odd][(dim + queries) % 3];
            check_elements(&Case { seed: dim as u64, rows: 37, dim, stride: dim + dim % 3, queries, k: 7, values });
        }
    }
}

/// Several megabytes: cut among threads, each of which finds some of the best.
#[test]
fn tables_that_are_cut_among_threads() {
    for (dim, k, values) in [(64, 10, Values::Real), (33, 3000, Values::Few), (300, 1, Values::Odd)] {
        check::<f32>(&Case { seed: 5, rows: 700_000 / dim, dim, stride: dim, queries: 2, k, values });
        check::<bf16>(&Case { seed: 6, rows: 700_000 / dim, dim, stride: dim + 1, queries: 5, k, values });
    }
}

#[test]
fn of_equal_rows_the_lower_comes_first_and_nan_comes_last() {
    let values = [f32::NAN, 1.0, 2.0, 1.0, 0.0, f32::NAN, -1.0, f32::INFINITY];
    let table = TableView::new(&values, 8, 1, 1).unwrap();
    let rows = |metric| -> Vec<u32> { nearest(table, &[1.0], 99, metric).unwrap().concat().iter().map(|near| near.row).collect() };
    assert_eq!(rows(Metric::Cosine), [1, 2, 3, 4, 6, 0, 5, 7]);
    assert_eq!(rows(Metric::Dot), [7, 2, 1, 3, 4, 6, 0, 5]);
}

#[test]
fn what_there_is_nothing_of() {
    let table = Table::<f32>::zeros(5, 3).unwrap();
    assert_eq!(nearest(&table, &[], 4, Metric::Dot), Ok(vec![]));
    assert_eq!(nearest(&table, &[1.0; 6], 0, Metric::Dot), Ok(vec![vec![], vec![]]));
    let empty = Table::<f16>::zeros(0, 3).unwrap();
    assert_eq!(nearest(&empty, &[1.0; 3], 4, Metric::Cosine), Ok(vec![vec![]]));
    let everything = Workspace::new().nearest(&table, &[1.0; 3], 4, Metric::Cosine, &[&[4, 2, 0, 3, 1, 1]]);
    assert_eq!(everything, Ok(vec![vec![]]));
}

#[test]
fn refusals_have_their_facts() {
    let table = Table::<f32>::zeros(5, 3).unwrap();
    assert_eq!(
        nearest(&table, &[1.0; 4], 1, Metric::Dot),
        Err(Error::ShapeMismatch { what: "queries", expected: vec![2, 3], needed: 6, actual: 4 })
    );
    let error = Workspace::new().nearest(&table, &[1.0; 6], 1, Metric::Dot, &[&[1]]).unwrap_err();
    assert_eq!(error, Error::ExcludeCount { lists: 1, queries: 2 });
    assert_eq!(error.to_string(), "1 lists of rows to leave out for 2 queries: there must be one for each, or none at all");
    assert_eq!("cosine".parse(), Ok(Metric::Cosine));
    assert!("euclid".parse::<Metric>().is_err());
}

#[test]
fn reading_in_order_reads_every_value() {
    for &level in Level::available() {
        for threads in common::THREADS {
            let mut workspace = Workspace::new().with_parallelism(Parallelism::threads(threads)).with_level(level).unwrap();
            let empty = TableView::<f32>::new(&[], 0, 3, 3).unwrap();
            assert_eq!(hotrow::ceiling::read_in_order(empty, &mut workspace), 0);
            let values: Vec<f32> = (0..1_000_003).map(|at| at as f32).collect();
            let one = |values: &[f32], workspace: &mut Workspace| {
                hotrow::ceiling::read_in_order(TableView::new(values, values.len(), 1, 1).unwrap(), workspace)
            };
            assert_ne!(one(&values, &mut workspace), one(&values[..1_000_002], &mut workspace));
        }
    }
}
