//! What can be wrong with a file of interactions or titles.

use thiserror::Error;

/// Longest piece of a line that an error quotes, in characters.
const QUOTED: usize = 120;

/// Why a file could not be read. Lines are numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A line does not fit the format.
    #[error("line {line}: {problem}\n  the line: {text}\n  expected: {expected}")]
    BadLine {
        /// Number of the line.
        line: usize,
        /// What is wrong with it.
        problem: String,
        /// The line itself, cut after 120 characters, control characters escaped.
        text: String,
        /// What such a line looks like.
        expected: String,
    },
    /// A line holds bytes that are not UTF-8.
    #[error(
        "line {line}: byte {column} is 0x{value:02x}, which is not UTF-8 text\n  the line: {text}\n  expected: a file saved as UTF-8"
    )]
    NotUtf8 {
        /// Number of the line.
        line: usize,
        /// Position of the first bad byte in the line, from 1.
        column: usize,
        /// The bad byte.
        value: u8,
        /// The line, with each bad byte shown as U+FFFD.
        text: String,
    },
    /// The file has no data line.
    #[error("the file holds no data: expected {expected}")]
    Empty {
        /// What was looked for.
        expected: &'static str,
    },
    /// More distinct ids than 32 bits can number.
    #[error("line {line}: more than {max} different {what}; ids are numbered with 32 bits", max = u32::MAX)]
    TooMany {
        /// Number of the line.
        line: usize,
        /// "users" or "items".
        what: &'static str,
    },
}

impl ReadError {
    pub(super) fn bad_line(line: usize, text: &str, problem: impl Into<String>, expected: impl Into<String>) -> Self {
        ReadError::BadLine { line, problem: problem.into(), text: quote(text), expected: expected.into() }
    }
}

/// A line as an error shows it: short, and safe to print on a terminal.
pub(super) fn quote(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTED)
        .flat_map(|c| {
            // A tab separates fields, so it is shown, but in a form that can be seen.
            let escape = c.is_control();
            let escaped = escape.then(|| c.escape_default());
            escaped.into_iter().flatten().chain((!escape).then_some(c))
        })
        .collect();
    if text.chars().nth(QUOTED).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn a_quoted_line_is_short_and_has_no_control_characters() {
        assert_eq!(quote("a\tb\u{1b}[31m"), "a\\tb\\u{1b}[31m");
        let long = "é".repeat(500);
        assert_eq!(quote(&long).chars().count(), 121);
        assert_eq!(quote(&"é".repeat(120)).chars().count(), 120);
    }
}
