//! NumPy's `.npz`: a zip archive of arrays. Rows are its only array of numbers with two dimensions, or the one that is asked for; words are its
//! only array of texts with as many entries.

mod entry;
mod list;
mod read;
mod words;
mod write;

pub(in crate::store) use list::{list, verify};
pub(super) use read::NpzReader;
pub(super) use write::NpzWriter;
