//! Rows of numbers separated by commas or tabs, with or without words in the first column, with or without a line of names.

mod read;
mod write;

pub(super) use read::CsvReader;
pub(super) use write::CsvWriter;
