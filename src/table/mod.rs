//! Tables: rows of one element type, owned or borrowed.

mod any;
mod initializer;
mod layout;
mod memory;
mod owned;
mod view;

pub use any::AnyTable;
pub use initializer::{Fan, Initializer, Spread};
pub(crate) use memory::FILL_BYTES;
pub use memory::{Buffer, MemoryReport};
pub use owned::Table;
pub(crate) use view::for_view;
pub use view::{AnyView, AnyViewMut, TableView, TableViewMut};
