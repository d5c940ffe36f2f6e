//! The input of a collection: lists of ids under keys.

use crate::error::{Error, Result};
use crate::index::{Bags, Ids, Offset};

/// A batch of lists of ids under keys: TorchRec's `KeyedJaggedTensor`.
///
/// The lists stand key by key: first those of the first key for every example, then those of the second, and so on. An example may have no
/// ids, or many, under each key.
///
/// ```
/// use hotrow::KeyedJagged;
///
/// // Two examples: [1, 2] and [] under "user", [7] and [8, 9] under "item".
/// let input = KeyedJagged::from_lengths(&["user", "item"], &[1i64, 2, 7, 8, 9], &[2i32, 0, 1, 2]);
/// assert_eq!(input.batch_size()?, 2);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyedJagged<'a> {
    keys: Vec<&'a str>,
    lists: Bags<'a>,
}

impl<'a> KeyedJagged<'a> {
    /// Lists by how many ids each has: `keys.len() * batch` lengths.
    pub fn from_lengths<O: Offset>(
        keys: &'a [impl AsRef<str>],
        values: impl Into<Ids<'a>>,
        lengths: &'a (impl AsRef<[O]> + ?Sized),
    ) -> KeyedJagged<'a> {
        KeyedJagged { keys: names(keys), lists: Bags::from_lengths(values, lengths) }
    }

    /// Lists by where each starts and where the last one ends: `keys.len() * batch + 1` offsets.
    pub fn from_offsets<O: Offset>(
        keys: &'a [impl AsRef<str>],
        values: impl Into<Ids<'a>>,
        offsets: &'a (impl AsRef<[O]> + ?Sized),
    ) -> KeyedJagged<'a> {
        KeyedJagged { keys: names(keys), lists: Bags::from_splits(values, offsets) }
    }

    /// One weight an id, in the order of the ids.
    #[must_use]
    pub fn with_weights(self, weights: &'a [f32]) -> KeyedJagged<'a> {
        KeyedJagged { lists: self.lists.with_weights(weights), ..self }
    }

    /// The keys.
    pub fn keys(&self) -> &[&'a str] {
        &self.keys
    }

    /// How many examples there are.
    ///
    /// # Errors
    /// [`Error::KeyedLists`] when the lists cannot be shared out evenly among the keys.
    pub fn batch_size(&self) -> Result<usize> {
        let (keys, lists) = (self.keys.len(), self.lists.count());
        match lists.checked_div(keys) {
            Some(batch) if batch * keys == lists => Ok(batch),
            None if lists == 0 => Ok(0),
            _ => Err(Error::KeyedLists { lists, keys }),
        }
    }

    pub(crate) fn lists(&self) -> &Bags<'a> {
        &self.lists
    }
}

fn names(keys: &[impl AsRef<str>]) -> Vec<&str> {
    keys.iter().map(AsRef::as_ref).collect()
}
