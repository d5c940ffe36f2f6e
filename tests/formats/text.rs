//! word2vec's text, fastText's and GloVe's.

use hotrow::store::{Format, RowOptions};

use super::{read, read_with, refusal, table, write};

const WORD2VEC: Format = Format::Word2vecText;
const GLOVE: Format = Format::Glove;

#[test]
fn rows_are_read_as_their_tools_write_them() {
    let expected = table(&["cat", "dog"], &[0.5, -1.0, 2e-3, 4.0]);
    assert_eq!(read(WORD2VEC, "2 2\ncat 0.5 -1\ndog 2e-3 4\n"), Ok(expected.clone()));
    assert_eq!(read(WORD2VEC, "2 2\ncat 0.5 -1\ndog 0.002 4.0"), Ok(expected.clone()), "without the last line end");
    assert_eq!(read(Format::FastText, "2 2\ncat 0.5 -1 \ndog 0.002 4 \n"), Ok(expected.clone()), "spaces at the end");
    assert_eq!(read(WORD2VEC, "2 2\r\ncat 0.5 -1\r\ndog 0.002 4\r\n\r\n"), Ok(expected.clone()), "CRLF, and an empty line");
    assert_eq!(read(WORD2VEC, "2  2\ncat  0.5\t-1\ndog 0.002 4\n\n"), Ok(expected.clone()), "more spaces, and tabs");
    assert_eq!(read(WORD2VEC, "\u{feff}2 2\ncat 0.5 -1\ndog 0.002 4\n"), Ok(expected.clone()), "a byte order mark");
    assert_eq!(read(GLOVE, "cat 0.5 -1\ndog 0.002 4\n"), Ok(expected));
}

#[test]
fn words_of_glove_may_have_spaces() {
    assert_eq!(read(GLOVE, "a 1 2\n. . . 3 4\n"), Ok(table(&["a", ". . ."], &[1.0, 2.0, 3.0, 4.0])));
    // The first line tells how many numbers there are: those at its end.
    assert_eq!(read(GLOVE, "at name@domain.com 1 2\n5 3 4\n"), Ok(table(&["at name@domain.com", "5"], &[1.0, 2.0, 3.0, 4.0])));
    assert_eq!(refusal(GLOVE, "a 1 2\nb 3 4 5\n"), "line 2, column 7: the row has 3 numbers, but rows have 2");
    let spaced = "1 2\nNew York 1 2\n";
    assert_eq!(refusal(WORD2VEC, spaced), "line 2, column 5: `York` is no number, and a word of this format has no spaces");
}

#[test]
fn special_numbers_are_read() {
    let read = read(GLOVE, "a nan NaN inf -Infinity 1e-60 -0\n").unwrap();
    let hotrow::store::Values::F32(values) = read.values else { panic!("f32") };
    assert!(values[0].is_nan() && values[1].is_nan());
    assert_eq!(values[2..5], [f32::INFINITY, f32::NEG_INFINITY, 0.0]);
    assert!(values[5].is_sign_negative());
}

#[test]
fn of_words_that_repeat_the_first_stays() {
    let mut expected = table(&["cat", "dog"], &[1.0, 2.0]);
    expected.notes = vec!["1 row is left out, since their words came before; the first such word is `cat`".into()];
    assert_eq!(read(WORD2VEC, "3 1\ncat 1\ncat 5\ndog 2\n"), Ok(expected.clone()));
    expected.notes = vec!["2 rows are left out, since their words came before; the first such word is `dog`".into()];
    assert_eq!(read(GLOVE, "cat 1\ndog 2\ndog 3\ncat 4\n"), Ok(expected));
    // What is left out has to be right all the same.
    assert_eq!(refusal(WORD2VEC, "2 1\ncat 1\ncat x\n"), "line 3, column 5: `x` is no number");
}

#[test]
fn broken_utf8_is_refused_or_repaired() {
    let file = b"2 1\ncat 1\nd\xc3\xb6\xffg 2\n";
    assert_eq!(refusal(WORD2VEC, file), "line 3, column 3: the word is not UTF-8 from here on");
    let lossy = RowOptions { format: Some(WORD2VEC), lossy: true, ..RowOptions::default() };
    let mut expected = table(&["cat", "dö\u{fffd}g"], &[1.0, 2.0]);
    expected.notes = vec!["in 1 word, bytes that are not UTF-8 are replaced by U+FFFD".into()];
    assert_eq!(read_with(file, &lossy), Ok(expected));
}

#[test]
fn a_first_line_is_asked_for() {
    let missing = "line 1, column 1: the first line is `rows dim`, two whole numbers, but here is ";
    assert_eq!(refusal(WORD2VEC, "cat 1 2\n"), format!("{missing}`cat 1 2`; if it is a row, the format is GloVe's"));
    assert!(refusal(WORD2VEC, "1 2 3\na 1 2\n").starts_with(missing));
    assert!(refusal(WORD2VEC, "-1 2\n").starts_with(missing));
    assert!(refusal(WORD2VEC, "99999999999999999999 2\n").starts_with(missing));
    assert!(refusal(WORD2VEC, "\n").starts_with(missing));
    assert_eq!(refusal(WORD2VEC, ""), "line 1, column 1: the file is empty");
    assert_eq!(refusal(GLOVE, ""), "line 1, column 1: the file is empty");
    assert_eq!(refusal(WORD2VEC, "3 0\na\n"), "line 1, column 1: rows have at least one number");
    assert_eq!(refusal(GLOVE, "cat\n"), "line 1, column 1: rows have at least one number");
    assert_eq!(read(WORD2VEC, "0 5\n").unwrap().rows(), 0);
}

#[test]
fn promises_that_the_file_cannot_keep_cost_nothing() {
    let start = "line 1, column 1: ";
    let huge = "1152921504606846976 4\na 1 2 3 4\n";
    assert_eq!(
        refusal(WORD2VEC, huge),
        format!("{start}1152921504606846976 rows of 4 numbers are promised, but the file has only 32 bytes")
    );
    let wide = "1 1152921504606846976\na 1\n";
    assert!(refusal(WORD2VEC, wide).contains("are promised, but the file has only"));
}

#[test]
fn too_few_and_too_many_rows_are_refused() {
    // gensim: "unexpected end of input; is count incorrect or file otherwise damaged?"
    let ends = "3 1\nalpha 1.5\nbeta 2.5\n";
    assert_eq!(refusal(WORD2VEC, ends), "line 4, column 1: the first line promises 3 rows, but the file ends after 2");
    let more = "1 1\na 1\n\nb 2\n";
    assert_eq!(refusal(WORD2VEC, more), "line 4, column 1: the first line promises 1 rows, but here is another");
    assert_eq!(refusal(GLOVE, "a 1\n\nb 2\n"), "line 2, column 1: the row has no word");
    assert_eq!(refusal(WORD2VEC, "2 1\na 1\n\nb 2\n"), "line 3, column 1: the row has no word");
    assert_eq!(read(GLOVE, "a 1\n\n\r\n").unwrap().rows(), 1);
}

#[test]
fn a_bad_row_is_refused_at_its_place() {
    assert_eq!(refusal(GLOVE, "a 1 2\nb 3\n"), "line 2, column 4: the row has 1 numbers, but rows have 2");
    assert_eq!(refusal(WORD2VEC, "1 2\nb 3\n    "), "line 2, column 4: the row has 1 numbers, but rows have 2");
    assert_eq!(refusal(WORD2VEC, "1 2\nb 3 4 5\n"), "line 2, column 7: the row has 3 numbers, but rows have 2");
    assert_eq!(refusal(GLOVE, "ä 1 2\nö 1.2.3 4\n"), "line 2, column 3: `1.2.3` is no number");
    assert_eq!(refusal(GLOVE, "a 1 2\nb x\n"), "line 2, column 3: `x` is no number");
    assert_eq!(refusal(GLOVE, "a 1\nb 1e39\n"), "line 2, column 3: `1e39` does not fit into f32");
    assert_eq!(refusal(GLOVE, "a 1\n 2\n"), "line 2, column 1: the row has no word");
    assert_eq!(refusal(WORD2VEC, "1 1\n b 1\n"), "line 2, column 1: the row has no word");
    assert_eq!(refusal(GLOVE, b"a 1\nb 1\0\x1b\n"), "line 2, column 3: `1\u{fffd}\u{fffd}` is no number");
}

#[test]
fn numbers_are_written_as_short_as_they_read_back() {
    let named = table(&["cat", "dog"], &[0.1, -2.5, f32::NAN, f32::INFINITY]);
    let written = |format, known| String::from_utf8(write(format, &named, known, 9).unwrap()).unwrap();
    assert_eq!(written(WORD2VEC, true), "2 2\ncat 0.1 -2.5\ndog nan inf\n");
    assert_eq!(written(WORD2VEC, false), "2          2\ncat 0.1 -2.5\ndog nan inf\n", "room for the number of rows");
    assert_eq!(written(Format::FastText, true), "2 2\ncat 0.1 -2.5 \ndog nan inf \n");
    assert_eq!(written(GLOVE, true), "cat 0.1 -2.5\ndog nan inf\n");
    let mut unnamed = named;
    unnamed.words = None;
    assert_eq!(write(GLOVE, &unnamed, true, 1).unwrap(), b"0 0.1 -2.5\n1 nan inf\n", "row numbers stand for words");
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let refusal = |format, words: &[&str]| {
        let values: Vec<f32> = words.iter().map(|_| 1.0).collect();
        write(format, &table(words, &values), true, 1).unwrap_err().to_string()
    };
    let spaces = "file: row 1: the word `New York` has white space, which this format cannot hold; safetensors, npz and csv can";
    assert_eq!(refusal(WORD2VEC, &["a", "New York"]), spaces);
    assert!(refusal(GLOVE, &["route 66"]).contains("has white space"), "the number would be one of the row");
    assert!(refusal(GLOVE, &["a  b"]).contains("has white space"));
    assert!(refusal(GLOVE, &["a\nb"]).contains("has white space"));
    assert!(refusal(WORD2VEC, &[""]).contains("is empty"));
    assert!(refusal(GLOVE, &["\u{feff}a"]).contains("byte order mark"));
    assert!(refusal(WORD2VEC, &["a", "b", "a"]).starts_with("file: row 2: the word `a` came before"));
    let empty = super::Table { dim: 2, values: hotrow::store::Values::F32(vec![]), words: Some(vec![]), notes: vec![] };
    assert!(write(GLOVE, &empty, true, 1).is_err());
    assert_eq!(write(WORD2VEC, &empty, false, 1).unwrap(), b"0          2\n");
}
