//! Reading interactions, titles and labelled examples, and arranging them for training.

mod dataset;
mod error;
mod examples;
mod fields;
mod items;
mod layout;
mod libfm;
pub(crate) mod lines;
mod market;
mod market_words;
mod names;
mod reader;
mod stamp;

pub use dataset::{Dataset, Rows};
pub use error::ReadError;
pub use examples::{Examples, Unknown, Vocabulary};
pub use items::read_titles;
pub use layout::Format;
pub use libfm::read_libfm;
pub use market::Market;
pub use names::Names;
pub use reader::{Interactions, read_interactions};
pub use stamp::Stamp;
