//! Ids that somebody really looked up, read from a file: input for `hotrow bench --ids`.

mod cut;
mod error;
mod format;
mod read;
mod words;

use std::fmt;

pub use error::IdsError;
pub use format::IdFormat;
pub use read::read_ids;

use super::report::thousands;

/// The ids of a file, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdList {
    /// All ids, at least one; none is `u32::MAX`.
    pub ids: Vec<u32>,
    /// Where the file's lines are bags: bag `b` is `ids[splits[b]..splits[b + 1]]`.
    pub splits: Option<Vec<usize>>,
    /// The format that was read.
    pub format: IdFormat,
}

impl IdList {
    /// How many bags there are; none in a plain list.
    pub fn bags(&self) -> usize {
        self.splits.as_ref().map_or(0, |splits| splits.len() - 1)
    }

    /// The rows of the smallest table that has them all.
    pub fn rows(&self) -> usize {
        self.ids.iter().max().map_or(0, |&id| id as usize + 1)
    }

    /// How many different ids there are.
    pub fn distinct(&self) -> usize {
        let mut sorted = self.ids.clone();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len()
    }
}

/// What was read, in one line.
impl fmt::Display for IdList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ids, {} different", thousands(self.ids.len()), thousands(self.distinct()))?;
        if let Some(splits) = &self.splits {
            let lens = || splits.windows(2).map(|bag| bag[1] - bag[0]);
            let longest = thousands(lens().max().unwrap_or(0));
            let empty = thousands(lens().filter(|&len| len == 0).count());
            write!(f, ", in {} bags (longest {longest}, empty {empty})", thousands(self.bags()))?;
        }
        write!(f, "; read as {}", self.format)
    }
}
