//! Every error is reached, names its facts, and has changed nothing.

mod common;

use common::{Random, workspaces};
use hotrow::text::hashing_trick;
use hotrow::{
    Buffer, Embedding, Error, IdPolicy, IdType, IdValue, Ids, Initializer, Level, Table, TableView, Workspace, bf16, gather,
};

/// Refused ids leave the output and the table as they were, on every level and thread count, also where the last id of many is bad.
#[test]
fn refused_calls_change_nothing() {
    let mut ids: Vec<f64> = (0..9000).map(|k| f64::from(k % 100)).collect();
    for (bad, want) in [
        (100.0, Error::IdOutOfRange { position: vec![8999], value: IdValue::Float(100.0), rows: 100, from_end: false }),
        (f64::NAN, Error::IdNotCastable { position: vec![8999], value: IdValue::Float(f64::NAN), dtype: IdType::F64 }),
    ] {
        ids[8999] = bad;
        for mut workspace in workspaces() {
            let mut table = Table::<bf16>::from_fn(100, 20, |row, _| bf16::from_f32(row as f32)).unwrap();
            let before = table.to_vec();
            let mut out = vec![3.5f32; 9000 * 20];
            assert_eq!(workspace.gather_into(&table, &ids, &mut out).unwrap_err(), want);
            assert!(out.iter().all(|&x| x == 3.5), "the output was written to");
            let source: Vec<f32> = Random(1).values(9000 * 20, false);
            assert_eq!(workspace.scatter_add(&mut table, &ids, &source, 1.0).unwrap_err(), want);
            assert_eq!(table.to_vec(), before, "the table was written to");
        }
    }
}

#[test]
fn id_type_refused() {
    let table = Table::<f32>::zeros(4, 2).unwrap();
    for (ids, dtype) in [(Ids::from(&[1u8]), IdType::U8), (Ids::from(&[1.0f32]), IdType::F32)] {
        let error = gather(&table, ids.with_policy(IdPolicy::TORCH)).unwrap_err();
        assert_eq!(error, Error::IdTypeRefused { dtype });
    }
    let message = Error::IdTypeRefused { dtype: IdType::U8 }.to_string();
    assert_eq!(message, "ids of type uint8 are refused: without a cast, ids must be int32 or int64");
}

#[test]
fn messages_name_value_position_and_range() {
    let table = Table::<f32>::zeros(4, 2).unwrap();
    let message = |ids: Ids<'_>| gather(&table, ids).unwrap_err().to_string();
    assert_eq!(
        message(Ids::from(&[[0, 1], [-2, 9]])),
        "id -2 at position [1, 0] is out of range: the table has 4 rows, so ids must be in 0..4"
    );
    assert_eq!(
        message(Ids::from(&[-5i8]).with_policy(IdPolicy::KERAS3_NUMPY)),
        "id -5 at position [0] is out of range: the table has 4 rows, so ids must be in -4..4"
    );
    assert_eq!(
        message(Ids::from(&f32::INFINITY)),
        "id inf (float32) at position [] cannot be cast to a row number: it must be finite and fit a signed 64-bit integer"
    );
    assert_eq!(
        message(Ids::from(&[u64::MAX])),
        "id 18446744073709551615 (uint64) at position [0] cannot be cast to a row number: it must be finite and fit a signed \
         64-bit integer"
    );
    let empty = Table::<f32>::zeros(0, 2).unwrap();
    assert_eq!(
        gather(&empty, &[true]).unwrap_err().to_string(),
        "id true at position [0] is out of range: the table has 0 rows, so ids must be in an empty range"
    );
}

#[test]
fn shapes_that_do_not_fit() {
    let mut table = Table::<f32>::from_fn(4, 2, |row, _| row as f32).unwrap();
    let before = table.to_vec();
    let mut short = [9.0f32; 5];
    let error = hotrow::gather_into(&table, &[[1, 2, 3]], &mut short).unwrap_err();
    assert_eq!(error, Error::ShapeMismatch { what: "output", expected: vec![1, 3, 2], needed: 6, actual: 5 });
    assert_eq!(short, [9.0; 5]);
    let error = hotrow::scatter_add(&mut table, &[1, 2], &[1.0f32; 3], 1.0).unwrap_err();
    assert_eq!(error, Error::ShapeMismatch { what: "source", expected: vec![2, 2], needed: 4, actual: 3 });
    assert_eq!(error.to_string(), "source: shape [2, 2] needs 4 values, but 3 were given");
    assert_eq!(table.to_vec(), before);
    assert!(matches!(Table::from_slice(&[0.0f32; 7], 4, 2), Err(Error::ShapeMismatch { what: "table", needed: 8, actual: 7, .. })));
    assert!(matches!(TableView::new(&[0.0f32; 7], 4, 2, 2), Err(Error::ShapeMismatch { what: "table view", needed: 8, .. })));
    assert!(matches!(TableView::new(&[0.0f32; 7], 4, 2, 1), Err(Error::StrideTooShort { stride: 1, dim: 2 })));
    let mut copy = [0.0f32; 2];
    let copied = hotrow::ceiling::stream_copy(&[1.0, 2.0, 3.0], &mut copy, &mut Workspace::new());
    assert!(matches!(copied, Err(Error::ShapeMismatch { what: "destination", needed: 3, actual: 2, .. })));

    let layer = Embedding::<f32>::new(4, 2).unwrap();
    let weights = layer.weights().unwrap().to_vec();
    let error = layer.set_weights(Table::zeros(2, 4).unwrap()).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { what: "weights", .. }));
    assert_eq!(layer.weights().unwrap().to_vec(), weights);
    let built = Embedding::<f32>::builder(4, 2).weights(Table::zeros(4, 3).unwrap()).build();
    assert!(matches!(built, Err(Error::ShapeMismatch { what: "weights", needed: 8, actual: 12, .. })));
}

#[test]
fn sizes_that_do_not_exist() {
    assert!(matches!(Table::<f32>::zeros(1 << 33, 1), Err(Error::TooManyRows { rows }) if rows == 1 << 33));
    assert!(matches!(Table::<f32>::zeros(1 << 31, 1 << 40), Err(Error::SizeOverflow { .. })));
    // 16 TiB to 4 EiB: within the address arithmetic, and not there.
    assert!(matches!(Table::<f32>::zeros(1 << 31, 1 << 28), Err(Error::OutOfMemory { bytes }) if bytes == 1 << 61));
    assert!(matches!(Table::<bf16>::uniform(u32::MAX as usize, 1 << 20, 0), Err(Error::OutOfMemory { .. })));
    assert!(matches!(Buffer::<f32>::zeros(1 << 60), Err(Error::OutOfMemory { .. })));

    // A result that cannot be: 2^20 ids of rows of 2^40 values each. Such a table is a view whose only row is never read.
    let nothing: [f32; 0] = [];
    let wide = TableView::new(&nothing, 0, 1 << 40, 1 << 40).unwrap();
    let ids = vec![0u8; 1 << 20];
    let ids = Ids::from(&ids).with_policy(IdPolicy::ZERO_FILL);
    assert!(matches!(gather(wide, ids), Err(Error::OutOfMemory { .. })));
    let wider = TableView::new(&nothing, 0, 1 << 60, 1 << 60).unwrap();
    assert!(matches!(gather(wider, ids), Err(Error::SizeOverflow { .. })));
}

/// More ids than a 32-bit position can name: booleans, so that the test needs 4 GiB of zero pages that are never touched.
#[test]
fn too_many_ids() {
    let table = Table::<f32>::zeros(2, 0).unwrap();
    let ids = vec![false; u32::MAX as usize + 1];
    let error = gather(&table, &ids).unwrap_err();
    assert_eq!(error, Error::TooManyIds { ids: u32::MAX as usize + 1 });
}

#[test]
fn names_and_levels() {
    assert!(matches!("avx1024".parse::<Level>(), Err(Error::UnknownName { what: "SIMD level", .. })));
    let error = "f64".parse::<hotrow::DType>().unwrap_err();
    assert_eq!(error.to_string(), "element type \"f64\" is not known: expected one of f32, f16, bf16");
    for level in [Level::Portable, Level::Avx2, Level::Avx512] {
        assert_eq!(level.to_string().parse::<Level>(), Ok(level));
        let workspace = Workspace::new().with_level(level);
        if Level::available().contains(&level) {
            assert_eq!(workspace.unwrap().level(), level);
        } else {
            assert_eq!(workspace.unwrap_err(), Error::LevelUnavailable { asked: level, best: Level::best() });
        }
    }
}

#[test]
fn initializers_that_cannot_be_drawn_from() {
    for initializer in [
        Initializer::Uniform { low: 1.0, high: 0.0 },
        Initializer::Uniform { low: f32::NAN, high: 0.0 },
        Initializer::Uniform { low: f32::MIN, high: f32::MAX },
        Initializer::Normal { mean: 0.0, std: -1.0 },
        Initializer::Normal { mean: f32::INFINITY, std: 1.0 },
    ] {
        let error = Table::<f32>::init(2, 2, initializer, 0).unwrap_err();
        assert_eq!(error, Error::InvalidInitializer { initializer: format!("{initializer:?}") });
    }
}

#[test]
fn vocabularies_without_words() {
    for n in [0, 1] {
        assert_eq!(hashing_trick("a", n).unwrap_err(), Error::InvalidVocabulary { n });
    }
    assert_eq!(hashing_trick("a", 2).unwrap(), [1]);
}
