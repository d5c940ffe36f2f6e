//! Every id type, cast, sign rule and range rule against `reference::resolve`; and the limits.

mod common;

use common::{Random, workspaces};
use hotrow::{Cast, Error, Id, IdPolicy, IdValue, Ids, Negative, OutOfRange, Table, TableView, bf16, f16, gather, reference};

fn policies() -> Vec<IdPolicy> {
    let mut all = Vec::new();
    for cast in [Cast::Checked, Cast::KerasCall, Cast::KeepInt64, Cast::NoCast] {
        for negative in [Negative::Refused, Negative::FromEnd, Negative::Skipped] {
            for out_of_range in [OutOfRange::Error, OutOfRange::Clamp, OutOfRange::Fill(f32::NAN), OutOfRange::Fill(-2.5)] {
                all.push(IdPolicy::new(cast, negative, out_of_range));
            }
        }
    }
    all
}

/// A table whose row `r` holds `r`, so that a result tells which row was read.
fn counting(rows: usize) -> Table<f32> {
    Table::from_fn(rows, 1, |row, _| row as f32).unwrap()
}

fn check<T: Id>(ids: &[T], rows: usize) {
    let table = counting(rows);
    let mut workspaces = workspaces();
    for policy in policies() {
        let ids = Ids::from(ids).with_policy(policy);
        let want = reference::resolve(ids, rows);
        for workspace in &mut workspaces {
            let got = workspace.gather(&table, ids);
            match (&want, got) {
                (Ok(want), Ok(got)) => {
                    for (want, got) in want.iter().zip(got.as_slice()) {
                        let fill = if let OutOfRange::Fill(value) = policy.out_of_range { value } else { 0.0 };
                        let want = want.map_or(fill, |row| row as f32);
                        assert_eq!(want.to_bits(), got.to_bits(), "{policy:?} {ids:?}");
                    }
                }
                (Err(want), Err(got)) => assert_eq!(*want, got, "{policy:?}"),
                (want, got) => panic!("{policy:?} {ids:?}: {got:?} instead of {want:?}"),
            }
        }
    }
}

/// Each value alone, so that one error does not hide another, and a few together.
fn check_values<T: Id>(values: &[T]) {
    for rows in [0, 1, 4, 300] {
        for value in values {
            check(std::slice::from_ref(value), rows);
        }
        check(values, rows);
        check(&values[..values.len() / 2], rows);
    }
}

macro_rules! integers {
    ($($name:ident: $t:ty),*) => { $(
        #[test]
        fn $name() {
            let mut random = Random(1);
            let mut values: Vec<$t> = vec![0, 1, 2, 3, 4, <$t>::MAX, <$t>::MIN, <$t>::MAX - 1, <$t>::MIN + 1];
            values.extend([3u64, 4, 255, 256, 299, 300, 1 << 31, (1 << 31) - 1, 1 << 32, (1 << 32) + 1, 1 << 63].map(|x| x as $t));
            values.extend([1i64, 2, 4, 5, 300, 301, 1 << 31, (1 << 31) + 1].map(|x| x.wrapping_neg() as $t));
            values.extend((0..20).map(|_| random.next() as $t));
            check_values(&values);
        }
    )* };
}

integers!(i8_ids: i8, i16_ids: i16, i32_ids: i32, i64_ids: i64, u8_ids: u8, u16_ids: u16, u32_ids: u32, u64_ids: u64, usize_ids: usize);

#[test]
fn bool_ids() {
    check_values(&[false, true]);
}

macro_rules! floats {
    ($($name:ident: $t:ty, $from:expr;)*) => { $(
        #[test]
        fn $name() {
            let from = $from;
            let mut random = Random(2);
            let mut values: Vec<$t> = [
                0.0, -0.0, 0.5, -0.75, -1.0, -0.999, 1.0, 3.99, 4.0, 299.9, 300.0, -300.0, -301.0, f64::NAN, -f64::NAN, f64::INFINITY,
                f64::NEG_INFINITY, 2147483647.0, 2147483648.0, -2147483648.0, -2147483649.0, -2147483648.9, 4294967297.0, 1e-300, 5e-45, 1e18,
                9.223372036854775e18, 9.223372036854776e18, -9.223372036854776e18, -9.3e18, 1.8e19, 1e38, 1e39, -1e300,
            ]
            .map(from)
            .to_vec();
            values.extend((0..20).map(|_| from(f64::from(random.odd()))));
            check_values(&values);
        }
    )* };
}

floats! {
    f16_ids: f16, f16::from_f64;
    bf16_ids: bf16, bf16::from_f64;
    f32_ids: f32, |x: f64| x as f32;
    f64_ids: f64, |x: f64| x;
}

/// Enough ids that the pass is cut among threads; the first bad one is named, wherever it stands.
#[test]
fn the_first_bad_id_of_many_is_named() {
    let table = counting(1000);
    let n = 200_000;
    for bad in [0, 1, 32_767, 32_768, 131_072, n - 1] {
        let mut ids: Vec<i32> = (0..n).map(|k| (k % 1000) as i32).collect();
        ids[bad] = -1;
        ids[n - 1] = 1000;
        let value = IdValue::Int(if bad == n - 1 { 1000 } else { -1 });
        for mut workspace in workspaces() {
            let shape = [200, 1000];
            let error = workspace.gather(&table, Ids::new(&ids, &shape).unwrap()).unwrap_err();
            let position = vec![bad / 1000, bad % 1000];
            assert_eq!(error, Error::IdOutOfRange { position, value, rows: 1000, from_end: false });
        }
    }
}

/// Row numbers above 2^31 - 1, up to the most that a table can have. Rows of no values need no memory.
#[test]
fn rows_beyond_31_bits() {
    let rows = u32::MAX as usize;
    let values: [f32; 0] = [];
    let table = TableView::new(&values, rows, 0, 0).unwrap();
    let last = rows as i64 - 1;
    assert_eq!(gather(table, &[0i64, 1 << 31, last]).unwrap().shape(), [3, 0]);
    assert_eq!(gather(table, &[last as u32, 1 << 31]).unwrap().shape(), [2, 0]);
    assert_eq!(gather(table, &[last as f64]).unwrap().shape(), [1, 0]);
    let resolved = reference::resolve(Ids::from(&[last, 1 << 31]), rows).unwrap();
    assert_eq!(resolved, [Some(rows - 1), Some(1 << 31)]);
    let error = gather(table, &[last + 1]).unwrap_err();
    assert_eq!(error, Error::IdOutOfRange { position: vec![0], value: IdValue::Int(last + 1), rows, from_end: false });
    // The Keras call casts to int32: there the upper half of such a table cannot be reached.
    assert!(gather(table, Ids::from(&[1i64 << 31]).with_policy(IdPolicy::KERAS_CALL)).is_err());
    assert!(gather(table, Ids::from(&[1i64 << 31]).with_policy(IdPolicy::TF_KERAS2)).is_ok());
    let negative = [-1i64, -(rows as i64)];
    let from_end = Ids::from(&negative).with_policy(IdPolicy::KERAS3_NUMPY);
    assert_eq!(reference::resolve(from_end, rows).unwrap(), [Some(rows - 1), Some(0)]);
    assert!(gather(table, from_end).is_ok());
    assert!(matches!(TableView::new(&values, rows + 1, 0, 0), Err(Error::TooManyRows { .. })));
}

#[test]
fn shapes_of_ids() {
    let table = counting(10);
    assert_eq!(gather(&table, &3i64).unwrap().shape(), [1]);
    assert_eq!(gather(&table, &[[1u8, 2], [3, 4]]).unwrap().shape(), [2, 2, 1]);
    let many = [0usize; 24];
    assert_eq!(gather(&table, Ids::new(&many, &[2, 3, 4]).unwrap()).unwrap().shape(), [2, 3, 4, 1]);
    assert_eq!(gather(&table, Ids::new(&[0i8; 0], &[2, 0]).unwrap()).unwrap().shape(), [2, 0, 1]);
    assert_eq!(gather(&table, Ids::new(&[0i8; 0], &[0, usize::MAX]).unwrap()).unwrap().shape(), [0, usize::MAX, 1]);
    assert!(matches!(Ids::new(&many, &[5, 5]), Err(Error::ShapeMismatch { needed: 25, actual: 24, .. })));
    assert!(matches!(Ids::new(&many, &[usize::MAX, 2]), Err(Error::SizeOverflow { .. })));
}
