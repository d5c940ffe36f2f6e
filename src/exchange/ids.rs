//! Ids in a message: as they are, or each distinct one once with an index.

use crate::error::Result;

use super::distinct::Distinct;
use super::wire::{Numbers, Reader, Writer, u32s};

/// The number of bytes that a distinct id of a list may be named by, where that is to be shorter than the id itself.
const SHORT: usize = 1 << 16;

const PLAIN: u8 = 0;
const DISTINCT: u8 = 1;

/// Writes ids in whichever form is shorter; as they are, unless `deduplicate`.
pub(super) fn put(message: &mut Writer, ids: &[u32], deduplicate: bool) -> Result<()> {
    // An index takes two bytes of the four that an id takes, so half of the ids have to be others' doubles.
    let found = if deduplicate { Distinct::of(ids, SHORT.min(ids.len() / 2))? } else { None };
    match found {
        Some(found) if !ids.is_empty() && bytes(&found) < 4 * ids.len() => put_distinct(message, &found),
        _ => {
            message.u8(PLAIN);
            message.u32s(ids);
        }
    }
    Ok(())
}

/// What ids and index take.
fn bytes(found: &Distinct) -> usize {
    let width = if found.ids.len() <= 1 << 8 { 1 } else { 2 };
    4 + 4 * found.ids.len() + 1 + width * found.index.len()
}

/// Writes distinct ids and their index.
pub(super) fn put_distinct(message: &mut Writer, found: &Distinct) {
    message.u8(DISTINCT);
    message.u32(found.ids.len() as u32);
    message.u32s(&found.ids);
    message.numbers(&found.index);
}

/// Ids in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed<'a> {
    /// The ids, or the distinct ones.
    bytes: &'a [u8],
    index: Option<Numbers<'a>>,
}

impl<'a> Listed<'a> {
    /// `count` ids.
    pub(super) fn read(reader: &mut Reader<'a>, count: usize) -> Result<Listed<'a>> {
        match reader.u8()? {
            PLAIN => Ok(Listed { bytes: reader.values(count, 4)?, index: None }),
            DISTINCT => {
                let distinct = reader.u32()?;
                let bytes = reader.values(distinct as usize, 4)?;
                let index = reader.numbers(count)?;
                // Each is new where it first stands, and then the next of all: that is what makes both ends number them alike.
                let (mut seen, mut sound) = (0, true);
                index.each(|number| {
                    sound &= number <= seen;
                    seen += u32::from(number == seen);
                });
                if !sound || seen != distinct {
                    return Err(reader.damaged("the index of its distinct ids is not in the order of their first appearance"));
                }
                Ok(Listed { bytes, index: Some(index) })
            }
            form => Err(reader.damaged(format!("it has ids in form {form}, which is not known"))),
        }
    }

    /// How many rows answer them.
    pub(super) fn distinct(&self) -> usize {
        self.bytes.len() / 4
    }

    /// Adds the distinct ids, or all where they stand as they are.
    pub(super) fn extend_distinct(&self, ids: &mut Vec<u32>) {
        ids.extend(u32s(self.bytes));
    }

    /// Adds all ids.
    pub(super) fn extend(&self, ids: &mut Vec<u32>) {
        let Some(index) = self.index else { return self.extend_distinct(ids) };
        let (bytes, _) = self.bytes.as_chunks::<4>();
        index.each(|number| ids.push(u32::from_le_bytes(bytes[number as usize])));
    }

    /// Where each distinct id first stands; `None` where they stand as they are.
    pub(super) fn first_places(&self) -> Option<Vec<u32>> {
        let index = self.index?;
        let (mut places, mut at) = (Vec::new(), 0u32);
        index.each(|number| {
            if number as usize == places.len() {
                places.push(at);
            }
            at += 1;
        });
        Some(places)
    }
}
