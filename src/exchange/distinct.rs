//! The distinct ids of a list, in the order in which they first appear.

use crate::error::Result;

use super::{filled, room};

/// Each id once, and for each place of the list which of these stands there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Distinct {
    pub(super) ids: Vec<u32>,
    pub(super) index: Vec<u32>,
}

/// Spreads ids that lie close together: 2^32 over the golden ratio.
const SPREAD: u32 = 0x9e37_79b1;
const FREE: u32 = u32::MAX;

impl Distinct {
    /// `None` where there are more than `most`. Ids are below 2^32 - 1.
    pub(super) fn of(ids: &[u32], most: usize) -> Result<Option<Distinct>> {
        let most = most.min(ids.len());
        // At most half of the places are taken, so a search is short and ends.
        let bits = (2 * most.max(1)).next_power_of_two().trailing_zeros();
        let mask = (1usize << bits) - 1;
        let mut table: Vec<u32> = filled(mask + 1, FREE)?;
        let mut found = Distinct { ids: room(most)?, index: room(ids.len())? };
        for &id in ids {
            let mut at = (u64::from(id.wrapping_mul(SPREAD)) << bits >> 32) as usize & mask;
            let number = loop {
                match table[at] {
                    FREE => break None,
                    number if found.ids[number as usize] == id => break Some(number),
                    _ => at = (at + 1) & mask,
                }
            };
            let number = match number {
                Some(number) => number,
                None if found.ids.len() == most => return Ok(None),
                None => {
                    let number = found.ids.len() as u32;
                    table[at] = number;
                    found.ids.push(id);
                    number
                }
            };
            found.index.push(number);
        }
        Ok(Some(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_the_plain_loop(ids in proptest::collection::vec(prop_oneof![0u32..9, 0u32..1000, any::<u32>()], 0..200), most in 0usize..40) {
            let (unique, index) = reference::distinct(&ids);
            let enough = unique.len() <= most;
            prop_assert_eq!(Distinct::of(&ids, most).unwrap().is_some(), enough);
            let found = Distinct::of(&ids, usize::MAX).unwrap().unwrap();
            prop_assert_eq!(found.ids, unique);
            prop_assert_eq!(found.index.iter().map(|&k| k as usize).collect::<Vec<_>>(), index);
        }
    }
}
