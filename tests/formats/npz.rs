//! NumPy's archives of arrays.

use std::io::{Cursor, Write};

use hotrow::store::{Format, RowOptions, Values};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{Table, read_with, table, write};

const FORMAT: Format = Format::Npz;

fn read(bytes: impl AsRef<[u8]>) -> hotrow::store::FileResult<Table> {
    super::read(FORMAT, bytes)
}

fn refusal(bytes: impl AsRef<[u8]>) -> String {
    super::refusal(FORMAT, bytes)
}

fn array(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}}}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn floats(shape: &str, values: &[f32]) -> Vec<u8> {
    array("<f4", false, shape, &values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
}

/// Texts of so many characters, low byte first.
fn texts(chars: usize, words: &[&str]) -> Vec<u8> {
    let mut data = Vec::new();
    for word in words {
        let mut text: Vec<u8> = word.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        text.resize(chars * 4, 0);
        data.extend(text);
    }
    array(&format!("<U{chars}"), false, &format!("({},)", words.len()), &data)
}

fn archive(method: CompressionMethod, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn stored(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    archive(CompressionMethod::Stored, files)
}

#[test]
fn the_only_table_and_its_words_are_read() {
    let files = [
        ("readme.txt", b"not an array".to_vec()),
        ("counts.npy", floats("(2,)", &[9.0, 9.0])),
        ("names.npy", texts(4, &["cat", "döß😀"])),
        ("vectors.npy", floats("(2, 2)", &[1.0, 2.0, 3.0, 4.0])),
    ];
    let expected = table(&["cat", "döß😀"], &[1.0, 2.0, 3.0, 4.0]);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        assert_eq!(read(archive(method, &files)), Ok(expected.clone()), "{method:?}");
    }
    let bytes = array("|S4", false, "(2,)", b"cat\0d\xc3\xb6g");
    let table = read(stored(&[("words.npy", bytes), ("v.npy", floats("(2, 1)", &[1.0, 2.0]))])).unwrap();
    assert_eq!(table.words.unwrap(), ["cat", "dög"]);
}

#[test]
fn a_table_is_chosen_by_its_name() {
    let files = stored(&[("a.npy", floats("(1, 1)", &[1.0])), ("b.npy", floats("(1, 2)", &[2.0, 3.0]))]);
    assert_eq!(refusal(&files), "several arrays could be the table, so choose one by its name: `a`, `b`");
    let named = |name: &str| {
        let options = RowOptions { format: Some(FORMAT), table: Some(name.into()), ..RowOptions::default() };
        read_with(&files, &options)
    };
    assert_eq!(named("b").unwrap().values, Values::F32(vec![2.0, 3.0]));
    assert_eq!(named("c").unwrap_err().to_string(), "file: there is no array `c`; there are `a`, `b`");
    let no_table = stored(&[("a.npy", floats("(1,)", &[1.0])), ("b.npy", texts(1, &["x"]))]);
    assert_eq!(refusal(no_table), "there is no array of numbers with two dimensions; there are `a`, `b`");
    assert_eq!(refusal(stored(&[("x.txt", vec![])])), "there is no array of numbers with two dimensions; there are no arrays");
}

#[test]
fn words_that_could_be_several_arrays_are_not_guessed() {
    let files = |second| stored(&[("a.npy", texts(1, &["x"])), (second, texts(1, &["y"])), ("v.npy", floats("(1, 1)", &[1.0]))]);
    assert_eq!(read(files("words.npy")).unwrap().words.unwrap(), ["y"]);
    let unclear = read(files("b.npy")).unwrap();
    assert_eq!((unclear.words, unclear.notes.len()), (None, 1));
    assert_eq!(unclear.notes[0], "the arrays `a`, `b` could all be the words of the rows, so none of them is taken");
    // As many as there are rows.
    assert_eq!(read(stored(&[("words.npy", texts(1, &["x", "y"])), ("v.npy", floats("(1, 1)", &[1.0]))])).unwrap().words, None);
}

#[test]
fn columns_are_turned_into_rows() {
    let data: Vec<u8> = [1.0f32, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let files = [("v.npy", array("<f4", true, "(2, 3)", &data)), ("words.npy", texts(1, &["a", "b"]))];
    let expected = table(&["a", "b"], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(read(stored(&files)), Ok(expected.clone()));
    assert_eq!(read(archive(CompressionMethod::Deflated, &files)), Ok(expected));
}

#[test]
fn pickled_objects_are_never_run() {
    let pickled = array("|O", false, "(1, 1)", b"\x80\x04.");
    let error = refusal(stored(&[("v.npy", pickled.clone())]));
    assert!(error.starts_with("v.npy: its values are pickled Python objects, which are programs and are never run"), "{error}");
    // Beside a table they do not matter.
    assert!(read(stored(&[("words.npy", pickled), ("v.npy", floats("(1, 1)", &[1.0]))])).is_ok());
}

#[test]
fn damage_is_seen() {
    let whole = stored(&[("v.npy", floats("(2, 2)", &[1.0, 2.0, 3.0, 4.0]))]);
    let at = whole.windows(4).position(|x| x == 2f32.to_le_bytes()).unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    let error = refusal(&damaged);
    assert!(error.starts_with("`v.npy` is damaged: its checksum is "), "{error}");
    for end in 0..whole.len() {
        refusal(&whole[..end]);
    }
    assert!(refusal(b"PK\x03\x04").contains("the zip archive is damaged"));
}

/// A gigabyte of zeros packs into a megabyte. It is read no further than its header says.
#[test]
fn more_than_the_header_says_is_refused() {
    let long = [floats("(2, 2)", &[1.0; 4]), vec![0; 1 << 20]].concat();
    let error = refusal(archive(CompressionMethod::Deflated, &[("v.npy", long)]));
    assert!(error.contains("values of the shape (2, 2) take 16 bytes, but 1048592 follow the header"), "{error}");
    let claims = refusal(stored(&[("v.npy", floats("(1152921504606846976, 1)", &[]))]));
    assert!(claims.contains("take 4611686018427387904 bytes, but 0 follow the header"), "{claims}");
    let words = array("<U4611686018427387903", false, "(1,)", b"");
    assert!(
        refusal(stored(&[("words.npy", words), ("v.npy", floats("(1, 1)", &[1.0]))]))
            .contains("words of more than 65536 characters")
    );
}

#[test]
fn what_is_no_word_is_refused() {
    let with_words = |words| refusal(stored(&[("words.npy", words), ("v.npy", floats("(1, 1)", &[1.0]))]));
    assert_eq!(
        with_words(array("<U1", false, "(1,)", &[0, 0xd8, 0, 0])),
        "words.npy: row 0: a character of the word is none in Unicode"
    );
    assert_eq!(with_words(array("|S1", false, "(1,)", b"\xff")), "words.npy: row 0: the word is not UTF-8");
    assert!(with_words(array("<U1", false, "(1,)", b"")).contains("does not have the length that its header says"));
}

#[test]
fn archives_are_as_numpy_writes_them() {
    let bytes = write(FORMAT, &table(&["a", "bc"], &[1.0, 2.0]), false, 1).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(&bytes)).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names, ["embeddings.npy", "words.npy"]);
    let mut words = Vec::new();
    std::io::copy(&mut archive.by_name("words.npy").unwrap(), &mut words).unwrap();
    assert!(words[10..].starts_with(b"{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }"));
    assert_eq!(words[128..], *b"a\0\0\0\0\0\0\0b\0\0\0c\0\0\0");
    let error = write(FORMAT, &table(&["a\0"], &[1.0]), false, 1).unwrap_err().to_string();
    assert_eq!(error, "file: row 0: the word `a\u{fffd}` ends in a zero byte, which this format cannot hold");
}
