//! Which rows an optimizer says that its steps have changed.

use hotrow::{
    Bags, EmbeddingBagCollection, EmbeddingBagConfig, Error, Gradient, IdPolicy, Ids, KeyedJagged, Optimizer, Pooling, RowSet,
    RowWiseAdagrad, Rule, Sgd, SparseGrad, Table, Workspace,
};

/// Ids that are no rows name none.
const FILL: IdPolicy = IdPolicy::ZERO_FILL;

fn tracking(rule: impl Into<Rule>, rows: usize, dim: usize) -> Optimizer {
    let mut optimizer = Optimizer::new(rule, rows, dim).unwrap();
    optimizer.track_rows().unwrap();
    optimizer
}

fn touched(optimizer: &Optimizer) -> Vec<u32> {
    optimizer.touched().unwrap().iter().collect()
}

#[test]
fn steps_mark_the_rows_that_they_change() {
    let rule = Sgd { lr: 0.5, ..Sgd::default() };
    for whole in [false, true] {
        // A finite check takes the way by the whole gradient.
        let mut optimizer = tracking(rule, 300, 2).with_finite_check(whole);
        let mut table = Table::<f32>::zeros(300, 2).unwrap();
        assert!(touched(&optimizer).is_empty());

        optimizer.step(&mut table, Gradient::of_gather(&[299i64, 3, 299], &[1.0f32; 6])).unwrap();
        assert_eq!(touched(&optimizer), [3, 299]);
        let bags = Bags::from_offsets(&[64i64, 65, 64], &[0i64, 1]).with_padding_idx(65);
        optimizer.step(&mut table, Gradient::of_bags(&bags, Pooling::Sum, &[1.0f32; 4])).unwrap();
        assert_eq!(touched(&optimizer), [3, 64, 299]);
        let summed = SparseGrad::from_parts(vec![0, 7], &[1.0; 4], 300, 2).unwrap();
        optimizer.step(&mut table, Gradient::of_sparse(&summed)).unwrap();
        assert_eq!(touched(&optimizer), [0, 3, 7, 64, 299]);
        let batch = Workspace::new().batch_of_ids(&[100, 101], 300).unwrap();
        optimizer.step(&mut table, Gradient::of_batch(&batch, Pooling::Sum, &[1.0f32; 4])).unwrap();
        assert_eq!(touched(&optimizer), [0, 3, 7, 64, 100, 101, 299]);
        // Exactly the rows that are not zero any more.
        let moved: Vec<u32> = (0..300).filter(|&row| table.row(row as usize).unwrap() != [0.0, 0.0]).collect();
        assert_eq!(touched(&optimizer), moved);

        // A gradient of zero can still move a row (momentum, decay), so it counts; an id that names no row does not.
        let filled = Ids::from(&[5i64, -9, 400]).with_policy(FILL);
        optimizer.step(&mut table, Gradient::of_gather(filled, &[0.0f32; 6])).unwrap();
        assert!(optimizer.touched().unwrap().contains(5));
        assert_eq!(optimizer.touched().unwrap().count(), moved.len() + 1);
    }
}

#[test]
fn a_step_that_is_refused_marks_nothing() {
    let mut optimizer = tracking(Sgd::default(), 10, 1).with_finite_check(true);
    let mut table = Table::<f32>::zeros(10, 1).unwrap();
    assert!(optimizer.step(&mut table, Gradient::of_gather(&[1, 2], &[1.0, f32::NAN])).is_err());
    assert!(optimizer.step(&mut table, Gradient::of_gather(&[1, 10], &[1.0f32, 2.0])).is_err());
    assert!(optimizer.step(&mut table, Gradient::of_gather(&[1], &[1.0f32, 2.0])).is_err());
    let mut other = Table::<f32>::zeros(9, 1).unwrap();
    assert!(optimizer.step(&mut other, Gradient::of_gather(&[1], &[1.0f32])).is_err());
    assert!(touched(&optimizer).is_empty());
    optimizer.step(&mut table, Gradient::of_gather(&[0i64; 0], &[0.0f32; 0])).unwrap();
    assert!(touched(&optimizer).is_empty());
}

#[test]
fn every_table_of_a_collection_has_its_own_rows() {
    for finite in [false, true] {
        let configs =
            vec![EmbeddingBagConfig::new("users", 5, 2, ["user"]), EmbeddingBagConfig::new("items", 1000, 3, ["seen", "liked"])];
        let mut collection = EmbeddingBagCollection::new(configs, 1).unwrap();
        let rule = RowWiseAdagrad::default();
        collection.set_optimizer("users", tracking(rule, 5, 2).with_finite_check(finite)).unwrap();
        collection.set_optimizer("items", tracking(rule, 1000, 3)).unwrap();
        let input = KeyedJagged::from_lengths(&["user", "seen", "liked"], &[4i64, 2, 0, 999, 999, 5], &[1i64, 1, 2, 0, 1, 1]);
        let output = collection.forward(&input).unwrap();
        let gradient = vec![1.0; output.values().as_slice().len()];
        collection.backward(&gradient).unwrap();
        let rows = |collection: &mut EmbeddingBagCollection, name| touched(collection.optimizer_mut(name).unwrap().unwrap());
        assert_eq!(rows(&mut collection, "users"), [2, 4]);
        assert_eq!(rows(&mut collection, "items"), [0, 5, 999]);
    }
}

#[test]
fn tracked_rows_are_taken_cleared_and_grown() {
    let mut optimizer = Optimizer::new(Sgd::default(), 3, 1).unwrap();
    assert_eq!(optimizer.take_touched().unwrap(), None);
    optimizer.clear_touched();
    optimizer.track_rows().unwrap();
    let mut table = Table::<f32>::zeros(3, 1).unwrap();
    optimizer.step(&mut table, Gradient::of_gather(&[1], &[1.0f32])).unwrap();
    assert_eq!(optimizer.take_touched().unwrap().unwrap().iter().collect::<Vec<_>>(), [1]);
    assert!(touched(&optimizer).is_empty());
    // Rows that were not there before have changed.
    optimizer.grow(70).unwrap();
    assert_eq!(touched(&optimizer), (3..70).collect::<Vec<_>>());
    optimizer.clear_touched();
    assert!(touched(&optimizer).is_empty());
}

#[test]
fn ids_and_batches_name_rows() {
    let mut set = RowSet::new(100).unwrap();
    set.mark_ids(Ids::from(&[3i64, 300, -1]).with_policy(FILL)).unwrap();
    assert_eq!(set.iter().collect::<Vec<_>>(), [3]);
    assert!(matches!(set.mark_ids(&[4i64, 100]), Err(Error::IdOutOfRange { .. })));
    let batch = Workspace::new().batch(&Bags::from_matrix(&[[9, 8], [8, 99]]).unwrap(), 100).unwrap();
    set.mark_batch(&batch).unwrap();
    assert_eq!(set.iter().collect::<Vec<_>>(), [3, 8, 9, 99]);
    assert!(matches!(RowSet::new(99).unwrap().mark_batch(&batch), Err(Error::BatchMismatch { .. })));
}
