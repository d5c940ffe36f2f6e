//! word2vec's binary format.

use hotrow::store::{Format, RowOptions};

use super::{read_with, table, write};

const FORMAT: Format = Format::Word2vecBinary;

fn read(bytes: impl AsRef<[u8]>) -> hotrow::store::FileResult<super::Table> {
    super::read(FORMAT, bytes)
}

fn refusal(bytes: impl AsRef<[u8]>) -> String {
    super::refusal(FORMAT, bytes)
}

/// A file of these parts: words and numbers as they are in it.
fn file(header: &str, rows: &[(&[u8], &[f32], &str)]) -> Vec<u8> {
    let mut bytes = header.as_bytes().to_vec();
    for (word, numbers, end) in rows {
        bytes.extend_from_slice(word);
        bytes.push(b' ');
        bytes.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
        bytes.extend_from_slice(end.as_bytes());
    }
    bytes
}

#[test]
fn rows_are_read_with_and_without_line_ends() {
    let expected = table(&["cat", "dog"], &[0.5, f32::MIN_POSITIVE, -1.0, 7.0]);
    for end in ["", "\n", "\n\n"] {
        let bytes = file("2 2\n", &[(b"cat", &[0.5, f32::MIN_POSITIVE], end), (b"dog", &[-1.0, 7.0], end)]);
        assert_eq!(read(bytes), Ok(expected.clone()), "{end:?}");
    }
    assert_eq!(
        write(FORMAT, &expected, true, 1).unwrap(),
        file("2 2\n", &[(b"cat", &[0.5, f32::MIN_POSITIVE], ""), (b"dog", &[-1.0, 7.0], "")])
    );
    assert!(write(FORMAT, &expected, false, 1).unwrap().starts_with(b"2          2\ncat "));
}

#[test]
fn of_words_that_repeat_the_first_stays() {
    let mut expected = table(&["a", "b"], &[1.0, 3.0]);
    expected.notes = vec!["1 row is left out, since their words came before; the first such word is `a`".into()];
    assert_eq!(read(file("3 1\n", &[(b"a", &[1.0], ""), (b"a", &[2.0], ""), (b"b", &[3.0], "")])), Ok(expected));
}

#[test]
fn broken_utf8_is_refused_or_repaired() {
    let bytes = file("2 1\n", &[(b"a", &[1.0], ""), (b"b\xff", &[2.0], "")]);
    assert_eq!(refusal(&bytes), "at byte 11: the word is not UTF-8 from here on");
    let lossy = RowOptions { format: Some(FORMAT), lossy: true, ..RowOptions::default() };
    assert_eq!(read_with(&bytes, &lossy).unwrap().words.unwrap(), ["a", "b\u{fffd}"]);
}

#[test]
fn a_first_line_is_asked_for() {
    let missing = "line 1, column 1: the first line is `rows dim`, two whole numbers, but here is ";
    assert_eq!(refusal("cat"), format!("{missing}`cat`"));
    assert!(refusal("").starts_with(missing));
    assert!(refusal("2 1").starts_with(missing), "it has an end");
    assert!(refusal([b'1'; 5000]).starts_with(missing));
    assert_eq!(refusal("2 0\n"), "line 1, column 1: rows have at least one number");
    assert_eq!(read("0 3\n").unwrap().rows(), 0);
    let huge = "line 1, column 1: 1152921504606846976 rows of 300 numbers are promised, but the file has only 24 bytes";
    assert_eq!(refusal("1152921504606846976 300\n"), huge);
}

#[test]
fn a_file_that_ends_early_or_late_is_refused() {
    let rows: [(&[u8], &[f32], &str); 2] = [(b"a", &[1.0, 2.0], ""), (b"bcdefghijk", &[3.0, 4.0], "")];
    let whole = file("2 2\n", &rows);
    assert!(read(&whole).is_ok());
    for end in 4..whole.len() {
        let error = refusal(&whole[..end]);
        let promised = error.starts_with("line 1, column 1: 2 rows of 2 numbers are promised");
        assert!(
            promised || error == format!("at byte {end}: the first line promises 2 rows, but the file ends in row 2"),
            "{end}: {error}"
        );
    }
    let more = [&whole[..], b"\n\nx"].concat();
    assert_eq!(refusal(more), format!("at byte {}: the first line promises 2 rows, but more bytes follow", whole.len() + 2));
}

#[test]
fn a_word_without_an_end_is_refused() {
    let bytes = [b"1 1\n".to_vec(), vec![b'x'; 70_000]].concat();
    assert_eq!(refusal(bytes), "at byte 4: here is a word of more than 65536 bytes");
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let refusal = |words: &[&str]| write(FORMAT, &table(words, &vec![1.0; words.len()]), true, 1).unwrap_err().to_string();
    assert!(refusal(&["New York"]).contains("has a space or a line end"));
    assert!(refusal(&["\na"]).contains("has a space or a line end"));
    assert!(refusal(&["a", "a"]).starts_with("file: row 1: the word `a` came before"));
    assert!(refusal(&[&"x".repeat(70_000)]).contains("is too long"));
}
