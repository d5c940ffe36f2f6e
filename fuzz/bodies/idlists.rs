//! The reader of ids takes any bytes without a panic. What it read is consistent, and can be written down and read again; what it
//! refuses, it refuses with a line, a column and a word that stands there.
#![allow(dead_code, unreachable_pub)] // included by several crates, each of which uses its own part

use hotrow_cli::bench::{IdFormat, IdList, IdsError, read_ids};

/// The rows of the table where the first byte asks for a table.
const ROWS: usize = 100;

/// The first byte chooses the format, by a capital letter for a table of 100 rows; the others are the file.
pub fn check(bytes: &[u8]) {
    let Some((&choice, file)) = bytes.split_first() else { return };
    let format = match choice.to_ascii_lowercase() {
        b'b' => Some(IdFormat::Bags),
        b'n' => Some(IdFormat::Negatives),
        b'i' => Some(IdFormat::Ids),
        _ => None,
    };
    let rows = choice.is_ascii_uppercase().then_some(ROWS);
    match read_ids(file, format, rows) {
        Ok(list) => {
            assert!(format.is_none_or(|format| format == list.format), "read as {}", list.format);
            assert_consistent(&list, file, rows);
            assert_rereads(&list);
        }
        Err(error) => assert_names_its_place(&error, file),
    }
}

/// All ids are rows of the table, and in bags if, and only if, the format has bags: as many as the file has lines at most.
pub fn assert_consistent(list: &IdList, file: &[u8], rows: Option<usize>) {
    assert!((1..=file.len()).contains(&list.ids.len()), "{} ids in {} bytes", list.ids.len(), file.len());
    let most = rows.unwrap_or(u32::MAX as usize);
    assert!(list.ids.iter().all(|&id| (id as usize) < most), "an id of {most} or more");
    assert!(list.rows() <= most && list.distinct() <= list.rows() && list.distinct() <= list.ids.len());
    let Some(splits) = &list.splits else {
        assert_eq!((list.format, list.bags()), (IdFormat::Ids, 0));
        return;
    };
    assert_ne!(list.format, IdFormat::Ids);
    assert_eq!((splits.first(), splits.last()), (Some(&0), Some(&list.ids.len())));
    assert!(splits.is_sorted());
    assert!((1..=lines(file)).contains(&list.bags()), "{} bags in {} lines", list.bags(), lines(file));
    if list.format == IdFormat::Negatives {
        assert!(splits.windows(2).all(|bag| bag[0] < bag[1]), "a bag without its first item");
    }
}

/// Written line by line, the same ids come back.
fn assert_rereads(list: &IdList) {
    let all = [0, list.ids.len()];
    let splits = list.splits.as_deref().unwrap_or(&all);
    let mut written = String::new();
    for (user, bag) in splits.windows(2).enumerate() {
        let mut ids = list.ids[bag[0]..bag[1]].iter();
        match list.format {
            IdFormat::Bags => written += &user.to_string(),
            IdFormat::Negatives => written += &format!("({user},{})", ids.next().expect("a first item")),
            IdFormat::Ids => {}
        }
        ids.for_each(|id| written += &format!(" {id}"));
        written.push('\n');
    }
    let again = read_ids(written.as_bytes(), Some(list.format), None).expect("what was read can be read again");
    assert_eq!(&again, list);
}

/// The error names a word and where it is, unless there is none to name. A terminal can show it.
pub fn assert_names_its_place(error: &IdsError, file: &[u8]) {
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "control characters: {message:?}");
    assert!(message.len() < 1000, "{} bytes: {message}", message.len());
    match error {
        IdsError::BadWord { line, column, found, .. } | IdsError::OutOfRange { line, column, found, .. } => {
            assert!(message.starts_with(&format!("line {line}, column {column}: ")), "{message}");
            // A mark at the start of a file is not counted.
            let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
            let line = text.split(|&byte| byte == b'\n').nth(line - 1).expect("a line of the file");
            let first = *line.get(column - 1).expect("a byte of the line");
            assert!(!first.is_ascii_whitespace());
            let shown = found.bytes().next().expect("a word");
            assert!(shown == first || !first.is_ascii_graphic(), "{found:?} does not start with {first:#04x}");
        }
        IdsError::Empty => assert!(message.contains("no ids"), "{message}"),
        other => panic!("an error that this check does not know: {other:?}"),
    }
}

fn lines(file: &[u8]) -> usize {
    file.split(|&byte| byte == b'\n').count()
}
