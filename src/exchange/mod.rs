//! What the processes of one model send to each other when their tables are cut into shards: ids to the shards' owners, vectors back, and
//! gradients after them.
//!
//! Nothing here moves a byte from one process to another. A rank routes its batch ([`Routes::route_bags`]), which gives a message for every owner;
//! whoever calls carries the messages over; the owner puts what it received together ([`Routes::receive_bags`]) as the input of an ordinary
//! [`EmbeddingBagCollection`](crate::EmbeddingBagCollection) whose tables are its shards, and packs the rows of the output for the ranks that asked.
//! [`Routes::route_ids`] and [`Routes::receive_ids`] do the same for rows that are not pooled.
//!
//! The order of everything is fixed: examples of rank 0, then those of rank 1, and so on. So what an owner computes is what one process would
//! compute of the batches put one behind the other, to the bit. The one exception is the forward of bags whose table is cut by rows: the owners'
//! sums are added in the order of their rows, and divided after that. [`reference::pool_in_parts`](crate::reference::pool_in_parts) is that sum.
//!
//! An optimizer that looks at a row as a whole can train tables that are cut by columns, too: their owners get gradients of whole rows
//! ([`Routes::with_whole_rows`]), and their optimizers are [of columns](crate::Optimizer::of_columns).

mod bags;
mod distinct;
mod ids;
mod routes;
mod sequences;
mod vectors;
mod wire;

pub use bags::{ReceivedBags, RoutedBags};
pub use routes::{Routes, Shard, Stream};
pub use sequences::{ReceivedIds, RoutedIds};
pub use wire::{refusal, refused};

use crate::error::{Error, Result};

/// An empty vector with room for `n` values.
fn room<T>(n: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(n).map_err(|_| Error::OutOfMemory { bytes: n.saturating_mul(size_of::<T>()) })?;
    Ok(values)
}

/// `n` values that are all the same.
fn filled<T: Clone>(n: usize, value: T) -> Result<Vec<T>> {
    let mut values = room(n)?;
    values.resize(n, value);
    Ok(values)
}

/// Refuses anything but one message from each.
fn check_count(messages: usize, expected: usize) -> Result<()> {
    if messages == expected {
        return Ok(());
    }
    Err(Error::DamagedMessage {
        rank: messages.min(expected),
        problem: format!("{messages} messages came, and {expected} were expected"),
    })
}

/// Refuses values of another shape.
fn check_values(what: &'static str, expected: &[usize], actual: usize) -> Result<()> {
    let needed = expected.iter().product();
    if needed == actual { Ok(()) } else { Err(Error::ShapeMismatch { what, expected: expected.to_vec(), needed, actual }) }
}
