//! The lines of a file, as every reader sees them.

use super::error::{ReadError, quote};

/// One line that is not blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Its number in the file, from 1; blank lines count.
    pub number: usize,
    /// Its bytes, without the line ending.
    pub bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// The line as text, or an error that names the first bad byte.
    pub(super) fn text(self) -> Result<&'a str, ReadError> {
        std::str::from_utf8(self.bytes).map_err(|error| {
            let at = error.valid_up_to();
            ReadError::NotUtf8 {
                line: self.number,
                column: at + 1,
                value: self.bytes[at],
                text: quote(&String::from_utf8_lossy(self.bytes)),
            }
        })
    }
}

/// The lines that are not blank. A byte order mark and `\r\n` endings are taken off; the last line needs no ending.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    later_lines(without_mark(bytes))
}

/// A file without its byte order mark.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// [`lines`] of a part of a file that has no byte order mark; the first line of the part is line 1.
pub(super) fn later_lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    bytes
        .split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| Line { number: index + 1, bytes: line.strip_suffix(b"\r").unwrap_or(line) })
        .filter(|line| !line.bytes.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::{ReadError, lines};

    #[test]
    fn endings_marks_and_blank_lines_are_taken_off() {
        let found: Vec<_> = lines(b"\xef\xbb\xbfa\r\n\r\n \t\nb\n\nc").map(|line| (line.number, line.text().unwrap())).collect();
        assert_eq!(found, [(1, "a"), (4, "b"), (6, "c")]);
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(lines(b"\xef\xbb\xbf\n").count(), 0);
    }

    #[test]
    fn bad_bytes_are_named_with_line_and_column() {
        let line = lines(b"ok\nab\xff\xfe").nth(1).unwrap();
        assert_eq!(line.text(), Err(ReadError::NotUtf8 { line: 2, column: 3, value: 0xff, text: "ab\u{fffd}\u{fffd}".into() }));
    }
}
