//! Why a workload list was refused: which workload, which field, what is wrong with it.

use std::fmt;

/// Why a workload list was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// The bytes are not JSON.
    #[error("the workload list is not valid JSON: {message}")]
    Json {
        /// What the JSON reader says, with line and column.
        message: String,
    },
    /// Something about the list as a whole.
    #[error("the workload list: field `{field}` {problem}")]
    List {
        /// Which field of the outermost object.
        field: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A field of one workload.
    #[error("workload {workload}: field `{field}` {problem}")]
    Field {
        /// The workload's name in quotes, or its place in the list (`#3`) where it has no usable name.
        workload: String,
        /// Which field.
        field: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// Two workloads have one name.
    #[error("workload {name:?} is there twice: as number {first} and as number {second} of the list")]
    Duplicate {
        /// The name.
        name: String,
        /// The place of the first one, counted from 1.
        first: usize,
        /// The place of the second one.
        second: usize,
    },
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// It is required and not there.
    Missing,
    /// No field has this name.
    Unknown {
        /// The names that exist.
        known: &'static [&'static str],
    },
    /// It is there, but means nothing for this workload.
    DoesNotApply {
        /// To what it does not apply.
        to: &'static str,
    },
    /// It holds a value of another kind.
    Expected {
        /// What should be there.
        what: &'static str,
        /// The value found, as short JSON.
        found: String,
    },
    /// Its word is not one of the known ones.
    NotOneOf {
        /// The words that exist.
        known: &'static [&'static str],
        /// The word found.
        found: String,
    },
    /// A list that should have one number a table has another length.
    WrongLength {
        /// How many tables there are.
        tables: usize,
        /// How many numbers are in the list.
        found: usize,
    },
    /// A size that follows from it does not fit this machine's addresses, or the largest table.
    TooLarge {
        /// The size that is too large.
        what: &'static str,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing => f.write_str("is missing"),
            Problem::Unknown { known } => {
                write!(f, "is not known: the fields are {}", Words(known))
            }
            Problem::DoesNotApply { to } => write!(f, "does not apply to {to}"),
            Problem::Expected { what, found } => write!(f, "must be {what}, not {found}"),
            Problem::NotOneOf { known, found } => {
                write!(f, "must be one of {}, not {found:?}", Words(known))
            }
            Problem::WrongLength { tables, found } => {
                write!(f, "must have one number for each of the {tables} tables, but has {found}")
            }
            Problem::TooLarge { what } => write!(f, "makes {what} too large for this machine"),
        }
    }
}

/// Prints `a, b, c`.
struct Words(&'static [&'static str]);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, word) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{word}")?;
        }
        Ok(())
    }
}
