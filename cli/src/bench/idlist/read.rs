//! From bytes to ids: a pure function, which refuses what is no id and never panics.

use super::words::{Word, number, words};
use super::{IdFormat, IdList, IdsError};
use crate::bench::workload::shorten;
use crate::data::lines::lines;

/// The most rows that a table can have.
const MOST_ROWS: usize = u32::MAX as usize;

/// Reads ids for a table of `rows` rows, or of as many as it takes, in the given format or in the one that the file shows.
///
/// Blank lines are passed over. Users are not ids of the table: they are checked to be whole numbers, and left out.
///
/// ```
/// use hotrow_cli::bench::{IdFormat, read_ids};
///
/// let list = read_ids(b"0 7 8\n1\n2 9\n", None, None)?;
/// assert_eq!((list.format, list.ids, list.splits), (IdFormat::Bags, vec![7, 8, 9], Some(vec![0, 2, 2, 3])));
///
/// let error = read_ids(b"0 7 8\n1\n2 -9\n", None, None).unwrap_err();
/// assert_eq!(error.to_string(), "line 3, column 3: `-9` is not an id: a whole number of 0 or more");
/// # Ok::<(), hotrow_cli::bench::IdsError>(())
/// ```
///
/// # Errors
/// [`IdsError`] for the first word that is no id, no user, or no row of the table, and for a file without ids.
pub fn read_ids(bytes: &[u8], format: Option<IdFormat>, rows: Option<usize>) -> Result<IdList, IdsError> {
    let format = format.unwrap_or_else(|| IdFormat::detect(bytes));
    let rows = rows.unwrap_or(MOST_ROWS).min(MOST_ROWS);
    let (mut ids, mut splits) = (Vec::new(), vec![0]);
    for line in lines(bytes) {
        let mut words = words(line.bytes).map(|word| At { line: line.number, word });
        match format {
            IdFormat::Ids => {}
            IdFormat::Bags => words.next().map_or(Ok(()), At::user)?,
            IdFormat::Negatives => ids.extend(words.next().map(|at| at.positive(rows)).transpose()?),
        }
        for at in words {
            ids.push(at.id(rows)?);
        }
        splits.push(ids.len());
    }
    if ids.is_empty() {
        return Err(IdsError::Empty);
    }
    Ok(IdList { ids, splits: (format != IdFormat::Ids).then_some(splits), format })
}

/// A word and its line.
#[derive(Clone, Copy)]
struct At<'a> {
    line: usize,
    word: Word<'a>,
}

impl At<'_> {
    fn user(self) -> Result<(), IdsError> {
        number(self.word.bytes).map(|_| ()).ok_or_else(|| self.bad("a user: a whole number of 0 or more"))
    }

    fn id(self, rows: usize) -> Result<u32, IdsError> {
        let Word { column, bytes } = self.word;
        if bytes.iter().any(|byte| !byte.is_ascii_digit()) {
            return Err(self.bad("an id: a whole number of 0 or more"));
        }
        // Digits alone that are no number are too many: more than any table has rows.
        let id = number(bytes).and_then(|id| u32::try_from(id).ok()).filter(|&id| (id as usize) < rows);
        id.ok_or_else(|| IdsError::OutOfRange { line: self.line, column, found: self.shown(), rows })
    }

    /// The item of `(user,item)`.
    fn positive(self, rows: usize) -> Result<u32, IdsError> {
        let Word { column, bytes } = self.word;
        let pair = bytes.strip_prefix(b"(").and_then(|rest| rest.strip_suffix(b")")).unwrap_or_default();
        match pair.iter().position(|&byte| byte == b',') {
            Some(comma) if comma > 0 && comma + 1 < pair.len() => {
                let part = |from: usize, bytes| At { word: Word { column: column + 1 + from, bytes }, ..self };
                part(0, &pair[..comma]).user()?;
                part(comma + 1, &pair[comma + 1..]).id(rows)
            }
            _ => Err(self.bad("(user,item), two whole numbers")),
        }
    }

    fn bad(self, expected: &'static str) -> IdsError {
        IdsError::BadWord { line: self.line, column: self.word.column, found: self.shown(), expected }
    }

    fn shown(self) -> String {
        shorten(&String::from_utf8_lossy(self.word.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::IdFormat::{Bags, Ids, Negatives};
    use super::*;

    fn read(bytes: &[u8], format: Option<IdFormat>) -> (Vec<u32>, Option<Vec<usize>>, IdFormat) {
        let IdList { ids, splits, format } = read_ids(bytes, format, None).expect("a good file");
        (ids, splits, format)
    }

    #[test]
    fn lines_become_bags_or_a_list() {
        assert_eq!(read(b"0 7 8 \r\n1\n\n2\t9", None), (vec![7, 8, 9], Some(vec![0, 2, 2, 3]), Bags));
        assert_eq!(read(b"(0,25)\t4\t6\n(1,3)\n", None), (vec![25, 4, 6, 3], Some(vec![0, 3, 4]), Negatives));
        assert_eq!(read(b"\n5\n4 4\n0\n", None), (vec![5, 4, 4, 0], None, Ids));
        assert_eq!(read(b"0 7 8\n1\n2 9\n", Some(Ids)), (vec![0, 7, 8, 1, 2, 9], None, Ids));
        assert_eq!(read(b"9 5\n9 4\n", Some(Bags)), (vec![5, 4], Some(vec![0, 1, 2]), Bags));
        assert_eq!(read(b"4294967294", None).0, [u32::MAX - 1]);
    }

    #[test]
    fn errors_name_line_column_and_value() {
        const ID: &str = "is not an id: a whole number of 0 or more";
        const PAIR: &str = "is not (user,item), two whole numbers";
        let cases: &[(&[u8], Option<IdFormat>, &str)] = &[
            (b"1 2\nx", None, &format!("line 2, column 1: `x` {ID}")),
            (b"0 1\n1 2 -3\n", None, &format!("line 2, column 5: `-3` {ID}")),
            (b"1,2", None, &format!("line 1, column 1: `1,2` {ID}")),
            (b"7 \xff\x1b", None, &format!("line 1, column 3: `\u{fffd}\\u{{1b}}` {ID}")),
            (b"1.5", None, &format!("line 1, column 1: `1.5` {ID}")),
            (b"8 4294967295", None, "line 1, column 3: id 4294967295 is out of range: ids must be in 0..4294967295"),
            (b"99999999999999999999", None, "id 99999999999999999999 is out of range"),
            (b"u1 5\n", Some(Bags), "line 1, column 1: `u1` is not a user: a whole number of 0 or more"),
            (b"5 6\n", Some(Negatives), &format!("line 1, column 1: `5` {PAIR}")),
            (b"(1,2)\n (3)\n", None, &format!("line 2, column 2: `(3)` {PAIR}")),
            (b"(1,)", None, &format!("line 1, column 1: `(1,)` {PAIR}")),
            (b"(,1)", None, &format!("line 1, column 1: `(,1)` {PAIR}")),
            (b"(,", None, &format!("line 1, column 1: `(,` {PAIR}")),
            (b"(1,x)", None, &format!("line 1, column 4: `x` {ID}")),
            (b"(x,1)", None, "line 1, column 2: `x` is not a user"),
            (b"(1,2,3)", None, &format!("line 1, column 4: `2,3` {ID}")),
            (b"", None, "the file holds no ids"),
            (b"0\n1\n", Some(Bags), "the file holds no ids"),
        ];
        for (bytes, format, expected) in cases {
            let message = read_ids(bytes, *format, None).expect_err(expected).to_string();
            assert!(message.contains(expected), "{}: {message}", String::from_utf8_lossy(bytes));
        }
        let long = read_ids("9".repeat(500).as_bytes(), None, None).expect_err("too many digits").to_string();
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn ids_must_be_rows_of_the_table() {
        assert!(read_ids(b"0 9\n", None, Some(10)).is_ok());
        let error = read_ids(b"0 9\n3 10\n", None, Some(10)).expect_err("row 10 of 10");
        assert_eq!(error, IdsError::OutOfRange { line: 2, column: 3, found: "10".to_owned(), rows: 10 });
    }

    #[test]
    fn what_was_read_is_said_in_one_line() {
        let bags = read_ids(b"0 7 8 7\n1\n2 9\n", None, None).expect("a good file");
        assert_eq!(bags.to_string(), "4 ids, 3 different, in 3 bags (longest 3, empty 1); read as bags");
        assert_eq!((bags.bags(), bags.rows(), bags.distinct()), (3, 10, 3));
        let ids = read_ids(b"1000\n1000\n", None, None).expect("a good file");
        assert_eq!(ids.to_string(), "2 ids, 1 different; read as ids");
        assert_eq!((ids.bags(), ids.rows()), (0, 1001));
    }
}
