//! Bags: every pooling, element, level and thread count against `reference`, bit for bit; every way to say where they start.

mod common;

use common::bags::{BagCase, Lengths, Strays, Weights, bag_case};
use common::{DIMS, Random, Repeats, assert_same, label, workspaces};
use hotrow::reference::{self, PlainBags};
use hotrow::{
    Bags, Element, Error, IdPolicy, IdType, IdValue, Ids, Pooling, Ragged, Table, TableView, TableViewMut, Widen, Workspace, bag,
    bag_into, bf16, f16,
};
use proptest::prelude::*;

const SUMS: [Pooling; 3] = [Pooling::Sum, Pooling::Mean, Pooling::Sqrtn];

/// What stands in outputs before: a call that writes beside its rows is seen.
const BLANK: f32 = 7.0;

fn ones<E: Element>(rows: usize, dim: usize) -> Table<E> {
    Table::from_fn(rows, dim, |_, _| E::from_f32(1.0)).unwrap()
}

/// Rows `[count, dim]` so many values apart, and that what is between them is blank.
fn compact<O: Element>(spread: &[O], dim: usize, stride: usize, context: &str) -> Vec<O> {
    let mut compact = Vec::new();
    for row in spread.chunks(stride) {
        compact.extend_from_slice(&row[..dim]);
        assert!(row[dim..].iter().all(|x| x.to_f32() == BLANK), "{context}: written beside a row");
    }
    compact
}

fn check<E: Widen<f32> + Widen<O>, O: Element>(case: &BagCase, pooling: Pooling) {
    let mut random = Random(case.seed);
    let values: Vec<E> = random.values(case.rows * case.stride, case.odd);
    let table = TableView::new(&values, case.rows, case.dim, case.stride).unwrap();
    let drawn = case.draw(&mut random);
    let drawn = if pooling == Pooling::Max { drawn.unweighted() } else { drawn };
    let (bags, plain) = (drawn.bags(), drawn.plain(case.rows));
    let want: Vec<O> = reference::bag(table, &plain, pooling);
    let argmax = if pooling == Pooling::Max { reference::bag_argmax(table, &plain) } else { Vec::new() };
    let blank = vec![O::from_f32(BLANK); plain.count() * case.stride];
    for mut workspace in workspaces() {
        let context = format!("{pooling}, {} to {}, {}, {case:?}", E::DTYPE, O::DTYPE, label(&workspace));
        let mut spread = blank.clone();
        let out = TableViewMut::new(&mut spread, plain.count(), case.dim, case.stride).unwrap();
        workspace.bag_into(table, &bags, pooling, out).unwrap();
        assert_same(&compact(&spread, case.dim, case.stride, &context), &want, &context);

        // The same batch, checked once and pooled twice.
        let batch = workspace.batch(&bags, case.rows).unwrap();
        for _ in 0..2 {
            spread.clone_from(&blank);
            let out = TableViewMut::new(&mut spread, plain.count(), case.dim, case.stride).unwrap();
            workspace.bag_batch_into(table, &batch, pooling, out).unwrap();
            assert_same(&compact(&spread, case.dim, case.stride, &context), &want, &context);
        }

        if pooling == Pooling::Max {
            spread.clone_from(&blank);
            let mut winners = vec![7; argmax.len()];
            let out = TableViewMut::new(&mut spread, plain.count(), case.dim, case.stride).unwrap();
            workspace.bag_max_into(table, &bags, out, &mut winners).unwrap();
            assert_same(&compact(&spread, case.dim, case.stride, &context), &want, &context);
            assert_eq!(winners, argmax, "{context}");
        }
    }
}

fn check_elements(case: &BagCase, pooling: Pooling) {
    check::<f32, f32>(case, pooling);
    check::<f16, f32>(case, pooling);
    check::<f16, f16>(case, pooling);
    check::<bf16, f32>(case, pooling);
    check::<bf16, bf16>(case, pooling);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 8 } else { 120 }))]

    #[test]
    fn sums_equal_the_plain_loop(case in bag_case(), pooling in proptest::sample::select(&SUMS[..])) {
        check_elements(&case, pooling);
    }

    #[test]
    fn max_equals_the_plain_loop(case in bag_case()) {
        check_elements(&case, Pooling::Max);
    }
}

/// Every dim, pooling and answer to stray ids, not a sample of them, with odd values.
#[test]
fn all_dims_around_lane_boundaries() {
    for (at, dim) in DIMS.into_iter().enumerate() {
        let case = BagCase {
            seed: dim as u64,
            rows: 23,
            dim,
            stride: dim + 1,
            lengths: Lengths::Few,
            repeats: Repeats::Half,
            weights: [Weights::None, Weights::Odd, Weights::Cancelling][at % 3],
            padding: at % 2 == 0,
            default_row: at % 4 < 2,
            strays: Strays::ALL[at % Strays::ALL.len()],
            odd: true,
        };
        for pooling in [Pooling::Sum, Pooling::Mean, Pooling::Sqrtn, Pooling::Max] {
            check_elements(&case, pooling);
        }
    }
}

/// Batches large enough for several threads: they are cut by ids, so that a bag with half of them is cut too.
#[test]
fn batches_that_are_cut_among_threads() {
    for lengths in [Lengths::Many, Lengths::MostlyEmpty, Lengths::OneHeavy, Lengths::One, Lengths::Empty] {
        for (dim, weights) in [(64, Weights::None), (64, Weights::Real), (48, Weights::Cancelling), (130, Weights::Odd)] {
            let case = BagCase {
                seed: 11,
                rows: 2000,
                dim,
                stride: dim,
                lengths,
                repeats: Repeats::Some,
                weights,
                padding: true,
                default_row: dim == 48,
                strays: Strays::Skipped,
                odd: false,
            };
            check::<f32, f32>(&case, Pooling::Sum);
            check::<bf16, f32>(&case, Pooling::Mean);
            check::<f16, f16>(&case, Pooling::Sqrtn);
            check::<f32, f32>(&case, Pooling::Max);
        }
    }
}

/// The free functions, and what they return.
#[test]
fn new_rows_and_rows_that_are_there() {
    let table = Table::<bf16>::from_fn(10, 3, |row, column| bf16::from_f32((10 * row + column) as f32)).unwrap();
    let bags = Bags::from_lengths(&[1i32, 2, 9], &[2i32, 0, 1]);
    let rows = bag(&table, &bags, Pooling::Mean).unwrap();
    assert_eq!(rows.shape(), [3, 3]);
    assert_eq!(rows.as_slice(), [15.0, 16.0, 17.0, 0.0, 0.0, 0.0, 90.0, 91.0, 92.0]);
    assert_eq!(Workspace::new().bag(&table, &bags, Pooling::Mean).unwrap().as_slice(), rows.as_slice());
    let mut out = Table::<f32>::zeros(3, 3).unwrap();
    bag_into(&table, &bags, Pooling::Mean, &mut out).unwrap();
    assert_eq!(out.to_vec(), rows.as_slice());
    let mut own = Table::<bf16>::zeros(3, 3).unwrap();
    bag_into(&table, &bags, Pooling::Max, &mut own).unwrap();
    assert_eq!(own.row(0).unwrap(), [20.0, 21.0, 22.0].map(bf16::from_f32));
}

/// Many tables write one `[batch, sum of dims]`.
#[test]
fn outputs_side_by_side() {
    let (a, b) = (ones::<f32>(4, 5), ones::<f16>(4, 2));
    let bags = Bags::from_splits(&[0, 1, 2, 3], &[0i32, 1, 4]);
    let mut out = [0.0f32; 14];
    bag_into(&a, &bags, Pooling::Sum, TableViewMut::new(&mut out, 2, 5, 7).unwrap()).unwrap();
    bag_into(&b, &bags, Pooling::Sum, TableViewMut::new(&mut out[5..], 2, 2, 7).unwrap()).unwrap();
    assert_eq!(out, [1., 1., 1., 1., 1., 1., 1., 3., 3., 3., 3., 3., 3., 3.]);
}

/// The rules that are easily got wrong, one by one, in numbers that can be followed.
#[test]
fn rules_by_hand() {
    let table = Table::<f32>::from_fn(5, 1, |row, _| [1.0, f32::NAN, -4.0, -0.0, 3.0][row]).unwrap();
    let pool = |bags: &Bags<'_>, pooling| bag(&table, bags, pooling).unwrap().to_vec();

    // A sum starts at +0, a maximum at the first value; a NaN stays only if it comes first.
    let zero = Bags::from_offsets(&[3], &[0i64]);
    assert_eq!(pool(&zero, Pooling::Sum)[0].to_bits(), 0.0f32.to_bits());
    assert_eq!(pool(&zero, Pooling::Max)[0].to_bits(), (-0.0f32).to_bits());
    assert!(pool(&Bags::from_offsets(&[1, 0], &[0i64]), Pooling::Max)[0].is_nan());
    assert_eq!(pool(&Bags::from_offsets(&[2, 1, 0], &[0i64]), Pooling::Max), [1.0]);

    // Denominators: the weights' sum, the root of the sum of their squares; zero gives zero, whatever the sum is.
    let two = Bags::from_offsets(&[0, 4], &[0i64]);
    assert_eq!(pool(&two.with_weights(&[1.0, 3.0]), Pooling::Mean), [2.5]);
    assert_eq!(pool(&two.with_weights(&[3.0, 4.0]), Pooling::Sqrtn), [3.0]);
    assert_eq!(pool(&two.with_weights(&[1.0, -1.0]), Pooling::Mean), [0.0]);
    assert_eq!(pool(&Bags::from_offsets(&[1], &[0i64]).with_weights(&[0.0]), Pooling::Mean), [0.0]);
    assert!(pool(&Bags::from_offsets(&[1], &[0i64]).with_weights(&[0.0]), Pooling::Sum)[0].is_nan());

    // Padding does not count, and its weight with it.
    let padded = Bags::from_offsets(&[0, 1, 4, 1], &[0i64, 3]).with_padding_idx(-4);
    assert_eq!(pool(&padded, Pooling::Mean), [2.0, 0.0]);
    assert_eq!(pool(&padded.with_weights(&[1.0, f32::NAN, 3.0, 9.0]), Pooling::Mean), [2.5, 0.0]);
    assert_eq!(pool(&padded.with_default_row(4), Pooling::Max), [3.0, 3.0]);
    // The default row has a weight of 1, and stands in the bag even if it is padding.
    assert_eq!(pool(&padded.with_default_row(-1).with_padding_idx(4), Pooling::Sum)[1].to_bits(), f32::NAN.to_bits());

    // Negative ids are no ids; ids without a row that are filled count.
    let negative = [-1i64, 4, -7];
    let skipping = Bags::from_offsets(Ids::from(&negative).with_policy(IdPolicy::TF_SAFE), &[0i64, 2]);
    assert_eq!(pool(&skipping, Pooling::Mean), [3.0, 0.0]);
    let filling = Bags::from_offsets(Ids::from(&negative).with_policy(IdPolicy::ZERO_FILL), &[0i64, 2]);
    assert_eq!(pool(&filling, Pooling::Mean), [1.5, 0.0]);
}

/// Offsets with and without the last, lengths, matrices and ragged lists, in every type, say the same.
#[test]
fn every_constructor() {
    let ids = [3i64, 1, 4, 1, 5, 9];
    let want = [0u32, 2, 4, 6];
    let same = |bags: Bags<'_>| {
        assert_eq!(bags.count(), 3);
        assert_eq!(bags.bounds().unwrap(), want);
        assert_eq!(bags.ids().len(), 6);
        let table = Table::<f32>::from_fn(10, 2, |row, column| (row * 2 + column) as f32).unwrap();
        assert_eq!(bag(&table, &bags, Pooling::Sum).unwrap().as_slice(), [8., 10., 10., 12., 28., 30.]);
    };
    macro_rules! typed {
        ($($t:ty)*) => { $(
            same(Bags::from_offsets(&ids, &[0 as $t, 2, 4]));
            same(Bags::from_splits(&ids, &[0 as $t, 2, 4, 6]));
            same(Bags::from_lengths(&ids, &[2 as $t, 2, 2]));
            same(Bags::from_lengths(&ids, &vec![2 as $t, 2, 2]));
            same(Bags::from_lengths(&ids, [2 as $t, 2, 2].as_slice()));
        )* };
    }
    typed!(i32 i64 u32 usize);
    same(Bags::from_matrix(&[[3u8, 1], [4, 1], [5, 9]]).unwrap());
    same(Bags::from_matrix(Ids::new(&ids, &[3, 2]).unwrap()).unwrap());
    same(Ragged::new([vec![3u16, 1], vec![4, 1], vec![5, 9]]).bags());
    same(Ragged::new([[3i32, 1], [4, 1], [5, 9]]).bags());

    // Bags without ids, and ids without bags.
    let none: [i64; 0] = [];
    assert_eq!(Bags::from_offsets(&none, &[0i64, 0]).bounds().unwrap(), [0, 0, 0]);
    assert_eq!(Bags::from_offsets::<i64>(&none, &[]).bounds().unwrap(), [0]);
    assert_eq!(Bags::from_splits(&none, &[0i32]).bounds().unwrap(), [0]);
    assert_eq!(Bags::from_lengths::<i32>(&none, &[]).bounds().unwrap(), [0]);
    assert_eq!(Bags::from_matrix(Ids::new(&none, &[3, 0]).unwrap()).unwrap().bounds().unwrap(), [0; 4]);
    assert_eq!(Bags::from_matrix(Ids::new(&none, &[0, 3]).unwrap()).unwrap().bounds().unwrap(), [0]);
    assert_eq!(Ragged::<i64>::new::<[i64; 0]>([]).bags().count(), 0);
    assert_eq!(Ragged::<i64>::default().bags().bounds().unwrap(), [0]);
}

/// Tables without rows, rows without values, batches without bags.
#[test]
fn empty_inputs() {
    let none: [i64; 0] = [];
    let no_bags = Bags::from_offsets::<i64>(&none, &[]);
    let hollow = Bags::from_splits(&none, &[0i64, 0, 0]);
    let nothing: [f32; 0] = [];
    let widest = TableView::new(&nothing, 0, usize::MAX, usize::MAX).unwrap();
    for mut workspace in workspaces() {
        for pooling in [Pooling::Sum, Pooling::Mean, Pooling::Sqrtn, Pooling::Max] {
            let table = ones::<f32>(3, 2);
            assert_eq!(workspace.bag(&table, &no_bags, pooling).unwrap().shape(), [0, 2]);
            assert_eq!(workspace.bag(&table, &hollow, pooling).unwrap().as_slice(), [0.0; 4]);
            let no_rows = Table::<bf16>::zeros(0, 2).unwrap();
            assert_eq!(workspace.bag(&no_rows, &hollow, pooling).unwrap().as_slice(), [0.0; 4]);
            let narrow = Table::<f32>::zeros(3, 0).unwrap();
            assert_eq!(workspace.bag(&narrow, &Bags::from_offsets(&[1], &[0i64, 1]), pooling).unwrap().shape(), [2, 0]);
            assert_eq!(workspace.bag(widest, &no_bags, pooling).unwrap().shape(), [0, usize::MAX]);
            let error = workspace.bag(widest, &hollow, pooling).unwrap_err();
            assert_eq!(error, Error::SizeOverflow { shape: vec![2, usize::MAX], element_bytes: 4 });
        }
    }
}

/// Each malformed batch, and the error that names what is wrong with it. Nothing is written.
#[test]
fn malformed_bags_change_nothing() {
    let ids = [0i64, 1, 2, 3, 4];
    let (weights, short) = ([1.0f32; 5], [1.0f32; 4]);
    let range = |bag, offset| Error::BagOffset { bag, offset, ids: 5 };
    let order = |bag, offset, before| Error::BagOrder { bag, offset, before };
    let option = |option, row| Error::RowOption { option, row, rows: 5 };
    let good = Bags::from_offsets(&ids, &[0i64, 2]);
    let cases: Vec<(Bags<'_>, Error)> = vec![
        (Bags::from_offsets(&ids, &[1i64, 2]), range(0, 1)),
        (Bags::from_offsets(&ids, &[-1i32, 2]), range(0, -1)),
        (Bags::from_offsets(&ids, &[0i64, 3, 2]), order(2, 2, 3)),
        (Bags::from_offsets(&ids, &[0i64, 3, -2]), range(2, -2)),
        (Bags::from_offsets(&ids, &[0i64, 6]), range(1, 6)),
        (Bags::from_offsets(&ids, &[0i64, i64::MAX, 5]), range(1, i64::MAX)),
        (Bags::from_offsets(&ids, &[0usize, usize::MAX, 5]), range(1, i64::MAX)),
        (Bags::from_offsets(&ids, &[0i64, 1 << 32, 5]), range(1, 1 << 32)),
        (Bags::from_offsets::<i64>(&ids, &[]), Error::BagEnd { end: 0, ids: 5 }),
        (Bags::from_splits::<i64>(&ids, &[]), Error::BagSplitsEmpty),
        (Bags::from_splits(&ids, &[0i64]), Error::BagEnd { end: 0, ids: 5 }),
        (Bags::from_splits(&ids, &[0i64, 4]), Error::BagEnd { end: 4, ids: 5 }),
        (Bags::from_splits(&ids, &[0i64, 6]), range(1, 6)),
        (Bags::from_splits(&ids, &[0i32, 4, 3, 5]), order(2, 3, 4)),
        (Bags::from_splits(&ids, &[2u32, 5]), range(0, 2)),
        (Bags::from_lengths(&ids, &[2i64, 2]), Error::BagEnd { end: 4, ids: 5 }),
        (Bags::from_lengths(&ids, &[2i64, 4]), Error::BagLength { bag: 1, length: 4, left: 3 }),
        (Bags::from_lengths(&ids, &[6i32, -1]), Error::BagLength { bag: 0, length: 6, left: 5 }),
        (Bags::from_lengths(&ids, &[5i32, -1, 1]), Error::BagLength { bag: 1, length: -1, left: 0 }),
        (Bags::from_lengths(&ids, &[1i64, i64::MAX, i64::MAX]), Error::BagLength { bag: 1, length: i64::MAX, left: 4 }),
        (Bags::from_lengths(&ids, &[usize::MAX, 6]), Error::BagLength { bag: 0, length: i64::MAX, left: 5 }),
        (good.with_weights(&short), Error::WeightCount { weights: 4, ids: 5 }),
        (good.with_padding_idx(5), option("padding_idx", 5)),
        (good.with_padding_idx(-6), option("padding_idx", -6)),
        (good.with_padding_idx(i64::MIN), option("padding_idx", i64::MIN)),
        (good.with_default_row(5), option("default_row", 5)),
        (good.with_default_row(i64::MAX), option("default_row", i64::MAX)),
        (
            Bags::from_offsets(&[0i64, 9], &[0i64]),
            Error::IdOutOfRange { position: vec![1], value: IdValue::Int(9), rows: 5, from_end: false },
        ),
        (
            Bags::from_offsets(&[0.0f64, f64::NAN], &[0i64]),
            Error::IdNotCastable { position: vec![1], value: IdValue::Float(f64::NAN), dtype: IdType::F64 },
        ),
        (Bags::from_offsets(Ids::from(&[0u8]).with_policy(IdPolicy::TORCH), &[0i64]), Error::IdTypeRefused { dtype: IdType::U8 }),
    ];
    let table = ones::<f32>(5, 3);
    for (bags, want) in cases {
        assert_eq!(PlainBags::of(&bags, 5).map(|_| ()).map_err(|error| error.to_string()), Err(want.to_string()));
        for mut workspace in workspaces() {
            assert_refused(&mut workspace, &table, &bags, Pooling::Mean, &want);
            if bags.weights().is_none() {
                assert_refused(&mut workspace, &table, &bags, Pooling::Max, &want);
            }
            assert_eq!(workspace.batch(&bags, 5).unwrap_err().to_string(), want.to_string());
        }
    }
    for mut workspace in workspaces() {
        assert_refused(&mut workspace, &table, &good.with_weights(&weights), Pooling::Max, &Error::WeightedMax);
    }
    assert_eq!(Bags::from_matrix(&ids).unwrap_err(), Error::BagShape { shape: vec![5] });
    assert_eq!(Bags::from_matrix(&7i64).unwrap_err(), Error::BagShape { shape: vec![] });
    assert!(matches!("average".parse::<Pooling>(), Err(Error::UnknownName { what: "pooling", .. })));
    for pooling in [Pooling::Sum, Pooling::Mean, Pooling::Sqrtn, Pooling::Max] {
        assert_eq!(pooling.to_string().parse::<Pooling>(), Ok(pooling));
    }
}

fn assert_refused(workspace: &mut Workspace, table: &Table<f32>, bags: &Bags<'_>, pooling: Pooling, want: &Error) {
    let count = bags.count();
    let mut out = vec![BLANK; count * 3];
    let view = TableViewMut::new(&mut out, count, 3, 3).unwrap();
    let error = workspace.bag_into(table, bags, pooling, view).unwrap_err();
    // As text: a NaN among the facts equals nothing.
    assert_eq!(error.to_string(), want.to_string());
    if pooling == Pooling::Max {
        let mut argmax = vec![7; count * 3];
        let view = TableViewMut::new(&mut out, count, 3, 3).unwrap();
        assert_eq!(workspace.bag_max_into(table, bags, view, &mut argmax).unwrap_err().to_string(), want.to_string());
        assert!(argmax.iter().all(|&row| row == 7), "{want}: the winners were written to");
    }
    assert!(out.iter().all(|&x| x == BLANK), "{want}: the output was written to");
}

/// Outputs of another shape, and more bags than memory has room for.
#[test]
fn outputs_that_do_not_fit() {
    let table = ones::<f32>(5, 3);
    let bags = Bags::from_splits(&[0, 1], &[0i64, 1, 2]);
    let mut room = [BLANK; 12];
    for (rows, dim) in [(1, 3), (3, 3), (2, 2), (2, 4)] {
        let out = TableViewMut::new(&mut room, rows, dim, dim).unwrap();
        let error = bag_into(&table, &bags, Pooling::Sum, out).unwrap_err();
        assert_eq!(error, Error::OutputShape { expected: [2, 3], actual: [rows, dim] });
    }
    let out = TableViewMut::new(&mut room, 2, 3, 3).unwrap();
    let error = Workspace::new().bag_max_into(&table, &bags, out, &mut [0; 5]).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { what: "argmax", needed: 6, actual: 5, .. }), "{error}");
    assert_eq!(room, [BLANK; 12]);

    let none: [i64; 0] = [];
    for count in [u32::MAX as usize, 1 << 40, 1 << 61, usize::MAX] {
        let shape = [count, 0];
        let bags = Bags::from_matrix(Ids::new(&none, &shape).unwrap()).unwrap();
        assert_eq!(bags.bounds().unwrap_err(), Error::TooManyBags { bags: count });
        assert_eq!(bag(&table, &bags, Pooling::Sum).unwrap_err(), Error::TooManyBags { bags: count });
    }
}
