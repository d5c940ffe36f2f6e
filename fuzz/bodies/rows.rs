//! The readers of embedding files take any bytes without a panic, and in memory that is bounded by the file's length. What they read is
//! consistent, and can be written and read again; what they refuse, they refuse with a message that a terminal can show.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use std::io::Cursor;

use hotrow::DType;
use hotrow::store::{Block, FileError, FileResult, Format, NewRows, Place, RowOptions, Values, read_rows, write_rows};

use super::peak::peak;

/// A reader may hold so many bytes, and [`EACH`] for every byte of the file. A block has four million bytes and is doubled as it grows.
const ALWAYS: usize = 24 << 20;
const EACH: usize = 64;

/// A file of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    pub dim: usize,
    pub values: Values,
    pub words: Option<Vec<String>>,
}

/// The file is an array.
pub fn check_npy(bytes: &[u8]) {
    check(Format::Npy, false, bytes);
}

/// The file is an archive of arrays.
pub fn check_npz(bytes: &[u8]) {
    check(Format::Npz, false, bytes);
}

/// The first byte chooses the format, by a capital letter for repairing words that are not UTF-8; the others are the file.
pub fn check_word2vec(bytes: &[u8]) {
    let Some((&choice, file)) = bytes.split_first() else { return };
    let format = match choice.to_ascii_lowercase() {
        b'b' => Format::Word2vecBinary,
        b'g' => Format::Glove,
        b'v' => Format::FastText,
        _ => Format::Word2vecText,
    };
    check(format, choice.is_ascii_uppercase(), file);
}

/// The first byte chooses commas or, by a `t`, tabs, and by a capital letter that words are repaired; the others are the file.
pub fn check_csv(bytes: &[u8]) {
    let Some((&choice, file)) = bytes.split_first() else { return };
    let format = if choice.eq_ignore_ascii_case(&b't') { Format::Tsv } else { Format::Csv };
    check(format, choice.is_ascii_uppercase(), file);
}

fn check(format: Format, lossy: bool, file: &[u8]) {
    let (read, held) = peak(|| count(format, lossy, file));
    assert!(held <= ALWAYS + EACH * file.len(), "{held} bytes were held to read {} bytes of {format}", file.len());
    match read {
        Ok(rows) => {
            let table = read_all(format, lossy, file).expect("what was read once is read again");
            assert_eq!(table.values.len() / table.dim, rows);
            assert_rereads(format, &table);
        }
        Err(error) => assert_is_shown(&error, file),
    }
}

/// Reads a file and keeps nothing; returns the number of rows.
fn count(format: Format, lossy: bool, file: &[u8]) -> FileResult<usize> {
    let mut rows = 0;
    each_block(format, lossy, file, |block, dim| rows += block.values.len() / dim)?;
    Ok(rows)
}

/// Reads a file whole.
pub fn read_all(format: Format, lossy: bool, file: &[u8]) -> FileResult<Rows> {
    let (mut values, mut words, mut dim) = (None, Vec::new(), 0);
    let named = each_block(format, lossy, file, |block, columns| {
        dim = columns;
        words.append(&mut block.words);
        match (&mut values, &block.values) {
            (None, first) => values = Some(first.clone()),
            (Some(Values::F32(all)), Values::F32(more)) => all.extend(more),
            (Some(Values::F16(all)), Values::F16(more)) => all.extend(more),
            (Some(Values::BF16(all)), Values::BF16(more)) => all.extend(more),
            _ => panic!("the element changes"),
        }
    })?;
    Ok(Rows { dim, values: values.expect("a last block"), words: named.then_some(words) })
}

/// Checks and hands over every block, the empty one at the end too. Returns whether rows have words.
fn each_block(format: Format, lossy: bool, file: &[u8], mut take: impl FnMut(&mut Block, usize)) -> FileResult<bool> {
    let options = RowOptions { format: Some(format), table: None, lossy };
    let mut rows = read_rows(Cursor::new(file), "file", &options)?;
    let info = rows.info().clone();
    assert!(info.dim > 0);
    let mut block = Block::new(DType::BF16);
    let mut all = 0;
    loop {
        let count = rows.read(&mut block)?;
        assert_eq!(block.values.len(), count * info.dim);
        assert_eq!(block.values.dtype(), info.dtype);
        assert_eq!(block.words.len(), if info.named { count } else { 0 });
        all += count as u64;
        take(&mut block, info.dim);
        if count == 0 {
            assert!(info.rows.is_none_or(|rows| all <= rows), "{all} rows of {:?}", info.rows);
            assert!(rows.progress().is_none_or(|part| (0.0..=1.0).contains(&part)), "{:?}", rows.progress());
            return Ok(info.named);
        }
    }
}

/// Written in its own format and in that of NumPy, it is the same; or the format cannot hold a word of it.
fn assert_rereads(format: Format, table: &Rows) {
    for format in [format, Format::Npz] {
        let mut given = table.clone();
        if !format.holds_words() {
            given.words = None;
        }
        match write(format, &given) {
            Ok(bytes) => assert_same(&read_all(format, false, &bytes).expect("what was written can be read"), &given),
            Err(error) => {
                let error = error.to_string();
                let empty = given.values.is_empty() && error.contains("a table without rows");
                assert!(empty || given.words.is_some() && error.contains("the word `"), "{error}");
            }
        }
    }
}

fn write(format: Format, table: &Rows) -> FileResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let new = NewRows { dim: table.dim, rows: None, dtype: table.values.dtype(), named: table.words.is_some(), table: None };
    let mut writer = write_rows(&mut bytes, "file", format, &new)?;
    writer.write(&Block { values: table.values.clone(), words: table.words.clone().unwrap_or_default() })?;
    writer.finish()?;
    Ok(bytes)
}

/// The same words and the same bits, but for the payloads of NaNs, which text does not have.
pub fn assert_same(left: &Rows, right: &Rows) {
    fn bits(values: &Values) -> Vec<u32> {
        let Values::F32(values) = values.convert(DType::F32) else { panic!("converted to f32") };
        values.into_iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
    }
    assert_eq!((left.dim, &left.words), (right.dim, &right.words));
    assert_eq!(bits(&left.values), bits(&right.values));
}

/// The error is short, and names a place that the file has.
pub fn assert_is_shown(error: &FileError, file: &[u8]) {
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "control characters: {message:?}");
    assert!(message.len() < 2000 && message.starts_with("file: "), "{} bytes: {message}", message.len());
    let FileError::Malformed { place, .. } = error else { return };
    match *place {
        // A place inside of an array may be further than the archive that it is packed into is long.
        Place::Byte(at) => assert!(at <= file.len() as u64 || message.contains(".npy: "), "{message}"),
        Place::Line { line, column } => {
            // A carriage return ends a line of CSV, too.
            let lines = file.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64 + 1;
            assert!((1..=lines + 1).contains(&line) && (1..=file.len() as u64 + 1).contains(&column), "{message}");
        }
        _ => {}
    }
}
