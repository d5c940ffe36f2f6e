//! Why a run of the benchmark ended early.

use std::io;
use std::path::PathBuf;

use super::idlist::IdsError;
use super::workload::WorkloadError;

/// Why a run of the benchmark ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The file of workloads or of ids cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The workload file can be read, but means nothing.
    #[error("{}: {source}", path.display())]
    Workloads {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: WorkloadError,
    },
    /// The file of ids can be read, but holds something else.
    #[error("{}: {source}", path.display())]
    Ids {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IdsError,
    },
    /// A table for the ids of a file, or a batch of its rows, fits no address space.
    #[error("{rows} rows of {dim} values are too large for this machine's addresses")]
    TooLarge {
        /// The rows of the table.
        rows: usize,
        /// The values of a row.
        dim: usize,
    },
    /// The filter is no regular expression.
    #[error("--filter {filter:?} is not a regular expression: {message}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        message: String,
    },
    /// No workload has a name that the filter matches.
    #[error("no workload matches --filter {filter:?}; `hotrow bench --list` shows their names")]
    NothingMatches {
        /// The filter as given.
        filter: String,
    },
    /// The engine refused a call.
    #[error("workload {workload:?}: {source}")]
    Engine {
        /// The workload.
        workload: String,
        /// What the engine says.
        source: hotrow::Error,
    },
    /// The engine's result differs from the plain loop's.
    #[error("workload {workload:?}: {what} is wrong in row {row}, column {column}: {found}, where the plain loop has {expected}")]
    WrongResult {
        /// The workload.
        workload: String,
        /// Which result.
        what: String,
        /// The row of the result.
        row: usize,
        /// The column of the result.
        column: usize,
        /// The value found.
        found: f32,
        /// The plain loop's value.
        expected: f32,
    },
    /// The picture cannot be written.
    #[error("{message}")]
    Plot {
        /// Which, and why.
        message: String,
    },
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Write(#[from] io::Error),
}
