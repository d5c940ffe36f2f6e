//! Interactions from the bytes of a file.

use std::borrow::Cow;
use std::collections::HashMap;

use super::error::{ReadError, quote};
use super::fields::split;
use super::layout::{Format, Layout};
use super::lines::{Line, lines};
use super::names::Names;
use super::stamp::Stamp;

/// Who took what, and when, in the order of the file. Users and items are numbered by first appearance.
#[derive(Debug, Clone, PartialEq)]
pub struct Interactions {
    /// Ids of the users, as written in the file.
    pub users: Names,
    /// Ids of the items, as written in the file.
    pub items: Names,
    /// For each interaction, the number of its user.
    pub user: Vec<u32>,
    /// For each interaction, the number of its item.
    pub item: Vec<u32>,
    /// For each interaction, its time; `None` when the file has no times.
    pub time: Option<Vec<Stamp>>,
    /// The format that was read.
    pub format: Format,
}

impl Interactions {
    /// How many interactions there are.
    pub fn len(&self) -> usize {
        self.user.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.user.is_empty()
    }
}

/// Reads interactions in the given format, or in the one that the first line shows.
///
/// Ratings are checked to be numbers and otherwise left alone: every line counts as an interaction.
///
/// ```
/// let read = hotrow_cli::data::read_interactions(b"ann tea\nbob tea\nann rye\n", None)?;
/// assert_eq!((read.users.len(), read.items.len(), read.len()), (2, 2, 3));
/// assert_eq!(read.users.get(0), "ann");
/// # Ok::<(), hotrow_cli::data::ReadError>(())
/// ```
///
/// # Errors
/// [`ReadError`], naming the line, for the first line that does not fit the format, for text that is not UTF-8 and for a
/// file without data.
pub fn read_interactions(bytes: &[u8], format: Option<Format>) -> Result<Interactions, ReadError> {
    const EMPTY: ReadError = ReadError::Empty { expected: "lines such as `user item [rating [timestamp]]`" };
    let mut lines = lines(bytes).peekable();
    let first = *lines.peek().ok_or(EMPTY)?;
    let text = first.text()?;
    let layout =
        Layout::new(text, format).map_err(|(problem, expected)| ReadError::bad_line(first.number, text, problem, expected))?;
    if layout.header {
        lines.next();
    }

    let mut users = Interner::default();
    let mut items = Interner::default();
    let mut times = Vec::new();
    for line in lines {
        let record = Record::parse(line, &layout)?;
        users.number(record.user, line.number, "users")?;
        items.number(record.item, line.number, "items")?;
        times.extend(record.time);
    }
    if users.numbers.is_empty() {
        return Err(EMPTY);
    }
    Ok(Interactions {
        users: users.names,
        items: items.names,
        user: users.numbers,
        item: items.numbers,
        time: layout.time.map(|_| times),
        format: layout.format,
    })
}

/// What one line says.
struct Record<'a> {
    user: Cow<'a, str>,
    item: Cow<'a, str>,
    time: Option<Stamp>,
}

impl<'a> Record<'a> {
    fn parse(line: Line<'a>, layout: &Layout) -> Result<Self, ReadError> {
        let text = line.text()?;
        let bad = |problem: String| ReadError::bad_line(line.number, text, problem, layout.expected());
        let mut at = 0;
        let mut user = Cow::Borrowed("");
        let mut item = Cow::Borrowed("");
        let mut time = None;
        let mut problem = None;
        split(text, layout.separator, |field| {
            if at == layout.user {
                user = field;
            } else if at == layout.item {
                item = field;
            } else if Some(at) == layout.rating {
                if !field.parse::<f64>().is_ok_and(f64::is_finite) {
                    problem = Some(format!("the rating `{}` is not a number", quote(&field)));
                }
            } else if Some(at) == layout.time {
                time = Stamp::parse(&field);
                if time.is_none() {
                    problem = Some(format!("the timestamp `{}` is not a number", quote(&field)));
                }
            }
            at += 1;
            problem.is_none() && at <= layout.width
        });
        if let Some(problem) = problem {
            return Err(bad(problem));
        }
        if at != layout.width {
            let more = if at > layout.width { " or more" } else { "" };
            let plural = if at == 1 { "" } else { "s" };
            return Err(bad(format!("it has {at}{more} field{plural}")));
        }
        if user.is_empty() {
            return Err(bad("the user is empty".into()));
        }
        if item.is_empty() {
            return Err(bad("the item is empty".into()));
        }
        Ok(Record { user, item, time })
    }
}

/// Numbers ids by first appearance.
#[derive(Default)]
struct Interner<'a> {
    known: HashMap<Cow<'a, str>, u32>,
    names: Names,
    numbers: Vec<u32>,
}

impl<'a> Interner<'a> {
    fn number(&mut self, name: Cow<'a, str>, line: usize, what: &'static str) -> Result<(), ReadError> {
        let number = match self.known.get(&name) {
            Some(&number) => number,
            None => {
                let number = u32::try_from(self.names.len())
                    .ok()
                    .filter(|&number| number < u32::MAX)
                    .ok_or(ReadError::TooMany { line, what })?;
                self.names.push(&name);
                self.known.insert(name, number);
                number
            }
        };
        self.numbers.push(number);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN_BOB: [(&str, &str, i64); 3] = [("ann", "x", 3), ("bob", "x", 1), ("ann", "y", 2)];

    #[track_caller]
    fn rows(bytes: &[u8], format: Option<Format>) -> Vec<(String, String, Option<Stamp>)> {
        let read = read_interactions(bytes, format).unwrap_or_else(|error| panic!("{error}"));
        (0..read.len())
            .map(|k| {
                (
                    read.users.get(read.user[k] as usize).to_owned(),
                    read.items.get(read.item[k] as usize).to_owned(),
                    read.time.as_ref().map(|times| times[k]),
                )
            })
            .collect()
    }

    fn timed() -> Vec<(String, String, Option<Stamp>)> {
        ANN_BOB.map(|(u, i, t)| (u.into(), i.into(), Some(t.into()))).into()
    }

    fn untimed() -> Vec<(String, String, Option<Stamp>)> {
        ANN_BOB.map(|(u, i, _)| (u.into(), i.into(), None)).into()
    }

    #[test]
    fn every_format_gives_the_same_interactions() {
        let inter = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\nann\tx\t4\t3\nbob\tx\t5\t1\nann\ty\t1\t2";
        assert_eq!(rows(inter, None), timed());
        assert_eq!(rows(b"ann\tx\t4\t3\nbob\tx\t5\t1\nann\ty\t1\t2\n", None), timed());
        assert_eq!(rows(b"ann::x::4::3\nbob::x::5::1\nann::y::1::2\n", None), timed());
        assert_eq!(
            rows(b"\xef\xbb\xbfuserId,movieId,rating,timestamp\r\nann,x,4.5,3\r\nbob,\"x\",5,1\r\nann,y,1,2\r\n", None),
            timed()
        );
        assert_eq!(rows(b"ann x 4 3\n\n bob  x 5 1\nann\ty 1 2", None), timed());
        assert_eq!(rows(b"ann,x,4,3\nbob, x, 5, 1\nann,y,1,2", None), timed());
        assert_eq!(rows(b"ann x\nbob x\nann y", None), untimed());
        assert_eq!(rows(b"ann x 1\nbob x 1\nann y 1", None), untimed());
        assert_eq!(rows(b"user,item\nann,x\nbob,x\nann,y", Some(Format::Pairs)), untimed());
    }

    #[track_caller]
    fn refused(bytes: &[u8], format: Option<Format>) -> String {
        read_interactions(bytes, format).unwrap_err().to_string()
    }

    #[test]
    fn bad_lines_are_named_and_shown() {
        assert_eq!(
            refused(b"1\t2\t3\t4\n\n1\t2\tthree\t4\n", None),
            "line 3: the rating `three` is not a number\n  the line: 1\\t2\\tthree\\t4\n  expected: 4 fields between tabs: \
             `user<TAB>item<TAB>rating<TAB>timestamp`"
        );
        assert_eq!(
            refused(b"a b\nc\n", None),
            "line 2: it has 1 field\n  the line: c\n  expected: 2 fields between spaces or tabs: `user item`"
        );
        assert!(refused(b"a b\nc d 1\n", None).starts_with("line 2: it has 3 or more fields\n"));
        assert!(refused(b"a,b\nc,\n", None).starts_with("line 2: the item is empty\n"));
        assert!(refused(b"a::b::1::2\n::b::1::2", None).starts_with("line 2: the user is empty\n"));
        assert!(refused(b"a b 1 noon", None).starts_with("line 1: the timestamp `noon` is not a number\n"));
        assert!(refused(b"a b nan", None).starts_with("line 1: the rating `nan` is not a number\n"));
        assert!(refused(b"a b\nc \xff", None).starts_with("line 2: byte 3 is 0xff"));
        assert!(refused(b"a b", Some(Format::UData)).starts_with("line 1: it has 1 field\n"));
        assert!(refused(b"", None).starts_with("the file holds no data"));
        assert!(refused(b"\n \r\n", None).starts_with("the file holds no data"));
        assert!(refused(b"userId,movieId\n", None).starts_with("the file holds no data"));
    }

    #[test]
    fn other_columns_are_passed_over_in_any_order() {
        let inter = b"x:token\titem_id:token\tuser_id:token\n1\ta\tu\n\tb\tu";
        let read = read_interactions(inter, None).unwrap();
        assert_eq!((read.users.get(0), read.items.get(1), read.len()), ("u", "b", 2));
        assert_eq!(read.time, None);
    }
}
