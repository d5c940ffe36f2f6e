//! Every operation, element, level and thread count against `reference`, bit for bit.

mod common;

use common::{DIMS, Random, Repeats, assert_identical, assert_same, draw_ids, label, workspaces};
use hotrow::{Buffer, Element, IdPolicy, Ids, Table, TableView, TableViewMut, Widen, bf16, f16, reference};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    rows: usize,
    dim: usize,
    stride: usize,
    ids: usize,
    repeats: Repeats,
    odd: bool,
    /// Out-of-range ids, filled.
    fill: bool,
}

/// Small tables, and ones large enough to be cut among threads.
fn case() -> impl Strategy<Value = Case> {
    let size = prop_oneof![3 => (1usize..40, 0usize..60), 1 => (1usize..3000, 2000usize..6000)];
    let repeats = prop_oneof![Just(Repeats::None), Just(Repeats::Some), Just(Repeats::Half), Just(Repeats::All)];
    let dim = proptest::sample::select(&DIMS[..]);
    (any::<u64>(), size, dim, 0usize..3, repeats, any::<bool>(), proptest::bool::weighted(0.3)).prop_map(
        |(seed, (rows, ids), dim, padding, repeats, odd, fill)| {
            // The widest rows of the largest cases would only take longer.
            let ids = ids.min(400_000 / dim);
            Case { seed, rows, dim, stride: dim + padding, ids, repeats, odd, fill }
        },
    )
}

/// The ids of a case; where it fills, every seventh is out of range.
fn ids_of(case: &Case, random: &mut Random) -> (Vec<i64>, IdPolicy) {
    let mut ids = draw_ids(random, case.ids, case.rows, case.repeats);
    if !case.fill {
        return (ids, IdPolicy::STRICT);
    }
    for id in ids.iter_mut().step_by(7) {
        *id = if *id % 2 == 0 { case.rows as i64 } else { -1 };
    }
    (ids, IdPolicy::ZERO_FILL)
}

fn check_gather<E: Widen<O>, O: Element>(case: &Case) {
    let mut random = Random(case.seed);
    let values: Vec<E> = random.values(case.rows * case.stride, case.odd);
    let table = TableView::new(&values, case.rows, case.dim, case.stride).unwrap();
    let (ids, policy) = ids_of(case, &mut random);
    let ids = Ids::from(&ids).with_policy(policy);
    let want: Vec<O> = reference::gather(table, ids).unwrap();
    for mut workspace in workspaces() {
        let mut got = vec![O::from_f32(7.0); want.len()];
        workspace.gather_into(table, ids, &mut got).unwrap();
        assert_identical(&got, &want, &label(&workspace));
    }
}

fn check_scatter<E: Element, S: Element>(case: &Case, alpha: f32) {
    let mut random = Random(case.seed);
    let values: Vec<E> = random.values(case.rows * case.stride, case.odd);
    let (ids, policy) = ids_of(case, &mut random);
    let ids = Ids::from(&ids).with_policy(policy);
    let source: Vec<S> = random.values(ids.len() * case.dim, case.odd);
    let mut want = values.clone();
    let table = TableViewMut::new(&mut want, case.rows, case.dim, case.stride).unwrap();
    reference::scatter_add(table, ids, &source, alpha).unwrap();
    for mut workspace in workspaces() {
        let mut got = values.clone();
        let table = TableViewMut::new(&mut got, case.rows, case.dim, case.stride).unwrap();
        workspace.scatter_add(table, ids, &source, alpha).unwrap();
        assert_same(&got, &want, &label(&workspace));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 10 } else { 200 }))]

    #[test]
    fn gather_equals_the_plain_loop(case in case()) {
        check_gather::<f32, f32>(&case);
        check_gather::<f16, f16>(&case);
        check_gather::<bf16, bf16>(&case);
        check_gather::<f16, f32>(&case);
        check_gather::<bf16, f32>(&case);
    }

    #[test]
    fn scatter_add_equals_the_plain_loop(case in case(), alpha in prop_oneof![Just(1.0f32), -2.0f32..2.0]) {
        check_scatter::<f32, f32>(&case, alpha);
        check_scatter::<f16, f16>(&case, alpha);
        check_scatter::<bf16, bf16>(&case, alpha);
        check_scatter::<f16, f32>(&case, alpha);
        check_scatter::<bf16, f32>(&case, alpha);
        check_scatter::<f32, bf16>(&case, alpha);
    }
}

/// Every dim, not a sample of them, with duplicates and odd values.
#[test]
fn all_dims_around_lane_boundaries() {
    for dim in DIMS {
        let case =
            Case { seed: dim as u64, rows: 23, dim, stride: dim + 1, ids: 50, repeats: Repeats::Half, odd: true, fill: true };
        check_gather::<f32, f32>(&case);
        check_gather::<bf16, f32>(&case);
        check_gather::<f16, f16>(&case);
        check_scatter::<f32, f32>(&case, -0.3);
        check_scatter::<bf16, f32>(&case, -0.3);
        check_scatter::<f16, f16>(&case, -0.3);
    }
}

/// One row takes every update of a call that is shared among threads: it is cut by columns, and each column keeps its order.
#[test]
fn a_hot_row_is_cut_by_columns_and_stays_exact() {
    for dim in [16, 64, 130] {
        let case = Case { seed: 5, rows: 5000, dim, stride: dim, ids: 20_000, repeats: Repeats::All, odd: false, fill: false };
        check_scatter::<f32, f32>(&case, 0.1);
        check_scatter::<bf16, bf16>(&case, 0.1);
    }
}

/// Outputs of 16 MiB and more are written past the caches where they start a cache line, and the ordinary way where they do not.
#[test]
fn large_outputs_are_exact() {
    fn check<E: Widen<O>, O: Element>() {
        let (rows, dim) = (1000, 256);
        let n = (17 << 20) / (dim * size_of::<O>());
        let mut random = Random(6);
        let table = Table::from_slice(&random.values::<E>(rows * dim, true), rows, dim).unwrap();
        let mut ids = draw_ids(&mut random, n, rows, Repeats::Some);
        ids.iter_mut().step_by(97).for_each(|id| *id = -1);
        let ids = Ids::from(&ids).with_policy(IdPolicy::ZERO_FILL);
        let want: Vec<O> = reference::gather(table.view(), ids).unwrap();
        let mut room = Buffer::<O>::zeros(want.len() + 1).unwrap();
        for mut workspace in workspaces().into_iter().filter(|workspace| [1, 3].contains(&workspace.parallelism().degree())) {
            for start in [0, 1] {
                room.fill(O::from_f32(7.0));
                let out = &mut room[start..start + want.len()];
                workspace.gather_into(&table, ids, out).unwrap();
                assert_identical(out, &want, &format!("{} from {start}", label(&workspace)));
            }
            let fresh: Vec<E> = workspace.gather(&table, ids).unwrap().to_vec();
            let fresh: Vec<O> = fresh.iter().map(|x| O::from_f32(x.to_f32())).collect();
            assert_same(&fresh, &want, &label(&workspace));
        }
    }
    check::<f32, f32>();
    check::<f16, f16>();
    check::<bf16, f32>();
    check::<f16, f32>();
}

#[test]
fn empty_inputs() {
    for mut workspace in workspaces() {
        let mut table = Table::<f32>::zeros(5, 3).unwrap();
        let none: [i64; 0] = [];
        assert_eq!(workspace.gather(&table, &none).unwrap().shape(), [0, 3]);
        workspace.gather_into(&table, &none, &mut [0.0f32; 0]).unwrap();
        workspace.scatter_add(&mut table, &none, &[0.0f32; 0], 1.0).unwrap();
        assert_eq!(table.to_vec(), [0.0; 15]);

        let mut narrow = Table::<bf16>::zeros(5, 0).unwrap();
        assert_eq!(workspace.gather(&narrow, &[4, 0]).unwrap().shape(), [2, 0]);
        workspace.scatter_add(&mut narrow, &[4, 0], &[0.0f32; 0], 1.0).unwrap();

        let no_rows = Table::<f16>::zeros(0, 4).unwrap();
        assert_eq!(workspace.gather(&no_rows, &none).unwrap().shape(), [0, 4]);
        assert!(workspace.gather(&no_rows, &[0]).is_err());
        let filled = workspace.gather_f32(&no_rows, Ids::from(&[0]).with_policy(IdPolicy::ZERO_FILL)).unwrap();
        assert_eq!(filled.as_slice(), [0.0; 4]);
    }
}

/// Every constructor gives the same bits on any number of threads.
#[test]
fn random_tables_do_not_depend_on_threads() {
    let draw = || {
        let uniform = Table::<f32>::uniform(3000, 33, 9).unwrap().to_vec();
        let normal = Table::<f32>::normal(3000, 33, 9).unwrap().to_vec();
        let glorot = Table::<bf16>::glorot_uniform(3000, 127, 9).unwrap().to_vec();
        (uniform, normal, glorot)
    };
    let want = draw();
    for threads in common::THREADS {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let got = pool.install(draw);
        assert_identical(&got.0, &want.0, "uniform");
        assert_identical(&got.1, &want.1, "normal");
        assert_identical(&got.2, &want.2, "glorot_uniform");
    }
    let (uniform, normal, glorot) = want;
    assert!(uniform.iter().all(|x| x.abs() <= 0.05));
    let mean = |values: &[f32]| values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
    let spread = |values: &[f32]| {
        let squares: Vec<f32> = values.iter().map(|x| x * x).collect();
        mean(&squares).sqrt()
    };
    // 99,000 draws: four standard errors are 0.0004 for the uniform mean, 0.0007 for the normal one.
    assert!(mean(&uniform).abs() < 4e-4 && (spread(&uniform) - 0.05 / 3f64.sqrt()).abs() < 4e-4);
    assert!(mean(&normal).abs() < 7e-4 && (spread(&normal) - 0.05).abs() < 7e-4);
    let limit = (6.0f64 / 3127.0).sqrt() as f32;
    assert!(glorot.iter().all(|x| x.to_f32().abs() <= limit * 1.004));
    assert!(glorot.iter().any(|x| x.to_f32().abs() > limit * 0.99));
    // Rows differ, seeds differ.
    assert_ne!(uniform[..33], uniform[33..66]);
    assert_ne!(Table::<f32>::uniform(1, 33, 10).unwrap().to_vec(), uniform[..33]);
}

/// Tables keep their values through conversion, copies and padding.
#[test]
fn tables_hold_what_they_were_given() {
    for dim in [0, 1, 3, 63, 64, 127, 257] {
        let values: Vec<f32> = Random(dim as u64).values(40 * dim, true);
        let table = Table::from_slice(&values, 40, dim).unwrap();
        assert_identical(&table.to_vec(), &values, "to_vec");
        assert_identical(&table.try_clone().unwrap().to_vec(), &values, "try_clone");
        let rows: Vec<f32> = table.iter().flatten().copied().collect();
        assert_identical(&rows, &values, "iter");
        let narrow: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
        let converted = table.convert::<bf16>().unwrap();
        assert_same(&converted.to_vec(), &narrow, "convert");
        assert_eq!(table.as_slice().is_some(), table.stride() == dim);
        if dim > 0 && table.stride() % 16 == 0 {
            assert!(table.iter().all(|row| row.as_ptr().addr().is_multiple_of(64)), "rows of whole cache lines start one");
        }
        assert_eq!(table.row(40), None);
        let report = table.memory();
        assert_eq!(report.payload_bytes, values.len() * 4);
        assert!(report.allocated_bytes <= report.payload_bytes + report.payload_bytes / 50 + (4 << 20));
    }
    let from_fn = Table::<f32>::from_fn(100, 127, |row, column| (row * 127 + column) as f32).unwrap();
    let counted: Vec<f32> = (0..12_700).map(|x| x as f32).collect();
    assert_eq!(from_fn.to_vec(), counted);
}

/// A large table is on huge pages where the system gives them, and says so.
#[test]
fn large_memory_reports_its_pages() {
    let buffer = Buffer::<f32>::zeros(16 << 20).unwrap();
    let report = buffer.memory();
    assert_eq!(report.payload_bytes, 64 << 20);
    assert!(report.allocated_bytes <= (64 << 20) + (2 << 20));
    assert!(buffer.as_ptr().addr().is_multiple_of(2 << 20));
    if let Some(huge) = report.huge_page_bytes {
        assert!(huge <= report.allocated_bytes && huge % (2 << 20) == 0);
    }
}
