//! CSV and TSV.

use hotrow::store::{Format, RowOptions, Values};

use super::{Table, read_with, table, write};

fn read(bytes: impl AsRef<[u8]>) -> hotrow::store::FileResult<Table> {
    super::read(Format::Csv, bytes)
}

fn refusal(bytes: impl AsRef<[u8]>) -> String {
    super::refusal(Format::Csv, bytes)
}

fn unnamed(dim: usize, values: &[f32]) -> Table {
    Table { dim, values: Values::F32(values.to_vec()), words: None, notes: vec![] }
}

#[test]
fn names_and_words_are_found() {
    let expected = unnamed(2, &[1.0, 2.5, -3.0, 4.0]);
    assert_eq!(read("1,2.5\n-3,4\n"), Ok(expected.clone()), "neither");
    assert_eq!(read("x,y\n1,2.5\n-3,4"), Ok(expected.clone()), "names");
    assert_eq!(read("\u{feff}x,\"y, too\"\r\n\"1\", 2.5\r\n\r\n-3,4\r\n"), Ok(expected.clone()), "CRLF, quotation marks, spaces");
    assert_eq!(super::read(Format::Tsv, "1\t2.5\n-3\t4\n"), Ok(expected));
    let expected = table(&["cat", "new, york"], &[1.0, 2.5, -3.0, 4.0]);
    assert_eq!(read("cat,1,2.5\n\"new, york\",-3,4\n"), Ok(expected.clone()), "words");
    assert_eq!(read("animal,x,y\ncat,1,2.5\n\"new, york\",-3,4\n"), Ok(expected), "both");
    let numbers = table(&["7", "8"], &[1.0, 2.0]);
    assert_eq!(read("id,x\n7,1\n8,2\n"), Ok(numbers.clone()), "words that are numbers");
    assert_eq!(read(",x\n7,1\n8,2\n"), Ok(numbers), "an index, which pandas writes without a name");
    assert_eq!(read("x\n1\n2\n"), Ok(unnamed(1, &[1.0, 2.0])), "one column");
    assert_eq!(read("word,x\n").unwrap(), Table { dim: 1, values: Values::F32(vec![]), words: Some(vec![]), notes: vec![] });
}

#[test]
fn words_may_repeat_and_be_anything() {
    let expected = table(&["a", "a", "", "\"", "x\ny"], &[1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(read("word,v1\na,1\na,2\n,3\n\"\"\"\",4\n\"x\ny\",5\n"), Ok(expected.clone()));
    assert_eq!(write(Format::Csv, &expected, false, 2).unwrap(), b"word,v1\na,1\na,2\n,3\n\"\"\"\",4\n\"x\ny\",5\n");
    assert_eq!(write(Format::Tsv, &unnamed(2, &[1.0, 2.0]), false, 2).unwrap(), b"1\t2\n");
    assert!(write(Format::Csv, &unnamed(2, &[]), false, 2).is_err());
}

#[test]
fn special_numbers_are_read() {
    let Values::F32(values) = read("nan,NaN,-inf\n1,2,3\n").unwrap().values else { panic!("f32") };
    assert!(values[0].is_nan() && values[1].is_nan() && values[2] == f32::NEG_INFINITY);
}

#[test]
fn a_bad_field_is_refused_at_its_place() {
    assert_eq!(refusal("1,2\n3,x\n"), "line 2, column 3: `x` is no number");
    assert_eq!(refusal("1,2\n\n3,\n"), "line 3, column 3: the field is empty");
    assert_eq!(refusal("word,x,y\n\"a\n,ä\",1,2\n\"b\n,ö\",1,\"z\"\n"), "line 5, column 7: `z` is no number");
    let first = "; for a first column of words, name it `word` in the first line";
    assert_eq!(refusal("1,2\n1e39,2\n"), format!("line 2, column 1: `1e39` does not fit into f32{first}"));
    assert_eq!(refusal("1,2\n3\n"), "line 2, column 2: the row has 1 fields, but rows have 2");
    assert_eq!(refusal("1,2\r\n3,4,5\r\n"), "line 2, column 5: the row has 3 fields, but rows have 2");
    assert_eq!(refusal(""), "line 1, column 1: the file is empty");
    assert_eq!(refusal("\n\n"), "line 1, column 1: the file is empty");
}

#[test]
fn broken_utf8_is_refused_or_repaired() {
    let file = b"word,x\na,1\n\"b\xc3\xb6\xff\",2\n";
    assert_eq!(refusal(file), "line 3, column 4: the word is not UTF-8 from here on");
    let lossy = RowOptions { format: Some(Format::Csv), lossy: true, ..RowOptions::default() };
    let read = read_with(file, &lossy).unwrap();
    assert_eq!((read.words.unwrap()[1].as_str(), read.notes.len()), ("bö\u{fffd}", 1));
}

#[test]
fn a_table_without_a_name_has_none() {
    let options = RowOptions { format: Some(Format::Csv), table: Some("users".into()), ..RowOptions::default() };
    let error = read_with(b"1,2\n", &options).unwrap_err().to_string();
    assert_eq!(error, "file: a file of csv has one table, without a name, so there is no `users`");
}
