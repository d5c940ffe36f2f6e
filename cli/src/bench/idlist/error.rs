//! Why a file of ids was refused.

/// Why a file of ids was refused. Lines, and the bytes of a line, are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdsError {
    /// A word is not what stands at its place.
    #[error("line {line}, column {column}: `{found}` is not {expected}")]
    BadWord {
        /// The line.
        line: usize,
        /// The first byte of the word.
        column: usize,
        /// The word, cut where it grows long, control characters escaped.
        found: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A whole number names no row.
    #[error("line {line}, column {column}: id {found} is out of range: ids must be in 0..{rows}")]
    OutOfRange {
        /// The line.
        line: usize,
        /// The first byte of the id.
        column: usize,
        /// The id, cut where it grows long.
        found: String,
        /// The rows that there are, or can be.
        rows: usize,
    },
    /// There is no id.
    #[error("the file holds no ids: expected lines such as `user id id`, `(user,id)<TAB>id<TAB>id`, or ids alone")]
    Empty,
}
