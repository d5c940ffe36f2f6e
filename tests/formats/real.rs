//! Files that other tools made. `HOTROW_DATA` names the folder that has them; they are not part of the repository.

use std::path::PathBuf;

use hotrow::store::{Format, RowOptions, Values};

use super::{Table, read, read_with, write};

fn data(name: &str) -> Option<Vec<u8>> {
    let Some(folder) = std::env::var_os("HOTROW_DATA") else {
        println!("HOTROW_DATA is not set: skipped {name}");
        return None;
    };
    let path = PathBuf::from(folder).join(name);
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// The table of a file whose format is found by its name, which must be this one.
fn open(name: &str, format: Format) -> Option<Table> {
    let bytes = data(name)?;
    assert_eq!(Format::of(name.as_ref(), &bytes[..bytes.len().min(4096)]), Some(format), "{name}");
    Some(read(format, bytes).unwrap())
}

#[test]
fn real_files_are_the_same_after_every_format() {
    for (name, format, rows, dim) in [
        ("lee_fasttext.vec", Format::FastText, 1762, 10),
        ("euclidean_vectors.bin", Format::Word2vecBinary, 2747, 10),
        ("similarity.bin", Format::Word2vecBinary, 41, 100),
        ("similarity.txt", Format::Word2vecText, 41, 100),
    ] {
        let Some(table) = open(name, format) else { return };
        assert_eq!((table.rows(), table.dim, table.notes.len()), (rows, dim, 0), "{name}");
        for other in Format::ALL {
            if other == Format::KerasH5 {
                continue;
            }
            let mut given = table.clone();
            if !other.holds_words() {
                given.words = None;
            }
            let there = read(other, write(other, &given, true, 100).unwrap()).unwrap();
            assert!(there == given, "{name} as {other}");
        }
    }
}

#[test]
fn real_files_come_back_byte_by_byte() {
    for (name, format) in [("euclidean_vectors.bin", Format::Word2vecBinary), ("similarity.txt", Format::Word2vecText)] {
        let (Some(bytes), Some(table)) = (data(name), open(name, format)) else { return };
        let again = write(format, &table, true, 1000).unwrap();
        let same = again.iter().zip(&bytes).take_while(|(a, b)| a == b).count();
        assert!(again == bytes, "{name} differs at byte {same}");
    }
}

#[test]
fn text_and_binary_of_the_same_vectors_agree() {
    let (Some(text), Some(binary)) = (open("similarity.txt", Format::Word2vecText), open("similarity.bin", Format::Word2vecBinary))
    else {
        return;
    };
    assert_eq!(text.words, binary.words);
    let (Values::F32(text), Values::F32(binary)) = (text.values, binary.values) else { panic!("f32") };
    assert!(text.iter().zip(&binary).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs().max(1.0)));
}

#[test]
fn broken_utf8_is_refused_at_its_place() {
    let (Some(text), Some(binary)) = (data("utf8-incomplete.txt"), data("utf8-incomplete.bin")) else { return };
    let refusal = |format, bytes: &[u8]| read(format, bytes).unwrap_err().to_string();
    assert_eq!(refusal(Format::Glove, &text), "file: line 2, column 4: the word is not UTF-8 from here on");
    assert_eq!(refusal(Format::Word2vecBinary, &binary), "file: at byte 26: the word is not UTF-8 from here on");
    for (format, bytes) in [(Format::Glove, text), (Format::Word2vecBinary, binary)] {
        let lossy = RowOptions { format: Some(format), lossy: true, ..RowOptions::default() };
        let table = read_with(&bytes, &lossy).unwrap();
        assert_eq!(table.words.unwrap(), ["meren", "zee\u{fffd}n", "rivieren"]);
    }
}
