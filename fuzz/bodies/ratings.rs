//! The reader of interactions takes any bytes without a panic. What it read is consistent, and can be written down and read again;
//! what it refuses, it refuses with the number of a line.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use std::collections::HashSet;

use hotrow_cli::data::{Format, Interactions, Names, ReadError, read_interactions};

/// The first byte chooses the format; the others are the file.
pub fn check(bytes: &[u8]) {
    let Some((&choice, file)) = bytes.split_first() else { return };
    let format = match choice {
        b'i' => Some(Format::Inter),
        b'u' => Some(Format::UData),
        b'd' => Some(Format::RatingsDat),
        b'c' => Some(Format::RatingsCsv),
        b'p' => Some(Format::Pairs),
        _ => None,
    };
    match read_interactions(file, format) {
        Ok(read) => {
            assert!(format.is_none_or(|format| format == read.format), "read as {}", read.format);
            assert_consistent(&read, file);
            assert_rereads(&read);
        }
        Err(error) => assert_names_a_line(&error, file),
    }
}

/// Numbers go with names, and nothing is there that the file has no room for.
pub fn assert_consistent(read: &Interactions, file: &[u8]) {
    assert!(!read.is_empty());
    assert!(read.len() <= lines(file), "{} interactions in {} lines", read.len(), lines(file));
    assert_eq!(read.item.len(), read.user.len());
    if let Some(times) = &read.time {
        assert_eq!(times.len(), read.user.len());
    }
    assert_numbered(&read.users, &read.user, file);
    assert_numbered(&read.items, &read.item, file);
}

/// Names differ, none is empty, and they are numbered in the order of their first appearance.
fn assert_numbered(names: &Names, numbers: &[u32], file: &[u8]) {
    let mut next = 0;
    for &number in numbers {
        assert!(number <= next, "number {number} comes before {next}");
        next = next.max(number + 1);
    }
    assert_eq!(next as usize, names.len());
    let distinct: HashSet<&str> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    let mut length = 0;
    for name in names.iter() {
        assert!(!name.is_empty());
        assert_eq!(name, name.trim());
        // Quotes are taken off, and those inside are doubled in the file.
        let verbatim = || file.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(file.contains(&b'"') || verbatim(), "{name:?} is not in the file");
        length += name.len();
    }
    assert!(length <= file.len());
}

/// Written as lines between tabs, the same interactions come back. Names from quoted fields may hold a tab; those are left out.
fn assert_rereads(read: &Interactions) {
    if read.users.iter().chain(read.items.iter()).any(|name| name.contains('\t')) {
        return;
    }
    let mut written = "user_id:token\titem_id:token\n".to_owned();
    for (&user, &item) in read.user.iter().zip(&read.item) {
        let (user, item) = (read.users.get(user as usize), read.items.get(item as usize));
        written.extend([user, "\t", item, "\n"]);
    }
    let again = read_interactions(written.as_bytes(), None).expect("what was read can be read again");
    assert_eq!((&again.users, &again.items), (&read.users, &read.items));
    assert_eq!((&again.user, &again.item), (&read.user, &read.item));
    assert_eq!(again.format, Format::Inter);
}

/// The error names a line of the file, unless there is none to name. A terminal can show it.
pub fn assert_names_a_line(error: &ReadError, file: &[u8]) {
    let message = error.to_string();
    assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "control characters: {message:?}");
    match error {
        ReadError::BadLine { line, .. } | ReadError::NotUtf8 { line, .. } | ReadError::TooMany { line, .. } => {
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
