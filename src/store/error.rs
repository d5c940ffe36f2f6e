//! What can be wrong with a file.

use std::fmt;
use std::io;
use std::path::Path;

use crate::error::Error;

/// What every fallible function on files returns.
pub type FileResult<T> = std::result::Result<T, FileError>;

/// Why a file could not be read or written. A write that returns an error has left the old file as it was.
///
/// ```
/// use hotrow::store::{FileError, Place};
///
/// let error = FileError::malformed("words.vec", Place::Line { line: 3, column: 7 }, "`1.2.3` is no number");
/// assert_eq!(error.to_string(), "words.vec: line 3, column 7: `1.2.3` is no number");
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refused.
    #[error("{path}: cannot {action}: {reason}")]
    Io {
        /// The file or folder.
        path: String,
        /// What was tried, such as `read the file`.
        action: &'static str,
        /// What kind of refusal it was.
        kind: io::ErrorKind,
        /// What the system said.
        reason: String,
    },
    /// The file is not what its format asks for.
    #[error("{path}: {place}{problem}")]
    Malformed {
        /// The file, or a name for the bytes.
        path: String,
        /// Where.
        place: Place,
        /// What is wrong there.
        problem: String,
    },
    /// The file is as its format asks, but holds what cannot be used here.
    #[error("{path}: {problem}")]
    Unsupported {
        /// The file, or a name for the bytes.
        path: String,
        /// What cannot be used, and what can.
        problem: String,
    },
    /// The bytes are not those that were written.
    #[error("{path}: {what} is damaged: its checksum is {found:08x}, and {expected:08x} was recorded")]
    Checksum {
        /// The file.
        path: String,
        /// Which part, such as ``tensor `users.weight` ``.
        what: String,
        /// The CRC-32 that was recorded.
        expected: u32,
        /// The CRC-32 of the bytes.
        found: u32,
    },
    /// The engine refused what the file holds, such as more rows than there is memory for.
    #[error("{path}: {error}")]
    Engine {
        /// The file, or a name for the bytes.
        path: String,
        /// What the engine said.
        error: Error,
    },
}

/// Where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The file as a whole.
    Whole,
    /// So many bytes from its start.
    Byte(u64),
    /// In a text.
    Line {
        /// The line, from 1.
        line: u64,
        /// The column, from 1, in characters.
        column: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Whole => Ok(()),
            Place::Byte(at) => write!(f, "at byte {at}: "),
            Place::Line { line, column } => write!(f, "line {line}, column {column}: "),
        }
    }
}

impl FileError {
    /// [`FileError::Malformed`].
    pub fn malformed(path: impl Into<String>, place: Place, problem: impl Into<String>) -> FileError {
        FileError::Malformed { path: path.into(), place, problem: problem.into() }
    }

    /// [`FileError::Unsupported`].
    pub fn unsupported(path: impl Into<String>, problem: impl Into<String>) -> FileError {
        FileError::Unsupported { path: path.into(), problem: problem.into() }
    }

    pub(crate) fn io(path: &Path, action: &'static str, error: &io::Error) -> FileError {
        FileError::Io { path: path.display().to_string(), action, kind: error.kind(), reason: error.to_string() }
    }

    pub(crate) fn engine(path: impl Into<String>, error: Error) -> FileError {
        FileError::Engine { path: path.into(), error }
    }
}
