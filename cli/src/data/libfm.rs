//! Examples from lines such as `1 3:1 17:0.5`, as libFM and LIBSVM write them.

mod line;

use rayon::prelude::*;

use self::line::{Label, parse};
use super::error::{ReadError, quote};
use super::examples::Examples;
use super::lines::{Line, later_lines, without_mark};

/// What a line should look like.
const EXPECTED: &str = "a label (1 or -1, or 1 or 0) and pairs `index:value`, such as `1 3:1 17:0.5`";
/// Bytes that a thread reads in one go.
const CHUNK: usize = 1 << 20;

/// Reads labelled examples of sparse features: lines `label index:value index:value …` between spaces or tabs.
///
/// Labels are 1 and -1, or 1 and 0. An index is a whole number up to 2^31, counted from 0 or from 1, in any order; one that
/// stands in a line twice counts with the sum of its values. Values are any finite numbers. What follows a `#` is a comment, and
/// lines with nothing else are passed over. A line may have no features at all. The threads of the current pool share the work.
///
/// ```
/// let read = hotrow_cli::data::read_libfm(b"1 3:1 17:0.5\n-1 4:1  # a comment\n")?;
/// assert_eq!(read.labels(), [true, false]);
/// assert_eq!(read.of(0), (&[3, 17][..], &[1.0, 0.5][..]));
/// # Ok::<(), hotrow_cli::data::ReadError>(())
/// ```
///
/// # Errors
/// [`ReadError`], naming the line and the column, for the first line that is not of this form, and for a file without examples.
pub fn read_libfm(bytes: &[u8]) -> Result<Examples, ReadError> {
    read_in_chunks(without_mark(bytes), CHUNK)
}

fn read_in_chunks(bytes: &[u8], chunk: usize) -> Result<Examples, ReadError> {
    let parts: Vec<Part<'_>> = chunks(bytes, chunk).into_par_iter().map(Part::read).collect();
    let mut unlike = None;
    let (mut lines, mut examples, mut entries) = (0, 0, 0);
    for part in &parts {
        // A part has read nothing beyond its error, so what labels it has met come before.
        agree(&mut unlike, part, lines)?;
        if let Some(bad) = &part.bad {
            return Err(bad.clone().into_error(lines));
        }
        lines += part.lines;
        examples += part.examples.len();
        entries += part.examples.entries();
    }
    if examples == 0 {
        return Err(ReadError::Empty { expected: EXPECTED });
    }
    let mut all = Examples::default();
    all.reserve(examples, entries);
    for part in parts {
        all.append(&part.examples);
    }
    Ok(all)
}

/// Cuts text after the first end of a line beyond each so many bytes.
fn chunks(mut bytes: &[u8], chunk: usize) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let rest = bytes.get(chunk..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| chunk + at + 1);
        let (head, tail) = bytes.split_at(end);
        all.push(head);
        bytes = tail;
    }
    all
}

/// Checks that no label of a file is -1 where another is 0: those are two ways to say no, and in a file with both one of them
/// must mean something else. `unlike` is the first such label and its line.
fn agree(unlike: &mut Option<(Label, usize)>, part: &Part<'_>, before: usize) -> Result<(), ReadError> {
    let mut met = [(Label::Minus, part.minus), (Label::Zero, part.zero)];
    met.sort_by_key(|(_, line)| line.map_or(0, |line| line.number));
    for (label, line) in met {
        let Some(line) = line else { continue };
        let (first, at) = *unlike.get_or_insert((label, before + line.number));
        if first != label {
            let problem = format!(
                "the label is {}, but that of line {at} is {}; labels are 1 and -1, or 1 and 0",
                label.number(),
                first.number()
            );
            return Err(Bad { line, problem }.into_error(before));
        }
    }
    Ok(())
}

/// A line of a part that is wrong.
#[derive(Debug, Clone)]
struct Bad<'a> {
    line: Line<'a>,
    problem: String,
}

impl Bad<'_> {
    /// The error, for a part that stands behind so many lines.
    fn into_error(self, before: usize) -> ReadError {
        let text = String::from_utf8_lossy(self.line.bytes);
        ReadError::bad_line(before + self.line.number, &text, self.problem, EXPECTED)
    }
}

/// What was read from some lines, up to the first that is wrong.
#[derive(Debug, Default)]
struct Part<'a> {
    examples: Examples,
    /// All lines, blank ones as well.
    lines: usize,
    /// The first line whose label is -1.
    minus: Option<Line<'a>>,
    /// The first line whose label is 0.
    zero: Option<Line<'a>>,
    bad: Option<Bad<'a>>,
}

impl<'a> Part<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut part = Part { lines: bytes.iter().filter(|&&byte| byte == b'\n').count(), ..Part::default() };
        let mut entries = Vec::new();
        for line in later_lines(bytes) {
            match parse(line.bytes, &mut entries) {
                Ok(None) => {}
                Ok(Some(label)) => {
                    part.examples.push(label == Label::One, &entries);
                    match label {
                        Label::One => {}
                        Label::Minus => part.minus = part.minus.or(Some(line)),
                        Label::Zero => part.zero = part.zero.or(Some(line)),
                    }
                }
                Err((column, problem)) => {
                    part.bad = Some(Bad { line, problem: format!("column {column}: {problem}") });
                    break;
                }
            }
        }
        part
    }
}

/// A piece of a line as a message shows it.
fn shown(token: &[u8]) -> String {
    quote(&String::from_utf8_lossy(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"1 3:1 17:0.5\r\n\n# nothing\n-1\t4:1\t 4:-3.5e0  # end\n+1\n-1.0 9:0 0:1 3:.25 2147483648:7\n";

    #[test]
    fn lines_become_examples_however_the_file_is_cut() {
        let mut want = Examples::default();
        want.push(true, &[(3, 1.0), (17, 0.5)]);
        want.push(false, &[(4, -2.5)]);
        want.push(true, &[]);
        want.push(false, &[(0, 1.0), (3, 0.25), (9, 0.0), (1 << 31, 7.0)]);
        for chunk in 0..=TEXT.len() + 1 {
            assert_eq!(read_in_chunks(TEXT, chunk), Ok(want.clone()), "{chunk}");
        }
        assert_eq!(read_libfm(TEXT.trim_ascii_end()), Ok(want.clone()));
        assert_eq!(read_libfm(&[b"\xef\xbb\xbf", TEXT].concat()), Ok(want));
    }

    #[test]
    fn zero_is_also_a_no() {
        assert_eq!(read_libfm(b"0 1:1\n1 2:1\n0 3:1").unwrap().labels(), [false, true, false]);
        assert_eq!(read_libfm(b"1 2:1").unwrap().labels(), [true]);
    }

    #[track_caller]
    fn refused(text: &[u8], start: &str) {
        let all: Vec<_> = (0..=text.len()).map(|chunk| read_in_chunks(text, chunk).unwrap_err()).collect();
        assert!(all.iter().all(|error| *error == all[0]), "{all:?}");
        assert!(all[0].to_string().starts_with(start), "{}", all[0]);
    }

    #[test]
    fn bad_lines_are_named_with_their_column() {
        refused(
            b"1 1:1\n\n2 1:1\n",
            "line 3: column 1: the label `2` is not 1, -1 or 0\n  the line: 2 1:1\n  expected: a label (1",
        );
        refused(b"1 1:1\n1 2:x\n1 3:y\n", "line 2: column 5: the value `x` of feature 2 is not a finite number\n");
        refused(
            b"1 1:1\n-1 2:1\n0 3:1\n1 x\n",
            "line 3: the label is 0, but that of line 2 is -1; labels are 1 and -1, or 1 and 0\n",
        );
        refused(b"0\n-1\n0\n", "line 2: the label is -1, but that of line 1 is 0; ");
        refused(b"1 x\n0\n-1\n", "line 1: column 3: `x` is no pair `index:value`\n");
        refused(b"\xef\xbb\xbf1 1:1\n", "line 1: column 1: the label `\u{feff}1` is not");
        refused(b"1 1:1\n\xef\xbb\xbf1 1:1\n", "line 2: column 1: ");
        refused(b"# 1 1:1\n \r\n", "the file holds no data: expected a label (1 or -1");
        assert!(matches!(read_libfm(b""), Err(ReadError::Empty { .. })));
    }
}
