//! Embedding files of other tools: what is read, what is refused and where, and that what is written reads back to the same bits.

mod csv;
#[cfg(feature = "keras-h5")]
mod keras;
mod npy;
mod npz;
mod real;
mod round_trip;
mod text;
mod word2vec;

use std::io::Cursor;

use hotrow::DType;
use hotrow::store::{Block, FileResult, Format, NewRows, RowOptions, Values, WriteRows, create_rows, read_rows, write_rows};

/// A whole file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) dim: usize,
    pub(crate) values: Values,
    /// `None` where rows have no words.
    pub(crate) words: Option<Vec<String>>,
    pub(crate) notes: Vec<String>,
}

impl Table {
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.dim
    }
}

/// Appends values of the same element.
fn extend(to: &mut Values, from: &Values) {
    match (to, from) {
        (Values::F32(to), Values::F32(from)) => to.extend(from),
        (Values::F16(to), Values::F16(from)) => to.extend(from),
        (Values::BF16(to), Values::BF16(from)) => to.extend(from),
        (to, from) => panic!("{:?} in a table of {:?}", from.dtype(), to.dtype()),
    }
}

/// Reads a file to its end, and checks what the reader says of it on the way.
pub(crate) fn read_with(bytes: &[u8], options: &RowOptions) -> FileResult<Table> {
    let mut rows = read_rows(Cursor::new(bytes), "file", options)?;
    let info = rows.info().clone();
    let mut values = Values::new(info.dtype);
    let mut words = Vec::new();
    let mut block = Block::new(DType::F16);
    loop {
        let count = rows.read(&mut block)?;
        assert_eq!(block.values.len(), count * info.dim);
        assert_eq!(block.words.len(), if info.named { count } else { 0 });
        if count == 0 {
            break;
        }
        extend(&mut values, &block.values);
        words.append(&mut block.words);
    }
    assert_eq!(rows.read(&mut block), Ok(0), "the end stays the end");
    assert!(rows.progress().is_none_or(|part| part == 1.0), "{:?}", rows.progress());
    let table = Table { dim: info.dim, values, words: info.named.then_some(words), notes: rows.info().notes.clone() };
    assert!(info.rows.is_none_or(|rows| rows >= table.rows() as u64));
    Ok(table)
}

pub(crate) fn read(format: Format, bytes: impl AsRef<[u8]>) -> FileResult<Table> {
    read_with(bytes.as_ref(), &RowOptions { format: Some(format), ..RowOptions::default() })
}

/// Why a file is refused, without its name.
#[track_caller]
pub(crate) fn refusal(format: Format, bytes: impl AsRef<[u8]>) -> String {
    let error = read(format, bytes).expect_err("a refusal").to_string();
    assert!(!error.contains(char::is_control), "{error:?}");
    error.strip_prefix("file: ").expect("the file's name").to_owned()
}

/// Writes a table in blocks of so many rows.
pub(crate) fn write(format: Format, table: &Table, known: bool, block_rows: usize) -> FileResult<Vec<u8>> {
    let rows = known.then_some(table.rows() as u64);
    let new = NewRows { dim: table.dim, rows, dtype: table.values.dtype(), named: table.words.is_some(), table: None };
    // Safetensors are written on disk only.
    if format == Format::Safetensors {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        put(create_rows(&path, format, &new)?, table, block_rows)?;
        return Ok(std::fs::read(path).unwrap());
    }
    let mut bytes = Vec::new();
    put(write_rows(&mut bytes, "file", format, &new)?, table, block_rows)?;
    Ok(bytes)
}

fn put(mut writer: Box<dyn WriteRows + '_>, table: &Table, block_rows: usize) -> FileResult<()> {
    for start in (0..table.rows()).step_by(block_rows.max(1)) {
        let end = table.rows().min(start + block_rows.max(1));
        let range = start * table.dim..end * table.dim;
        let values = match &table.values {
            Values::F32(values) => Values::F32(values[range].to_vec()),
            Values::F16(values) => Values::F16(values[range].to_vec()),
            Values::BF16(values) => Values::BF16(values[range].to_vec()),
            other => panic!("{other:?}"),
        };
        let words = table.words.as_ref().map_or(Vec::new(), |words| words[start..end].to_vec());
        writer.write(&Block { values, words })?;
    }
    assert_eq!(writer.finish()?, table.rows() as u64);
    Ok(())
}

/// A table of f32 rows with words.
pub(crate) fn table(words: &[&str], values: &[f32]) -> Table {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Table { dim: values.len() / words.len(), values: Values::F32(values.to_vec()), words: Some(words), notes: vec![] }
}
