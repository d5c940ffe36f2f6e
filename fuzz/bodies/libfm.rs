//! The reader of labelled examples takes any bytes without a panic. What it read is consistent, and can be written down and read
//! again; what it refuses, it refuses with the number of a line.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use hotrow_cli::data::{Examples, ReadError, Vocabulary, read_libfm};

/// The bytes are the file.
pub fn check(file: &[u8]) {
    match read_libfm(file) {
        Ok(read) => {
            assert_consistent(&read, file);
            assert_rereads(&read);
            assert_numbers(&read);
        }
        Err(error) => assert_names_a_line(&error, file),
    }
}

/// Features ascend, values are finite, and nothing is there that the file has no room for.
pub fn assert_consistent(read: &Examples, file: &[u8]) {
    assert!(!read.is_empty());
    assert!(read.len() <= lines(file), "{} examples in {} lines", read.len(), lines(file));
    assert_eq!(read.labels().len(), read.len());
    let colons = file.iter().filter(|&&byte| byte == b':').count();
    assert!(read.entries() <= colons, "{} features in {colons} pairs", read.entries());
    let mut entries = 0;
    for example in 0..read.len() {
        let (features, values) = read.of(example);
        assert_eq!(features.len(), values.len());
        assert!(features.is_sorted_by(|a, b| a < b), "{features:?}");
        assert!(features.iter().all(|&feature| feature <= 1 << 31), "{features:?}");
        assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
        entries += features.len();
    }
    assert_eq!(entries, read.entries());
}

/// Written as lines, the same examples come back, whichever of its two forms a no has.
fn assert_rereads(read: &Examples) {
    for no in ["-1", "0"] {
        let mut written = String::new();
        for (example, &label) in read.labels().iter().enumerate() {
            written += if label { "1" } else { no };
            let (features, values) = read.of(example);
            for (feature, value) in features.iter().zip(values) {
                written += &format!(" {feature}:{value:e}");
            }
            written += "  # an example\r\n\n";
        }
        let again = read_libfm(written.as_bytes()).expect("what was read can be read again");
        assert_eq!(again, *read);
    }
}

/// Its own features number all of it; those of its first half number no more than that.
fn assert_numbers(read: &Examples) {
    let vocabulary = Vocabulary::of(read);
    let mut numbered = read.clone();
    let unknown = vocabulary.number(&mut numbered);
    assert_eq!((unknown.features, unknown.entries), (0, 0));
    for example in 0..read.len() {
        let (rows, values) = numbered.of(example);
        let back: Vec<u32> = rows.iter().map(|&row| vocabulary.features()[row as usize]).collect();
        assert_eq!((&back[..], values), read.of(example));
    }
    let mut head = read.clone();
    let mut tail = head.split_off(read.len() / 2);
    let all = tail.entries();
    let vocabulary = Vocabulary::of(&head);
    let unknown = vocabulary.number(&mut tail);
    assert_eq!(tail.entries() + unknown.entries, all);
    assert!(unknown.features <= unknown.entries);
    for example in 0..tail.len() {
        assert!(tail.of(example).0.iter().all(|&row| (row as usize) < vocabulary.len()));
    }
}

/// The error names a line of the file, unless there is none to name. A terminal can show it.
pub fn assert_names_a_line(error: &ReadError, file: &[u8]) {
    let message = error.to_string();
    assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "control characters: {message:?}");
    match error {
        ReadError::BadLine { line, .. } => {
            assert!((1..=lines(file)).contains(line), "line {line} of {}", lines(file));
            assert!(message.starts_with(&format!("line {line}: ")), "{message}");
        }
        ReadError::Empty { .. } => assert!(message.contains("no data"), "{message}"),
        other => panic!("an error that this check does not know: {other:?}"),
    }
}

fn lines(file: &[u8]) -> usize {
    file.split(|&byte| byte == b'\n').count()
}
