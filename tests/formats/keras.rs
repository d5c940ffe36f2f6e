//! The weights of Keras. The files in `fixtures/keras_weights` were written by h5py 3.16 with the layout of `model.save_weights`:
//! `create_group("layers/<name>/vars").create_dataset("0", data=…)`, where value `k` is `k / 4 - 1`. `one` has a layer `embedding` of 4 × 3 f32;
//! `two` has `users` of 3 × 2 f32, `items` of 4 × 3 f16, `dense` with a kernel and a bias, and a variable of an optimizer.

use std::path::PathBuf;

use hotrow::store::{Block, FileError, Format, RowOptions, Values, open_rows};

use super::read_with;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keras_weights").join(name)
}

fn options(table: Option<&str>) -> RowOptions {
    RowOptions { format: Some(Format::KerasH5), table: table.map(str::to_owned), ..RowOptions::default() }
}

fn quarters(count: usize) -> Vec<f32> {
    (0..count).map(|k| k as f32 / 4.0 - 1.0).collect()
}

#[test]
fn the_only_embedding_is_read() {
    let bytes = std::fs::read(path("one.weights.h5")).unwrap();
    assert_eq!(Format::of("a.weights.h5".as_ref(), &bytes[..512]), Some(Format::KerasH5));
    let table = read_with(&bytes, &options(None)).unwrap();
    assert_eq!((table.dim, table.values, table.words), (3, Values::F32(quarters(12)), None));
    let mut rows = open_rows(&path("one.weights.h5"), &RowOptions::default()).unwrap();
    let mut block = Block::new(rows.info().dtype);
    assert_eq!((rows.read(&mut block), block.values), (Ok(4), Values::F32(quarters(12))));
}

#[test]
fn an_embedding_is_chosen_by_the_name_of_its_layer() {
    let bytes = std::fs::read(path("two.weights.h5")).unwrap();
    for name in ["users", "layers/users", "layers/users/vars/0"] {
        assert_eq!(read_with(&bytes, &options(Some(name))).unwrap().values, Values::F32(quarters(6)), "{name}");
    }
    let items = quarters(12).into_iter().map(half::f16::from_f32).collect();
    assert_eq!(read_with(&bytes, &options(Some("items"))).unwrap().values, Values::F16(items));
    let refusal = |table| read_with(&bytes, &options(table)).unwrap_err().to_string();
    let all = "`layers/dense`, `layers/items`, `layers/users`";
    assert_eq!(refusal(None), format!("file: several layers could be the embedding, so choose one by its name: {all}"));
    assert_eq!(refusal(Some("films")), format!("file: there is no layer `films`; there are {all}"));
}

/// The reader of HDF5 is not ours. A file that is cut off or changed may be refused or read, but is no reason to panic.
#[test]
fn damaged_files_are_refused_or_read() {
    let whole = std::fs::read(path("one.weights.h5")).unwrap();
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        for bytes in [&changed[..], &whole[..at]] {
            match read_with(bytes, &options(None)) {
                Err(FileError::Malformed { .. } | FileError::Unsupported { .. }) => refused += 1,
                Err(other) => panic!("byte {at}: {other}"),
                Ok(_) => {}
            }
        }
    }
    assert!(refused > whole.len() / 2, "{refused}");
}
