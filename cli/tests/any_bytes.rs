//! The readers take any bytes: they give an error or something consistent, and never panic.

use hotrow_cli::bench::{IdFormat, read_ids};
use hotrow_cli::data::{Dataset, Format, read_interactions, read_titles};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

#[path = "../../fuzz/bodies/libfm.rs"]
mod libfm;

/// Pieces of which files of all formats are made, and pieces that do not belong there.
const PIECES: [&[u8]; 26] = [
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b"\t",
    b" ",
    b",",
    b",",
    b"::",
    b"|",
    b"\"",
    b"\"\"",
    b"1",
    b"2",
    b"-7.5e3",
    b"nan",
    b"a",
    b"\xc3\xa9",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\0",
    b"user_id:token\titem_id:token",
    b"userId,movieId,rating,timestamp",
    b"item_id:token\ttitle:token_seq\tyear:token",
];

const GAPS: [&[u8]; 5] = [b"\t", b" ", b",", b"::", b"|"];
const TOKENS: [&[u8]; 5] = [b"1", b"2", b"3.5", b"7", b"a b"];

const FORMATS: [Option<Format>; 6] =
    [None, Some(Format::Inter), Some(Format::UData), Some(Format::RatingsDat), Some(Format::RatingsCsv), Some(Format::Pairs)];

#[test]
fn any_bytes_give_an_error_or_something_consistent() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut pick = |below: usize| (rng.next_u64() % below as u64) as usize;
    let (mut good, mut bad, mut titled) = (0, 0, 0);
    for _ in 0..10_000 {
        // Lines of a few fields, as in a file, and something stray at one place or another.
        let (fields, gap) = (1 + pick(4), GAPS[pick(GAPS.len())]);
        let mut bytes = Vec::new();
        for _ in 0..pick(5) {
            for field in 0..fields {
                bytes.extend_from_slice(if field == 0 { b"" } else { gap });
                bytes.extend_from_slice(TOKENS[pick(TOKENS.len())]);
            }
            bytes.push(b'\n');
        }
        for _ in 0..pick(3) {
            let piece = PIECES[pick(PIECES.len())];
            let at = pick(bytes.len() + 1);
            bytes.splice(at..at, piece.iter().copied());
        }
        match read_interactions(&bytes, FORMATS[pick(FORMATS.len())]) {
            Ok(read) => {
                good += 1;
                assert!(!read.is_empty());
                assert_eq!(read.item.len(), read.len());
                assert!(read.time.as_ref().is_none_or(|times| times.len() == read.len()));
                assert!(read.user.iter().all(|&user| (user as usize) < read.users.len()));
                assert!(read.item.iter().all(|&item| (item as usize) < read.items.len()));
                assert!(read.users.iter().chain(read.items.iter()).all(|id| !id.trim().is_empty()));
                let pairs = read.len();
                let data = Dataset::split(read);
                assert_eq!(data.train.total() + data.evaluated() + data.repeats, pairs);
            }
            Err(error) => {
                bad += 1;
                assert!(!error.to_string().is_empty());
            }
        }
        if let Ok(titles) = read_titles(&bytes) {
            titled += 1;
            assert!(titles.iter().all(|(id, _)| !id.is_empty()));
        }
    }
    // The pieces are chosen so that both outcomes are common; if one of them became rare, this test would test little.
    assert!(good > 500 && bad > 2_500 && titled > 50, "{good} {bad} {titled}");
}

/// Pieces of which lines of sparse features are made, and pieces that do not belong there.
const FEATURES: [&[u8]; 16] = [
    b" 1:1",
    b" 2:1",
    b" 7:-0.5",
    b"\t3:1e3",
    b" 2147483648:2",
    b" 0:0",
    b" # x",
    b"\r",
    b"\n",
    b" 5",
    b":",
    b" qid:1",
    b" 9:inf",
    b"-",
    b"\xff",
    b"\0",
];

#[test]
fn any_bytes_give_an_error_or_consistent_examples() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut pick = |below: usize| (rng.next_u64() % below as u64) as usize;
    let (mut good, mut bad) = (0, 0);
    for _ in 0..10_000 {
        let mut bytes = Vec::new();
        let labels: [&[u8]; 3] = [b"1", [&b"0"[..], b"-1"][pick(2)], [&b""[..], b"0", b"1.0"][pick(3)]];
        for _ in 0..pick(5) {
            let kinds = if pick(4) == 0 { 3 } else { 2 };
            bytes.extend_from_slice(labels[pick(kinds)]);
            for _ in 0..pick(5) {
                let strange = pick(12) == 0;
                bytes.extend_from_slice(FEATURES[if strange { 6 + pick(10) } else { pick(6) }]);
            }
            bytes.extend_from_slice([&b"\n"[..], b"\r\n"][pick(2)]);
        }
        libfm::check(&bytes);
        match hotrow_cli::data::read_libfm(&bytes) {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
    }
    assert!(good > 3_000 && bad > 2_000, "{good} {bad}");
}

const ID_FORMATS: [Option<IdFormat>; 4] = [None, Some(IdFormat::Bags), Some(IdFormat::Negatives), Some(IdFormat::Ids)];
const ID_PIECES: [&[u8]; 14] =
    [b"\n", b"\n", b"\r\n", b" ", b"\t", b"7", b"-1", b"4294967295", b"(1,2)", b"(", b",", b"x", b"\xff", b"\xef\xbb\xbf"];

#[test]
fn any_bytes_give_an_error_or_ids_in_their_bags() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut pick = |below: usize| (rng.next_u64() % below as u64) as usize;
    let (mut bags, mut plain, mut bad) = (0, 0, 0);
    for _ in 0..20_000 {
        let written = pick(3);
        // Mostly what fits the lines.
        let format = if pick(4) == 0 { ID_FORMATS[pick(4)] } else { None };
        let mut bytes = Vec::new();
        for line in 0..pick(6) {
            match written {
                0 => bytes.extend_from_slice(format!("{line} ").as_bytes()),
                1 => bytes.extend_from_slice(format!("({line},{})\t", pick(15)).as_bytes()),
                _ => {}
            }
            (0..pick(4)).for_each(|_| bytes.extend_from_slice(format!("{} ", pick(15)).as_bytes()));
            bytes.push(b'\n');
        }
        for _ in 0..pick(3) {
            let at = pick(bytes.len() + 1);
            bytes.splice(at..at, ID_PIECES[pick(ID_PIECES.len())].iter().copied());
        }
        let rows = [None, Some(14), Some(1000)][pick(3)];
        match read_ids(&bytes, format, rows) {
            Ok(list) => {
                assert!(!list.ids.is_empty());
                assert!(list.ids.iter().all(|&id| (id as usize) < rows.unwrap_or(u32::MAX as usize)));
                assert_eq!(list.splits.is_some(), list.format != IdFormat::Ids);
                if let Some(splits) = &list.splits {
                    bags += 1;
                    assert!(splits.is_sorted() && splits[0] == 0 && splits[list.bags()] == list.ids.len());
                } else {
                    plain += 1;
                }
                assert!(list.to_string().contains(" ids, "));
            }
            Err(error) => {
                bad += 1;
                assert!(!error.to_string().contains(char::is_control));
            }
        }
    }
    // As above: no outcome may become rare.
    assert!(bags > 3_000 && plain > 2_000 && bad > 3_000, "{bags} {plain} {bad}");
}
