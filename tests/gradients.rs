//! Gradients of lookups against `reference`, bit for bit, on every level and thread count. `derivatives.rs` checks the reference.

mod common;

use common::bags::{BagCase, Lengths, Strays, Weights, bag_case};
use common::{DIMS, Random, Repeats, assert_same, label, workspaces};
use hotrow::reference::{self, RowGradients};
use hotrow::{
    Bags, Batch, Element, Error, Gradient, IdPolicy, IdValue, Ids, Pooling, SparseGrad, Table, TableView, TableViewMut, Widen,
    Workspace, bf16, f16, sparse_grad,
};
use proptest::prelude::*;

const SUMS: [Pooling; 3] = [Pooling::Sum, Pooling::Mean, Pooling::Sqrtn];

fn assert_rows(got: &SparseGrad, want: &RowGradients, case: &BagCase, context: &str) {
    let context = format!("{context} {case:?}");
    let rows: Vec<usize> = got.rows().iter().map(|&row| row as usize).collect();
    assert_eq!(rows, want.keys().copied().collect::<Vec<_>>(), "{context}: rows");
    assert_same(got.values(), &want.values().flatten().copied().collect::<Vec<f32>>(), &context);
    assert_eq!((got.dim(), got.table_rows()), (case.dim, case.rows), "{context}");
}

/// The same rows, `stride` values apart; between them stands what must not be read.
fn spread<S: Element>(grad: &[S], dim: usize, stride: usize) -> Vec<S> {
    let mut spread = Vec::new();
    for row in grad.chunks_exact(dim) {
        spread.extend_from_slice(row);
        spread.resize(spread.len() + stride - dim, S::from_f32(f32::NAN));
    }
    spread
}

/// Of bags: given as they are, and as a batch that the forward used before.
fn check_bags<S: Element>(case: &BagCase, pooling: Pooling, by_freq: bool) {
    let mut random = Random(case.seed);
    let drawn = case.draw(&mut random);
    let (bags, plain) = (drawn.bags(), drawn.plain(case.rows));
    let grad: Vec<S> = random.values(plain.count() * case.dim, case.odd);
    let want = reference::bag_gradient(&plain, pooling, &grad, case.dim, by_freq);
    let apart = spread(&grad, case.dim, case.stride);
    for mut workspace in workspaces() {
        let context = format!("{pooling} {} {}", S::DTYPE, label(&workspace));
        let gradient = Gradient::of_bags(&bags, pooling, &apart).with_stride(case.stride).scale_by_freq(by_freq);
        assert_rows(&workspace.sparse_grad(gradient, case.rows, case.dim).unwrap(), &want, case, &context);

        let batch = workspace.batch(&bags, case.rows).unwrap();
        for _ in 0..2 {
            let gradient = Gradient::of_batch(&batch, pooling, &grad).scale_by_freq(by_freq);
            assert_rows(&workspace.sparse_grad(gradient, case.rows, case.dim).unwrap(), &want, case, &context);
        }
    }
}

fn check_max<S: Element>(case: &BagCase, by_freq: bool) {
    let mut random = Random(case.seed);
    let values: Vec<f32> = random.values(case.rows * case.dim, case.odd);
    let table = TableView::new(&values, case.rows, case.dim, case.dim).unwrap();
    let drawn = case.draw(&mut random).unweighted();
    let (bags, plain) = (drawn.bags(), drawn.plain(case.rows));
    let grad: Vec<S> = random.values(plain.count() * case.dim, case.odd);
    let mut argmax = reference::bag_argmax(table, &plain);
    if case.odd {
        // Winners that never played: rows that the bag has not, and rows that the table has not.
        argmax.iter_mut().step_by(5).for_each(|row| *row = random.below(case.rows + 2) as u32);
    }
    let want = reference::bag_max_gradient(&plain, &argmax, &grad, case.dim, by_freq);
    let apart = spread(&grad, case.dim, case.stride);
    for mut workspace in workspaces() {
        let gradient = Gradient::of_max(&bags, &argmax, &apart).with_stride(case.stride).scale_by_freq(by_freq);
        let got = workspace.sparse_grad(gradient, case.rows, case.dim).unwrap();
        assert_rows(&got, &want, case, &format!("max {} {}", S::DTYPE, label(&workspace)));
    }
}

/// Of the case's ids without bags.
fn check_gather<S: Element>(case: &BagCase, by_freq: bool) {
    let mut random = Random(case.seed);
    let drawn = case.draw(&mut random);
    let ids = drawn.ids();
    let resolved = reference::resolve(ids, case.rows).unwrap();
    let padding = case.padding.then_some(case.rows / 2);
    let grad: Vec<S> = random.values(ids.len() * case.dim, case.odd);
    let want = reference::gather_gradient(&resolved, &grad, case.dim, padding, by_freq);
    let apart = spread(&grad, case.dim, case.stride);
    for mut workspace in workspaces() {
        let context = format!("gather {} {}", S::DTYPE, label(&workspace));
        let mut gradient = Gradient::of_gather(ids, &apart).with_stride(case.stride).scale_by_freq(by_freq);
        if let Some(row) = padding {
            gradient = gradient.with_padding_idx(row as i64 - if by_freq { case.rows as i64 } else { 0 });
        }
        let got = workspace.sparse_grad(gradient, case.rows, case.dim).unwrap();
        assert_rows(&got, &want, case, &context);

        if padding.is_none() {
            let batch = workspace.batch_of_ids(ids, case.rows).unwrap();
            let gradient = Gradient::of_batch(&batch, Pooling::Sum, &grad).scale_by_freq(by_freq);
            assert_rows(&workspace.sparse_grad(gradient, case.rows, case.dim).unwrap(), &want, case, &context);
        }

        // What was summed once is summed.
        let again = workspace.sparse_grad(Gradient::of_sparse(&got), case.rows, case.dim).unwrap();
        assert_rows(&again, &want, case, &context);
        check_rows_of(got, &want, case);
    }
}

/// What can be done with a sparse gradient.
fn check_rows_of(mut got: SparseGrad, want: &RowGradients, case: &BagCase) {
    assert_same(&got.to_dense().unwrap().to_vec(), &reference::dense(want, case.rows, case.dim), "to_dense");
    assert_same(&[got.norm()], &[reference::norm(want)], "norm");
    for (at, row) in want.values().enumerate() {
        assert_same(got.row(at).unwrap(), row, "row");
    }
    assert_eq!(got.row(want.len()), None);
    let parts = SparseGrad::from_parts(got.rows().to_vec(), got.values(), case.rows, case.dim).unwrap();
    assert_rows(&parts, want, case, "from_parts");
    let mut want = want.clone();
    for limit in [1.5, 0.0] {
        got.clip_by_value(limit);
        reference::clip_by_value(&mut want, limit);
        assert_rows(&got, &want, case, "clip_by_value");
    }
    let mut got = parts;
    let mut want: RowGradients = (0..want.len()).map(|at| (got.rows()[at] as usize, got.row(at).unwrap().to_vec())).collect();
    for max in [f32::INFINITY, 1e30, 1.0, 0.0] {
        let before = got.clip_by_norm(max);
        assert_same(&[before], &[reference::norm(&want)], "the norm before");
        reference::clip_by_norm(&mut want, max);
        assert_rows(&got, &want, case, "clip_by_norm");
    }
}

fn check_weights<E: Widen<f32>>(case: &BagCase, pooling: Pooling) {
    let mut random = Random(case.seed);
    let values: Vec<E> = random.values(case.rows * case.stride, case.odd);
    let table = TableView::new(&values, case.rows, case.dim, case.stride).unwrap();
    let drawn = case.draw(&mut random);
    let (bags, plain) = (drawn.bags(), drawn.plain(case.rows));
    let grad: Vec<f32> = random.values(plain.count() * case.dim, case.odd);
    let want = reference::weight_gradient(table, &plain, pooling, &grad);
    for mut workspace in workspaces() {
        let mut got = vec![7.0; want.len()];
        workspace.weight_grad(table, &bags, pooling, &grad, &mut got).unwrap();
        assert_same(&got, &want, &format!("weights of {pooling} {} {} {case:?}", E::DTYPE, label(&workspace)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 8 } else { 120 }))]

    #[test]
    fn gradients_of_bags(case in bag_case(), pooling in proptest::sample::select(&SUMS[..]), by_freq in any::<bool>()) {
        check_bags::<f32>(&case, pooling, by_freq);
        check_bags::<bf16>(&case, pooling, by_freq);
        check_bags::<f16>(&case, pooling, by_freq);
    }

    #[test]
    fn gradients_of_max(case in bag_case(), by_freq in any::<bool>()) {
        check_max::<f32>(&case, by_freq);
        check_max::<f16>(&case, by_freq);
    }

    #[test]
    fn gradients_of_gathers(case in bag_case(), by_freq in any::<bool>()) {
        check_gather::<f32>(&case, by_freq);
        check_gather::<bf16>(&case, by_freq);
    }

    #[test]
    fn gradients_of_weights(case in bag_case(), pooling in proptest::sample::select(&SUMS[..])) {
        check_weights::<f32>(&case, pooling);
        check_weights::<bf16>(&case, pooling);
        check_weights::<f16>(&case, pooling);
    }
}

/// Every dim, not a sample of them, with odd values.
#[test]
fn all_dims_around_lane_boundaries() {
    for (at, dim) in DIMS.into_iter().enumerate() {
        let case = BagCase {
            seed: dim as u64,
            rows: 23,
            dim,
            stride: dim + 3,
            lengths: Lengths::Few,
            repeats: Repeats::Half,
            weights: [Weights::None, Weights::Odd, Weights::Cancelling][at % 3],
            padding: at % 2 == 0,
            default_row: at % 4 < 2,
            strays: Strays::ALL[at % Strays::ALL.len()],
            odd: true,
        };
        for pooling in SUMS {
            check_bags::<f32>(&case, pooling, at % 2 == 0);
            check_bags::<f16>(&case, pooling, at % 2 == 1);
            check_weights::<bf16>(&case, pooling);
        }
        check_max::<f32>(&case, false);
        check_max::<bf16>(&case, false);
        check_gather::<f32>(&case, false);
        check_gather::<f16>(&case, true);
    }
}

/// Batches large enough for several threads, where many ids name one row, and where none does twice.
#[test]
fn batches_that_are_cut_among_threads() {
    for lengths in [Lengths::Many, Lengths::MostlyEmpty, Lengths::OneHeavy, Lengths::One] {
        for (dim, repeats) in [(64, Repeats::Half), (48, Repeats::All), (130, Repeats::Some)] {
            let case = BagCase {
                seed: 12,
                rows: 5000,
                dim,
                stride: dim,
                lengths,
                repeats,
                weights: if dim == 48 { Weights::None } else { Weights::Real },
                padding: false,
                default_row: dim == 130,
                strays: Strays::Skipped,
                odd: false,
            };
            check_bags::<f32>(&case, Pooling::Sum, false);
            check_bags::<bf16>(&case, Pooling::Mean, true);
            check_gather::<f32>(&case, false);
            check_max::<f32>(&case, false);
            check_weights::<f32>(&case, Pooling::Sqrtn);
        }
    }
}

/// One batch for many calls of different sizes, with and without weights, padding and default rows: nothing of one is left for the next.
#[test]
fn batches_used_again() {
    let mut random = Random(3);
    for mut workspace in workspaces() {
        let mut batch = Batch::default();
        for seed in 0..12u64 {
            let lengths = [Lengths::OneHeavy, Lengths::Few, Lengths::MostlyEmpty, Lengths::Few][seed as usize % 4];
            let case = BagCase {
                seed,
                rows: [400, 7, 90][seed as usize % 3],
                dim: 33,
                stride: 33,
                lengths,
                repeats: Repeats::Half,
                weights: if seed % 3 == 0 { Weights::Real } else { Weights::None },
                padding: seed % 2 == 0,
                default_row: seed % 5 < 2,
                strays: Strays::ALL[seed as usize % Strays::ALL.len()],
                odd: false,
            };
            let drawn = case.draw(&mut random);
            let (bags, plain) = (drawn.bags(), drawn.plain(case.rows));
            let grad: Vec<f32> = random.values(plain.count() * case.dim, false);
            workspace.batch_into(&bags, case.rows, &mut batch).unwrap();
            let got = workspace.sparse_grad(Gradient::of_batch(&batch, Pooling::Mean, &grad), case.rows, case.dim).unwrap();
            let want = reference::bag_gradient(&plain, Pooling::Mean, &grad, case.dim, false);
            assert_rows(&got, &want, &case, &format!("batch {seed}, {}", label(&workspace)));
        }
        // After a refusal nothing of the old batch can be used.
        assert!(workspace.batch_into(&Bags::from_splits(&[1, 2], &[0i64, 1]), 5, &mut batch).is_err());
        assert!(workspace.sparse_grad(Gradient::of_batch(&batch, Pooling::Sum, &[1.0f32; 8]), 5, 4).is_err());
    }
}

/// The rules that are easily got wrong, one by one, in numbers that can be followed.
#[test]
fn rules_by_hand() {
    let ones = |n: usize| vec![1.0f32; n];
    let of = |gradient: Gradient<'_>| {
        let gradient = sparse_grad(gradient, 9, 1).unwrap();
        (gradient.rows().to_vec(), gradient.values().to_vec())
    };
    // Ascending rows; equal ids add up in order; what is filled, skipped or padding has no gradient.
    assert_eq!(of(Gradient::of_gather(&[7, 2, 7], &[1.0, 2.0, 4.0])), (vec![2, 7], vec![2.0, 5.0]));
    assert_eq!(of(Gradient::of_gather(&[7, 2, 7], &[1.0, 2.0, 4.0]).with_padding_idx(-2)), (vec![2], vec![2.0]));
    assert_eq!(of(Gradient::of_gather(&[7, 2, 7], &[1.0, 2.0, 4.0]).scale_by_freq(true)), (vec![2, 7], vec![2.0, 2.5]));
    for policy in [IdPolicy::TF_SAFE, IdPolicy::ZERO_FILL] {
        let ids = Ids::from(&[-1, 3]).with_policy(policy);
        assert_eq!(of(Gradient::of_gather(ids, &ones(2))), (vec![3], vec![1.0]));
        // A filled id counts in its mean, a skipped one does not.
        let mean = if policy == IdPolicy::TF_SAFE { 1.0 } else { 0.5 };
        let bags = Bags::from_splits(ids, &[0i64, 2]);
        assert_eq!(of(Gradient::of_bags(&bags, Pooling::Mean, &ones(1))), (vec![3], vec![mean]));
    }
    // A bag's weight over its denominator; none where that is zero, and yet the row is there.
    let bags = Bags::from_splits(&[1, 4, 4, 6], &[0i64, 2, 4]);
    let weights = [1.0, 3.0, -2.0, 2.0];
    let grad = [8.0, 5.0];
    assert_eq!(of(Gradient::of_bags(&bags, Pooling::Mean, &grad)), (vec![1, 4, 6], vec![4.0, 6.5, 2.5]));
    let weighted = bags.with_weights(&weights);
    assert_eq!(of(Gradient::of_bags(&weighted, Pooling::Sum, &grad)), (vec![1, 4, 6], vec![8.0, 14.0, 10.0]));
    assert_eq!(of(Gradient::of_bags(&weighted, Pooling::Mean, &grad)), (vec![1, 4, 6], vec![2.0, 6.0, 0.0]));
    // The default row of an empty bag has the whole gradient; and `with_padding_idx` is that of the bags.
    let hollow = Bags::from_splits(&[5], &[0i64, 0, 1]).with_default_row(8);
    assert_eq!(of(Gradient::of_bags(&hollow, Pooling::Sqrtn, &grad)), (vec![5, 8], vec![5.0, 8.0]));
    assert_eq!(of(Gradient::of_bags(&hollow, Pooling::Sqrtn, &grad).with_padding_idx(5)), (vec![8], vec![13.0]));
    // Max: once, though the row stands in the bag twice.
    let twice = Bags::from_splits(&[3, 3, 2], &[0i64, 3]);
    assert_eq!(of(Gradient::of_max(&twice, &[3], &ones(1))), (vec![2, 3], vec![0.0, 1.0]));
    assert_eq!(of(Gradient::of_max(&twice, &[3], &ones(1)).scale_by_freq(true)), (vec![2, 3], vec![0.0, 0.5]));
}

#[test]
fn empty_inputs() {
    let none: [i64; 0] = [];
    let nothing: [f32; 0] = [];
    for mut workspace in workspaces() {
        let gradient = workspace.sparse_grad(Gradient::of_gather(&none, &nothing), 5, 3).unwrap();
        assert_eq!((gradient.rows(), gradient.values(), gradient.norm()), (&[][..], &[][..], 0.0));
        assert_eq!(gradient.to_dense().unwrap().to_vec(), [0.0; 15]);
        let hollow = Bags::from_splits(&none, &[0i64, 0, 0]);
        let gradient = workspace.sparse_grad(Gradient::of_bags(&hollow, Pooling::Mean, &[1.0f32; 6]), 0, 3).unwrap();
        assert_eq!((gradient.rows(), gradient.table_rows()), (&[][..], 0));
        let narrow = workspace.sparse_grad(Gradient::of_gather(&[4, 2, 4], &nothing), 5, 0).unwrap();
        assert_eq!((narrow.rows(), narrow.values()), (&[2, 4][..], &[][..]));
        let hollow_table = TableView::new(&nothing, 0, usize::MAX, usize::MAX).unwrap();
        let no_bags = Bags::from_offsets::<i64>(&none, &[]);
        workspace.weight_grad(hollow_table, &no_bags, Pooling::Mean, &nothing, &mut []).unwrap();
        let widest = workspace.sparse_grad(Gradient::of_gather(&none, &nothing), 5, usize::MAX).unwrap();
        assert_eq!((widest.rows(), widest.dim()), (&[][..], usize::MAX));
    }
}

#[test]
fn refused_gradients() {
    let (ids, grad) = ([0i64, 1, 4, 3], [1.0f32; 12]);
    let (short, argmax) = ([1.0f32; 11], [0u32; 6]);
    let bags = Bags::from_splits(&ids, &[0i64, 1, 4]);
    let weighted = bags.with_weights(&grad[..4]);
    let mut workspace = Workspace::new();
    let batch = workspace.batch(&bags, 5).unwrap();
    let of_ids = workspace.batch_of_ids(&ids, 5).unwrap();
    let summed = sparse_grad(Gradient::of_gather(&ids, &grad), 5, 3).unwrap();
    let shape = |expected: [usize; 2], needed, actual| Error::ShapeMismatch {
        what: "gradient",
        expected: expected.to_vec(),
        needed,
        actual,
    };
    let cases: Vec<(Gradient<'_>, Error)> = vec![
        (Gradient::of_gather(&ids, &short), shape([4, 3], 12, 11)),
        (Gradient::of_gather(&ids, &grad).with_stride(4), shape([4, 3], 15, 12)),
        (Gradient::of_gather(&ids, &grad).with_stride(usize::MAX), Error::SizeOverflow { shape: vec![4, 3], element_bytes: 1 }),
        (Gradient::of_gather(&ids, &grad).with_stride(2), Error::StrideTooShort { stride: 2, dim: 3 }),
        (Gradient::of_gather(&ids, &grad).with_padding_idx(5), Error::RowOption { option: "padding_idx", row: 5, rows: 5 }),
        (
            Gradient::of_gather(&[0i64, 1, 5, 3], &grad),
            Error::IdOutOfRange { position: vec![2], value: IdValue::Int(5), rows: 5, from_end: false },
        ),
        (Gradient::of_bags(&bags, Pooling::Sum, &grad), shape([2, 3], 6, 12)),
        (Gradient::of_bags(&bags, Pooling::Max, &grad[..6]), Error::MaxWithoutArgmax),
        (Gradient::of_batch(&batch, Pooling::Max, &grad[..6]), Error::MaxWithoutArgmax),
        (
            Gradient::of_bags(&Bags::from_splits(&ids, &[0i64, 3, 2, 4]), Pooling::Sum, &grad),
            Error::BagOrder { bag: 2, offset: 2, before: 3 },
        ),
        (
            Gradient::of_max(&bags, &argmax[..5], &grad[..6]),
            Error::ShapeMismatch { what: "argmax", expected: vec![2, 3], needed: 6, actual: 5 },
        ),
        (Gradient::of_max(&weighted, &argmax, &grad[..6]), Error::WeightedMax),
        (Gradient::of_batch(&batch, Pooling::Sum, &grad), shape([2, 3], 6, 12)),
        (Gradient::of_batch(&of_ids, Pooling::Sum, &grad[..6]), shape([4, 3], 12, 6)),
        (Gradient::of_batch(&batch, Pooling::Sum, &grad[..6]).with_padding_idx(0), Error::PreparedPadding),
        (Gradient::of_sparse(&summed).with_padding_idx(0), Error::PreparedPadding),
        (Gradient::of_sparse(&summed).scale_by_freq(true), Error::SummedFrequencies),
        (Gradient::of_sparse(&summed).with_stride(99), Error::SummedStride),
    ];
    for (gradient, want) in cases {
        assert_eq!(workspace.sparse_grad(gradient, 5, 3).unwrap_err(), want);
    }
    let other = workspace.sparse_grad(Gradient::of_batch(&batch, Pooling::Sum, &grad[..6]), 6, 3).unwrap_err();
    assert_eq!(other, Error::BatchMismatch { batch: 5, rows: 6, pooled: true });
    let other = workspace.sparse_grad(Gradient::of_sparse(&summed), 5, 4).unwrap_err();
    assert_eq!(other, Error::GradientShape { gradient: [5, 3], table: [5, 4] });
    // A gradient of ids is no gradient of bags: a table cannot be pooled by it.
    let mut out = [7.0f32; 6];
    let view = TableViewMut::new(&mut out, 2, 3, 3).unwrap();
    let table = Table::<f32>::zeros(5, 3).unwrap();
    let error = workspace.bag_batch_into(&table, &of_ids, Pooling::Sum, view).unwrap_err();
    assert_eq!(error, Error::BatchMismatch { batch: 5, rows: 5, pooled: false });
    assert_eq!(out, [7.0; 6]);

    // The gradient of weights: what it is given, and what it is to write.
    let mut out = [7.0f32; 4];
    let mut refused = |workspace: &mut Workspace, bags: &Bags<'_>, pooling, grad: &[f32], length: usize| {
        let error = workspace.weight_grad(&table, bags, pooling, grad, &mut out[..length]).unwrap_err();
        assert_eq!(out, [7.0; 4], "{error}");
        error
    };
    assert_eq!(refused(&mut workspace, &bags, Pooling::Sum, &grad, 4), shape([2, 3], 6, 12));
    let error = refused(&mut workspace, &bags, Pooling::Sum, &grad[..6], 3);
    assert!(matches!(error, Error::ShapeMismatch { what: "weight gradient", needed: 4, actual: 3, .. }), "{error}");
    assert_eq!(refused(&mut workspace, &bags, Pooling::Max, &grad[..6], 4), Error::WeightedMax);
    let error = refused(&mut workspace, &bags.with_weights(&grad[..3]), Pooling::Mean, &grad[..6], 4);
    assert_eq!(error, Error::WeightCount { weights: 3, ids: 4 });
    let error = refused(&mut workspace, &Bags::from_splits(&[0, 1, 5, 3], &[0i64, 2, 4]), Pooling::Mean, &grad[..6], 4);
    assert!(matches!(error, Error::IdOutOfRange { .. }), "{error}");

    // More rows than a table can have: row numbers have 32 bits.
    for rows in [1usize << 32, 1 << 33, usize::MAX] {
        let far = [1i64 << 32, 0];
        let want = Error::TooManyRows { rows };
        assert_eq!(workspace.sparse_grad(Gradient::of_gather(&far, &grad[..6]), rows, 3).unwrap_err(), want);
        assert_eq!(workspace.batch(&Bags::from_splits(&far, &[0i64, 2]), rows).unwrap_err(), want);
        assert_eq!(workspace.batch_of_ids(&far, rows).unwrap_err(), want);
    }
}

#[test]
fn sparse_gradients_from_parts() {
    let parts = |rows: &[u32], values: usize| SparseGrad::from_parts(rows.to_vec(), &vec![1.0; values], 5, 2);
    assert_eq!(parts(&[0, 3, 4], 6).unwrap().norm(), 6f32.sqrt());
    assert_eq!(parts(&[3, 1], 4).unwrap_err(), Error::SparseRows { position: 1, row: 1, rows: 5 });
    assert_eq!(parts(&[3, 3], 4).unwrap_err(), Error::SparseRows { position: 1, row: 3, rows: 5 });
    assert_eq!(parts(&[3, 5], 4).unwrap_err(), Error::SparseRows { position: 1, row: 5, rows: 5 });
    assert!(matches!(parts(&[3, 4], 3), Err(Error::ShapeMismatch { what: "gradient", needed: 4, actual: 3, .. })));
    // A NaN stays through both kinds of clipping.
    let mut gradient = SparseGrad::from_parts(vec![1], &[f32::NAN, 9.0], 5, 2).unwrap();
    gradient.clip_by_value(1.0);
    assert!(gradient.values()[0].is_nan() && gradient.values()[1] == 1.0 && gradient.clip_by_norm(0.5).is_nan());
    assert_eq!(gradient.values()[1], 1.0);
}
