//! What is written reads back to the same bits, whatever the table, or is refused for a word that the format cannot hold.

use half::{bf16, f16};
use hotrow::store::{Format, Values};
use proptest::prelude::*;

use super::{Table, read, write};

/// Words that try the formats: spaces, line ends, numbers, quotation marks, marks of byte order, zeros.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select("abzäß😀".chars().collect::<Vec<_>>()), 1..5),
        2 => prop::collection::vec(prop::sample::select("a0 .,\"'\t\r\n\u{feff}\0\u{a0}".chars().collect::<Vec<_>>()), 0..6),
        1 => prop::collection::vec(any::<char>(), 0..6),
    ]
    .prop_map(|chars| chars.into_iter().collect())
}

fn values(dtype: u8, count: usize) -> impl Strategy<Value = Values> {
    let bits = prop::collection::vec(prop_oneof![any::<u32>(), (0..64u32).prop_map(|x| (x as f32 * 0.1 - 3.0).to_bits())], count);
    bits.prop_map(move |bits| match dtype {
        0 => Values::F32(bits.into_iter().map(f32::from_bits).collect()),
        1 => Values::F16(bits.into_iter().map(|x| f16::from_bits(x as u16)).collect()),
        _ => Values::BF16(bits.into_iter().map(|x| bf16::from_bits((x >> 16) as u16)).collect()),
    })
}

fn any_table() -> impl Strategy<Value = Table> {
    (0..3u8, 0..7usize, 1..5usize, any::<bool>()).prop_flat_map(|(dtype, rows, dim, named)| {
        let words = prop::collection::vec(word(), rows).prop_map(move |words| named.then_some(words));
        (values(dtype, rows * dim), words).prop_map(move |(values, words)| Table { dim, values, words, notes: vec![] })
    })
}

/// The bits of values as they are.
fn bits(values: &Values) -> Vec<u32> {
    match values {
        Values::F32(values) => values.iter().map(|x| x.to_bits()).collect(),
        Values::F16(values) => values.iter().map(|x| u32::from(x.to_bits())).collect(),
        Values::BF16(values) => values.iter().map(|x| u32::from(x.to_bits())).collect(),
        other => panic!("{other:?}"),
    }
}

/// The bits of values widened to f32, with one NaN for all: text has no payloads, and widening may make a NaN quiet.
fn numbers(values: &Values) -> Vec<u32> {
    let Values::F32(values) = values.convert(hotrow::DType::F32) else { panic!("f32") };
    values.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn every_format_gives_back_what_it_took(table in any_table(), known in any::<bool>(), block_rows in 1..4usize) {
        for format in Format::ALL {
            if format == Format::KerasH5 {
                continue;
            }
            let mut given = table.clone();
            if !format.holds_words() {
                given.words = None;
            }
            let bytes = match write(format, &given, known, block_rows) {
                Ok(bytes) => bytes,
                Err(error) => {
                    let error = error.to_string();
                    let no_rows = table.rows() == 0 && error.contains("a table without rows");
                    let word = given.words.is_some() && error.contains("the word `");
                    prop_assert!(no_rows || word, "{format}: {error}");
                    continue;
                }
            };
            if format.needs_words() && given.words.is_none() {
                given.words = Some((0..table.rows()).map(|row| row.to_string()).collect());
            }
            let again = read(format, &bytes).unwrap_or_else(|error| panic!("{format}: {error}"));
            prop_assert_eq!(again.dim, given.dim);
            prop_assert_eq!(&again.words, &given.words, "{}", format);
            let keeps_element = matches!(format, Format::Safetensors | Format::Npy | Format::Npz);
            if keeps_element {
                prop_assert_eq!(again.values.dtype(), given.values.dtype());
            }
            if keeps_element || format == Format::Word2vecBinary && matches!(given.values, Values::F32(_)) {
                prop_assert_eq!(bits(&again.values), bits(&given.values), "{}", format);
            } else {
                prop_assert_eq!(numbers(&again.values), numbers(&given.values), "{}", format);
            }
        }
    }
}
