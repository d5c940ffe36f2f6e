//! The mission's examples, word for word.

use hotrow::{Embedding, Ids, SharedTable, Table, text};

/// Three words, four features: the sentence `[0, 2, 1, 2]` picks rows of the weight matrix.
#[test]
fn a_sentence_of_a_3_by_4_table() {
    let weights = [[0.1f32, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], [0.9, 1.0, 1.1, 1.2]];
    let table = Table::from_slice(weights.as_flattened(), 3, 4).unwrap();
    let layer = Embedding::builder(3, 4).weights(table).build().unwrap();
    let output = layer.call(&[0, 2, 1, 2]).unwrap();
    assert_eq!(output.shape(), [4, 4]);
    assert_eq!(output.as_slice(), [weights[0], weights[2], weights[1], weights[2]].as_flattened());
}

/// `arange(40)` as 10 × 4, symbol 3; then the notebook's `Flatten`, which drops the sequence dimension.
#[test]
fn symbol_3_of_a_10_by_4_table() {
    let weights = Table::<f32>::from_fn(10, 4, |row, column| (4 * row + column) as f32).unwrap();
    let layer = Embedding::<f32>::new(10, 4).unwrap();
    layer.set_weights(weights).unwrap();
    assert_eq!(layer.call(&[3]).unwrap().as_slice(), [12.0, 13.0, 14.0, 15.0]);

    let batch = [[0], [3]];
    assert_eq!(layer.compute_output_shape(&[2, 1]), [2, 1, 4]);
    let output = layer.call(&batch).unwrap();
    assert_eq!(output.shape(), [2, 1, 4]);
    let flat = output.flatten();
    assert_eq!(flat.shape(), [2, 4]);
    assert_eq!(flat.as_slice(), [0.0, 1.0, 2.0, 3.0, 12.0, 13.0, 14.0, 15.0]);
    assert_eq!(layer.call(&[[1, 2], [3, 4]]).unwrap().flatten().shape(), [2, 8]);
    assert_eq!(layer.call(&[1, 2]).unwrap().flatten().shape(), [2, 4]);
    assert_eq!(layer.call(&7).unwrap().flatten().shape(), [4]);
}

/// Two layers, one table: each sees what the other is taught.
#[test]
fn two_layers_share_a_table() {
    let shared = SharedTable::new(Table::<f32>::uniform(10, 4, 1).unwrap());
    let first = Embedding::with_table(shared.clone());
    let second = Embedding::with_table(shared.clone());
    assert!(first.table().same(second.table()));
    let before = second.call(&[3]).unwrap().to_vec();
    first.apply_gradient(&[3, 3], &[1.0f32; 8], 0.5).unwrap();
    let after = second.call(&[3]).unwrap().to_vec();
    let want: Vec<f32> = before.iter().map(|x| x - 0.5 - 0.5).collect();
    assert_eq!(after, want);
    second.set_weights(Table::zeros(10, 4).unwrap()).unwrap();
    assert_eq!(first.weights().unwrap().to_vec(), [0.0; 40]);
}

/// The mask is taken on the ids as given: 0.5 is cast to row 0, and is not padding.
#[test]
fn the_mask_is_on_the_ids_as_given() {
    let layer = Embedding::<f32>::builder(10, 2).mask_zero(true).build().unwrap();
    assert_eq!(layer.compute_mask(&[0.0f32, 0.5, -0.0, 3.0]), Some(vec![false, true, false, true]));
    assert_eq!(layer.compute_mask(Ids::new(&[true, false], &[2, 1]).unwrap()), Some(vec![true, false]));
    assert_eq!(Embedding::<f32>::new(10, 2).unwrap().compute_mask(&[0, 1]), None);
}

/// Text to ids to vectors.
#[test]
fn a_text_is_embedded() {
    let ids = text::hashing_trick("The cat sat on the mat.", 50).unwrap();
    assert_eq!(ids, [43, 32, 29, 3, 43, 29]);
    let layer = Embedding::<f32>::new(50, 8).unwrap();
    let rows = layer.call(&ids).unwrap();
    assert_eq!(rows.shape(), [6, 8]);
    assert_eq!(rows.row(0), rows.row(4));
}
