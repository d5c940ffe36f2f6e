//! Batches of bags, drawn from a seed.

use hotrow::reference::PlainBags;
use hotrow::{Bags, Cast, IdPolicy, Ids, Negative, OutOfRange};
use proptest::prelude::*;

use super::{DIMS, Random, Repeats, draw_ids};

/// A table's sizes, and what its bags are like.
#[derive(Clone, Debug)]
pub struct BagCase {
    pub seed: u64,
    pub rows: usize,
    pub dim: usize,
    pub stride: usize,
    pub lengths: Lengths,
    pub repeats: Repeats,
    pub weights: Weights,
    pub padding: bool,
    pub default_row: bool,
    pub strays: Strays,
    pub odd: bool,
}

/// How many ids the bags have.
#[derive(Clone, Copy, Debug)]
pub enum Lengths {
    /// Some bags of some ids.
    Few,
    /// Thousands of bags of a few ids.
    Many,
    /// Thousands of bags, most of them empty.
    MostlyEmpty,
    /// One bag has half of all ids.
    OneHeavy,
    /// One bag, and it has all ids.
    One,
    /// Bags without ids only.
    Empty,
}

#[derive(Clone, Copy, Debug)]
pub enum Weights {
    None,
    Real,
    /// Small whole numbers of both signs, so that many bags have a denominator of zero.
    Cancelling,
    Odd,
}

/// Ids that name no row, or name it otherwise, and the policy that reads them.
#[derive(Clone, Copy, Debug)]
pub enum Strays {
    None,
    Skipped,
    SkippedOrFilled,
    Filled(f32),
    FromEnd,
    Clamped,
}

impl Strays {
    pub const ALL: [Strays; 7] = [
        Strays::None,
        Strays::Skipped,
        Strays::SkippedOrFilled,
        Strays::Filled(0.1),
        Strays::Filled(f32::NAN),
        Strays::FromEnd,
        Strays::Clamped,
    ];

    fn policy(self) -> IdPolicy {
        let (negative, out_of_range) = match self {
            Strays::None => (Negative::Refused, OutOfRange::Error),
            Strays::Skipped => (Negative::Skipped, OutOfRange::Error),
            Strays::SkippedOrFilled => (Negative::Skipped, OutOfRange::Fill(0.1)),
            Strays::Filled(value) => (Negative::Refused, OutOfRange::Fill(value)),
            Strays::FromEnd => (Negative::FromEnd, OutOfRange::Error),
            Strays::Clamped => (Negative::Refused, OutOfRange::Clamp),
        };
        IdPolicy::new(Cast::Checked, negative, out_of_range)
    }

    /// What stands in place of the `id`.
    fn stray(self, id: i64, rows: i64) -> i64 {
        match self {
            Strays::None => id,
            Strays::Skipped => -1 - id,
            Strays::SkippedOrFilled | Strays::Filled(_) | Strays::Clamped if id % 2 == 0 => rows + id,
            Strays::SkippedOrFilled | Strays::Filled(_) | Strays::Clamped => -1 - id,
            Strays::FromEnd => id - rows,
        }
    }
}

/// Small tables, and batches large enough to be cut among threads.
pub fn bag_case() -> impl Strategy<Value = BagCase> {
    let lengths = prop_oneof![
        18 => Just(Lengths::Few),
        1 => Just(Lengths::Many),
        1 => Just(Lengths::MostlyEmpty),
        2 => Just(Lengths::OneHeavy),
        1 => Just(Lengths::One),
        1 => Just(Lengths::Empty),
    ];
    let rows = prop_oneof![3 => 1usize..40, 1 => 1usize..3000];
    let dim = proptest::sample::select(&DIMS[..]);
    let repeats = prop_oneof![2 => Just(Repeats::Some), 1 => Just(Repeats::Half), 1 => Just(Repeats::All)];
    let weights = proptest::sample::select(&[Weights::None, Weights::Real, Weights::Cancelling, Weights::Odd][..]);
    let options = (weights, any::<bool>(), any::<bool>(), proptest::sample::select(&Strays::ALL[..]), any::<bool>());
    (any::<u64>(), rows, dim, 0usize..3, lengths, repeats, options).prop_map(
        |(seed, rows, dim, beside, lengths, repeats, (weights, padding, default_row, strays, odd))| {
            let stride = dim + beside;
            BagCase { seed, rows, dim, stride, lengths, repeats, weights, padding, default_row, strays, odd }
        },
    )
}

/// The ids, splits and weights of a case.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub ids: Vec<i64>,
    pub splits: Vec<i64>,
    pub weights: Option<Vec<f32>>,
    padding: Option<i64>,
    default_row: Option<i64>,
    policy: IdPolicy,
}

impl BagCase {
    pub fn draw(&self, random: &mut Random) -> Drawn {
        // Some megabytes of rows, so that calls are cut among threads, and long bags by columns.
        let large = if cfg!(debug_assertions) { (400_000 / self.dim).min(3000) } else { (600_000 / self.dim).min(10_000) };
        let lengths: Vec<usize> = match self.lengths {
            Lengths::Few => (0..random.below(30)).map(|_| random.below(6)).collect(),
            Lengths::Many => (0..large / 2).map(|_| random.below(5)).collect(),
            Lengths::MostlyEmpty => (0..large).map(|_| if random.below(9) == 0 { random.below(4) } else { 0 }).collect(),
            Lengths::OneHeavy => {
                let mut lengths: Vec<usize> = (0..large / 6).map(|_| random.below(7)).collect();
                lengths.insert(random.below(lengths.len()), large / 2);
                lengths
            }
            Lengths::One => vec![large],
            Lengths::Empty => vec![0; 1 + random.below(large)],
        };
        let mut splits = vec![0];
        for length in lengths {
            splits.push(splits[splits.len() - 1] + length as i64);
        }
        let n = splits[splits.len() - 1] as usize;
        let mut ids = draw_ids(random, n, self.rows, self.repeats);
        for id in &mut ids {
            // Whole bags of strays, too: one bag in some is empty but for them.
            if random.below(3) == 0 {
                *id = self.strays.stray(*id, self.rows as i64);
            }
        }
        let weights = match self.weights {
            Weights::None => None,
            Weights::Real => Some(random.values(n, false)),
            Weights::Cancelling => Some((0..n).map(|_| random.below(3) as f32 - 1.0).collect()),
            Weights::Odd => Some(random.values(n, true)),
        };
        // The row of the first id, so that something is left out; the others from the end.
        let padding = self.padding.then(|| ids.first().copied().filter(|id| (0..self.rows as i64).contains(id)).unwrap_or(-1));
        let default_row = self.default_row.then(|| -1 - random.below(self.rows) as i64);
        Drawn { ids, splits, weights, padding, default_row, policy: self.strays.policy() }
    }
}

impl Drawn {
    pub fn ids(&self) -> Ids<'_> {
        Ids::from(&self.ids).with_policy(self.policy)
    }

    pub fn bags(&self) -> Bags<'_> {
        self.with_options(Bags::from_splits(self.ids(), &self.splits))
    }

    /// Weights, padding and default row, to bags of these ids.
    pub fn with_options<'a>(&'a self, mut bags: Bags<'a>) -> Bags<'a> {
        if let Some(weights) = &self.weights {
            bags = bags.with_weights(weights);
        }
        if let Some(row) = self.padding {
            bags = bags.with_padding_idx(row);
        }
        if let Some(row) = self.default_row {
            bags = bags.with_default_row(row);
        }
        bags
    }

    /// Without weights: for max.
    pub fn unweighted(&self) -> Drawn {
        Drawn { weights: None, ..self.clone() }
    }

    pub fn plain(&self, rows: usize) -> PlainBags {
        PlainBags::of(&self.bags(), rows).expect("sound bags")
    }
}
