//! NumPy's `.npy`: one array. [The format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) is a magic word, a header that
//! is a Python dictionary, and the values.

mod element;
mod header;
mod read;
mod write;

pub(in crate::store) use element::Descr;
#[cfg(feature = "keras-h5")]
pub(super) use element::{Kind, Number};
pub(in crate::store) use header::{Header, read_header};
pub(super) use read::{NpyReader, Progress, ends_early, info, numbers};
pub(super) use write::{NpyWriter, header_for, header_of_rows};
