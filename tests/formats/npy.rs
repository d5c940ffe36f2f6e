//! NumPy's arrays.

use hotrow::store::{Format, Values};
use hotrow::{bf16, f16};

use super::{Table, read, refusal, write};

const FORMAT: Format = Format::Npy;

/// A file of this version, header and data.
fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend_from_slice(&[version, 0]);
    match version {
        1 => bytes.extend_from_slice(&(header.len() as u16).to_le_bytes()),
        _ => bytes.extend_from_slice(&(header.len() as u32).to_le_bytes()),
    }
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn array(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy(1, &format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}       \n"), data)
}

fn le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn unnamed(dim: usize, values: Values, notes: &[&str]) -> Table {
    Table { dim, values, words: None, notes: notes.iter().map(|note| (*note).to_owned()).collect() }
}

#[test]
fn all_versions_are_read() {
    let expected = unnamed(2, Values::F32(vec![1.0, -2.0, 3.5, f32::MIN_POSITIVE]), &[]);
    let data = le(&[1.0, -2.0, 3.5, f32::MIN_POSITIVE]);
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n";
    for version in [1, 2, 3] {
        assert_eq!(read(FORMAT, npy(version, header, &data)), Ok(expected.clone()), "{version}");
    }
    // Any order of the keys, either quotation mark, no comma at the end, and what Python 2 wrote.
    for header in [
        "{\"shape\": (2L, 2L), 'fortran_order': False, 'descr':'<f4'}",
        " { 'shape':(2,2,),'descr' : '=f4' , 'fortran_order':False}",
    ] {
        assert_eq!(read(FORMAT, npy(1, header, &data)), Ok(expected.clone()), "{header}");
    }
    assert_eq!(read(FORMAT, array("<f4", "(0, 3)", b"")).unwrap().rows(), 0);
}

#[test]
fn other_numbers_are_converted_with_a_note() {
    let f32s = |values: &[f32], note: &str| {
        Ok(unnamed(2, Values::F32(values.to_vec()), if note.is_empty() { &[] } else { std::slice::from_ref(&note) }))
    };
    let (round, both) = ("f64 values are rounded to f32", [1.5f32, -2.0]);
    let f64s: Vec<u8> = [0.1f64, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(read(FORMAT, array("<f8", "(1, 2)", &f64s)), f32s(&[0.1, -2.0], round));
    let f64s: Vec<u8> = [0.1f64, -2.0].iter().flat_map(|x| x.to_be_bytes()).collect();
    assert_eq!(read(FORMAT, array(">f8", "(1, 2)", &f64s)), f32s(&[0.1, -2.0], round));
    let big: Vec<u8> = both.iter().flat_map(|x| x.to_be_bytes()).collect();
    assert_eq!(read(FORMAT, array(">f4", "(1, 2)", &big)), f32s(&both, ""), "bytes in the other order are the same numbers");
    let bytes: Vec<u8> = [i64::MIN, 5].iter().flat_map(|x| x.to_le_bytes()).collect();
    let note = "int64 values are converted to f32; beyond 16,777,216 they are rounded";
    assert_eq!(read(FORMAT, array("<i8", "(1, 2)", &bytes)), f32s(&[i64::MIN as f32, 5.0], note));
    assert_eq!(read(FORMAT, array("|i1", "(1, 2)", &[0xff, 7])), f32s(&[-1.0, 7.0], "int8 values are converted to f32"));
    assert_eq!(read(FORMAT, array("|u1", "(1, 2)", &[0xff, 7])), f32s(&[255.0, 7.0], "uint8 values are converted to f32"));
    assert_eq!(read(FORMAT, array(">u2", "(1, 2)", &[1, 0, 0, 2])), f32s(&[256.0, 2.0], "uint16 values are converted to f32"));
    assert_eq!(read(FORMAT, array("|b1", "(1, 2)", &[0, 1])), f32s(&[0.0, 1.0], "bool values are converted to f32: 0 and 1"));
}

#[test]
fn sixteen_bits_stay_sixteen_bits() {
    let half = [f16::from_f32(0.1), f16::NAN];
    let data: Vec<u8> = half.iter().flat_map(|x| x.to_le_bytes()).collect();
    let Values::F16(values) = read(FORMAT, array("<f2", "(1, 2)", &data)).unwrap().values else { panic!("f16") };
    assert_eq!(values.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), half.map(f16::to_bits));
    let brain = vec![bf16::from_f32(0.1), bf16::from_f32(-3.0)];
    let data: Vec<u8> = brain.iter().flat_map(|x| x.to_le_bytes()).collect();
    let note = "two-byte values without a type (`V2`) are taken for bfloat16, as ml_dtypes writes it";
    for descr in ["<V2", "|V2", "bfloat16"] {
        assert_eq!(read(FORMAT, array(descr, "(2, 1)", &data)), Ok(unnamed(1, Values::BF16(brain.clone()), &[note])), "{descr}");
    }
}

#[test]
fn columns_are_turned_into_rows() {
    let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }";
    let file = npy(1, header, &le(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
    assert_eq!(read(FORMAT, file), Ok(unnamed(3, Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), &[])));
    // More rows than a block has.
    let (rows, dim) = (1_500_000, 2);
    let at = |row: usize, column: usize| (row * 2 + column) as f32;
    let columns: Vec<f32> = (0..dim).flat_map(|column| (0..rows).map(move |row| at(row, column))).collect();
    let file = npy(1, &format!("{{'descr': '<f4', 'fortran_order': True, 'shape': ({rows}, {dim})}}"), &le(&columns));
    let expected = (0..rows * dim).map(|k| k as f32).collect();
    assert!(read(FORMAT, file) == Ok(unnamed(dim, Values::F32(expected), &[])));
}

#[test]
fn other_shapes_are_refused_by_name() {
    let shape = |shape, bytes: usize| refusal(FORMAT, array("<f4", shape, &vec![0; bytes]));
    assert_eq!(shape("(5,)", 20), "the array has the shape (5,); a table has two dimensions");
    assert_eq!(shape("()", 4), "the array has the shape (); a table has two dimensions");
    assert_eq!(shape("(2, 3, 4)", 96), "the array has the shape (2, 3, 4); a table has two dimensions");
    assert_eq!(shape("(2, 0)", 0), "rows have at least one number, and here they have none");
}

#[test]
fn other_types_are_refused_by_name() {
    let kind = |descr| refusal(FORMAT, array(descr, "(1, 1)", &[0; 16]));
    let only = "; floating point, whole and bool numbers can be read";
    assert_eq!(kind("<c8"), format!("its values are complex numbers (`<c8`){only}"));
    assert_eq!(kind("|O"), format!("its values are pickled Python objects, which are programs and are never run (`|O`){only}"));
    assert_eq!(kind("<M8[ns]"), format!("its values are times (`<M8[ns]`){only}"));
    assert_eq!(kind("<f16"), format!("its values are floating point numbers of an unusual size (`<f16`){only}"));
    assert_eq!(kind("nonsense"), format!("its values are of a type that is not known (`nonsense`){only}"));
    assert_eq!(kind("<é"), format!("its values are of a type that is not known (`<é`){only}"));
    assert_eq!(kind("<U3"), "the array holds texts; rows of numbers are needed");
    let records = npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1)}", &[0; 4]);
    assert_eq!(refusal(FORMAT, records), "at byte 20: its values are records with fields; one number each can be read");
}

#[test]
fn a_length_that_does_not_fit_is_refused() {
    let four = le(&[1.0; 4]);
    let long = "values of the shape (2, 2) take 16 bytes, but 17 follow the header";
    assert!(refusal(FORMAT, array("<f4", "(2, 2)", &[&four[..], b"x"].concat())).ends_with(long));
    let short = "values of the shape (2, 2) take 16 bytes, but 15 follow the header";
    assert!(refusal(FORMAT, array("<f4", "(2, 2)", &four[1..])).ends_with(short));
    let huge = refusal(FORMAT, array("<f4", "(1152921504606846976, 1)", b""));
    assert!(
        huge.ends_with("values of the shape (1152921504606846976, 1) take 4611686018427387904 bytes, but 0 follow the header"),
        "{huge}"
    );
    let huger = refusal(FORMAT, array("<f4", "(1152921504606846976, 1152921504606846976)", b""));
    assert!(huger.contains("take more than 2^64 bytes"), "{huger}");
}

#[test]
fn a_bad_header_is_refused_at_its_place() {
    let header = |header: &str| refusal(FORMAT, npy(1, header, b""));
    let good = "'descr': '<f4', 'fortran_order': False, 'shape': (1, 1)";
    assert_eq!(header(""), "at byte 10: the header is no dictionary as NumPy writes it: `{` is missing");
    assert_eq!(header("{'descr': '<f4', 'shape': (1, 1)}"), "at byte 43: the key `fortran_order` is missing");
    assert!(header(&format!("{{{good}, 'descr': '<f4'}}")).ends_with("the key `descr` is there twice"));
    assert!(header(&format!("{{{good}, 'more': 1}}")).ends_with("the key `more` is not known"));
    assert!(header(&format!("{{{good}}} x")).ends_with("something follows the dictionary"));
    assert!(header(&format!("{{{good}")).ends_with("`}` is missing"));
    assert!(header("{'shape': (1)}").ends_with("the shape is a number in parentheses, which is no tuple"));
    assert!(header("{'shape': (-1, 2)}").ends_with("a length of the shape is no number that fits"));
    assert!(header("{'shape': (99999999999999999999, 2)}").ends_with("a length of the shape is no number that fits"));
    assert!(header("{'fortran_order': 0}").ends_with("`False` is missing"));
    assert!(header("{'descr': '<f\\x34'}").ends_with("a text without an end, or with what stands in none"));
    assert!(header("{descr: 1}").ends_with("a text in quotation marks is missing"));
    assert_eq!(refusal(FORMAT, b"\x93NUMPX\x01\0\0\0"), "at byte 0: this is no npy file: it does not start with `\\x93NUMPY`");
    assert_eq!(refusal(FORMAT, b"\x93NUMPY\x04\0\0\0"), "at byte 6: versions 1, 2 and 3 of the format can be read");
    assert_eq!(refusal(FORMAT, b"\x93NUMPY\x01\0\xff"), "at byte 8: the file ends in its header");
    assert_eq!(refusal(FORMAT, b"\x93NUMPY\x01\0\xff\xff"), "at byte 8: the file ends in its header");
    let claims = "at byte 8: the header is said to have 4294967295 bytes; 65536 are the most";
    assert_eq!(refusal(FORMAT, b"\x93NUMPY\x02\0\xff\xff\xff\xff"), claims);
    assert_eq!(
        refusal(FORMAT, npy(1, "{", b"")[..].iter().map(|&b| if b == b'{' { 0xff } else { b }).collect::<Vec<_>>()),
        "at byte 10: the header is not UTF-8"
    );
}

#[test]
fn the_header_is_what_numpy_writes() {
    let table = unnamed(2, Values::F32(vec![1.0, 2.0]), &[]);
    let bytes = write(FORMAT, &table, false, 1).unwrap();
    let (header, data) = bytes.split_at(128);
    assert!(header.starts_with(b"\x93NUMPY\x01\0\x76\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }  "));
    assert!(header.ends_with(b" \n"));
    assert_eq!(data, le(&[1.0, 2.0]));
}
