//! The format of the Python package `safetensors`: eight bytes for the length of the header, a header in JSON, and the tensors.

mod choose;
mod header;
mod layout;
mod names;
mod reader;
mod tables;
mod writer;

pub(crate) use choose::choose;
pub use header::{HEADER_CAP, Header, TensorInfo};
pub(crate) use layout::{Layout, NewTensor, lay_out};
pub(crate) use names::{check, check_at, read_names, read_titles, text_tensor};
pub use reader::SafetensorsReader;
pub use tables::write_tables;
pub use writer::SafetensorsWriter;

/// The name of the table in a file that holds one, unless another is asked for.
pub const DEFAULT_TABLE: &str = "embeddings";
