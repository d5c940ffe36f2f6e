//! Draws ids: a stream of row numbers that follows a [`Dist`] and depends on nothing but the seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::uniform::{UniformInt, UniformSampler};
use rand_distr::{Distribution, Zipf};

use super::workload::Dist;

/// The reuse histogram: of all lookups of a batch, the share (in thousandths) that goes to rows which the batch touches
/// between `low` and `high` times. Meta published it for its training traces; on average a touched row is touched 12.7 times.
const REUSE: [(u32, u32, u32); 17] = [
    (1, 1, 27),
    (2, 2, 23),
    (3, 4, 40),
    (5, 8, 68),
    (9, 16, 105),
    (17, 32, 120),
    (33, 64, 99),
    (65, 128, 70),
    (129, 256, 59),
    (257, 512, 54),
    (513, 1024, 40),
    (1025, 2048, 72),
    (2049, 4096, 64),
    (4097, 8192, 47),
    (8193, 16384, 21),
    (16385, 32768, 17),
    (32769, u32::MAX, 76),
];

/// A table too small for what should be drawn from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the production histogram touches {needed} different rows with {ids} ids, but the table has {rows}")]
pub struct TooFewRows {
    /// The rows that the batch touches.
    pub needed: usize,
    /// The ids of the batch.
    pub ids: usize,
    /// The rows that there are.
    pub rows: u32,
}

/// A seeded source of batches of row numbers in `0..rows`.
#[derive(Debug)]
pub struct Sampler {
    rng: ChaCha8Rng,
    rows: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Uniform,
    Zipf {
        law: Zipf<f64>,
        /// The row of each popularity, the most popular first.
        row_of_rank: Vec<u32>,
    },
    Hot {
        share: f64,
        row: u32,
    },
    Production {
        /// All rows, shuffled a little further by every batch.
        deck: Vec<u32>,
    },
}

impl Sampler {
    /// A source for a table of `rows` rows.
    ///
    /// # Panics
    ///
    /// If there are no rows, or a Zipf exponent is negative or not a number: the workload reader lets neither through.
    pub fn new(dist: Dist, rows: u32, seed: u64) -> Sampler {
        assert!(rows > 0, "ids cannot be drawn from an empty table");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let kind = match dist {
            Dist::Uniform => Kind::Uniform,
            Dist::Zipf(s) => {
                let law = Zipf::new(f64::from(rows), s).expect("a checked exponent and at least one row");
                let mut row_of_rank: Vec<u32> = (0..rows).collect();
                let all = row_of_rank.len();
                shuffle(&mut rng, &mut row_of_rank, all);
                Kind::Zipf { law, row_of_rank }
            }
            Dist::Hot(share) => Kind::Hot { share, row: below(&mut rng, rows) },
            Dist::Production => Kind::Production { deck: (0..rows).collect() },
        };
        Sampler { rng, rows, kind }
    }

    /// The next batch.
    ///
    /// # Errors
    ///
    /// [`TooFewRows`] where the production histogram needs more different rows than there are.
    pub fn batch(&mut self, ids: usize) -> Result<Vec<u32>, TooFewRows> {
        let Sampler { rng, rows, kind } = self;
        match kind {
            Kind::Uniform => Ok((0..ids).map(|_| below(rng, *rows)).collect()),
            Kind::Zipf { law, row_of_rank } => {
                // The law draws a rank from 1 to the number of rows, as a whole number in an f64.
                Ok((0..ids).map(|_| row_of_rank[law.sample(rng) as usize - 1]).collect())
            }
            Kind::Hot { share, row } => Ok((0..ids).map(|_| hot(rng, *rows, *share, *row)).collect()),
            Kind::Production { deck } => production(rng, deck, ids),
        }
    }
}

/// The hot row with its share; otherwise one of the others.
fn hot(rng: &mut ChaCha8Rng, rows: u32, share: f64, row: u32) -> u32 {
    let is_hot = unit(rng) < share;
    if is_hot || rows == 1 {
        return row;
    }
    let other = below(rng, rows - 1);
    // The others are 0..rows without the hot one: what would reach it moves up by one.
    if other < row { other } else { other + 1 }
}

fn production(rng: &mut ChaCha8Rng, deck: &mut [u32], ids: usize) -> Result<Vec<u32>, TooFewRows> {
    let touches = touches(rng, ids);
    if touches.len() > deck.len() {
        return Err(TooFewRows { needed: touches.len(), ids, rows: deck.len() as u32 });
    }
    shuffle(rng, deck, touches.len());
    let mut batch = Vec::with_capacity(ids);
    for (&row, &times) in deck.iter().zip(&touches) {
        batch.extend(std::iter::repeat_n(row, times));
    }
    shuffle(rng, &mut batch, ids);
    Ok(batch)
}

/// How often each row of a batch of `ids` lookups is touched: one number a row, of sum `ids`.
///
/// The tail of the histogram is cut at what the batch can hold: a class is left out, and its share spread over the others,
/// where the lookups that it would get are fewer than one of its rows takes. What a class cannot place for want of one more
/// full row goes to the class below.
fn touches(rng: &mut ChaCha8Rng, ids: usize) -> Vec<usize> {
    let classes = &REUSE[..classes_that_fit(ids)];
    let total: u32 = classes.iter().map(|&(_, _, share)| share).sum();
    let mut touches = Vec::new();
    let mut placed = 0;
    let mut share_below = total;
    for &(low, high, share) in classes.iter().rev() {
        share_below -= share;
        // What the classes below are due; all the rest that is not yet placed is due to this one.
        let due_below = (ids as u128 * u128::from(share_below) / u128::from(total)) as usize;
        let mut left = ids - due_below - placed;
        while left >= low as usize {
            let most = left.min(high as usize);
            let spread = u32::try_from(most - low as usize).unwrap_or(u32::MAX - 1);
            let times = low as usize + below(rng, spread + 1) as usize;
            touches.push(times);
            placed += times;
            left -= times;
        }
    }
    touches
}

/// How many classes of the histogram a batch can hold: the most of which each gets at least the lookups of one row.
fn classes_that_fit(ids: usize) -> usize {
    let fits = |count: usize| {
        let classes = &REUSE[..count];
        let total: u64 = classes.iter().map(|&(_, _, share)| u64::from(share)).sum();
        classes.iter().all(|&(low, _, share)| ids as u128 * u128::from(share) >= u128::from(low) * u128::from(total))
    };
    (1..=REUSE.len()).rev().find(|&count| fits(count)).unwrap_or(1)
}

/// Moves a random choice of `count` items, in random order, to the front.
fn shuffle(rng: &mut ChaCha8Rng, items: &mut [u32], count: usize) {
    let len = items.len();
    for i in 0..count.min(len) {
        let rest = UniformInt::<u64>::sample_single(0, (len - i) as u64, rng).expect("something is left");
        items.swap(i, i + rest as usize);
    }
}

/// A number below `limit`, which is not 0.
fn below(rng: &mut ChaCha8Rng, limit: u32) -> u32 {
    UniformInt::<u32>::sample_single(0, limit, rng).expect("a limit above 0")
}

/// A number in `[0, 1)`.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    rand_distr::StandardUniform.sample(rng)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn counts(dist: Dist, rows: u32, ids: usize) -> HashMap<u32, usize> {
        let batch = Sampler::new(dist, rows, 7).batch(ids).expect("enough rows");
        assert_eq!(batch.len(), ids);
        let mut counts = HashMap::new();
        for row in batch {
            assert!(row < rows);
            *counts.entry(row).or_insert(0) += 1;
        }
        counts
    }

    /// Whether a count of successes is within six standard deviations of what its probability says.
    fn is_near(count: usize, trials: usize, probability: f64) -> bool {
        let mean = trials as f64 * probability;
        (count as f64 - mean).abs() <= 6.0 * (mean * (1.0 - probability)).sqrt() + 1e-9
    }

    #[test]
    fn uniform_draws_every_row_equally_often() {
        let (rows, ids) = (50, 200_000);
        let counts = counts(Dist::Uniform, rows, ids);
        assert_eq!(counts.len(), rows as usize);
        assert!(counts.values().all(|&count| is_near(count, ids, 1.0 / f64::from(rows))), "{counts:?}");
    }

    #[test]
    fn zipf_shares_follow_the_power_law_over_shuffled_rows() {
        for s in [0.0, 1.0, 1.05, 2.0] {
            let (rows, ids) = (100u32, 100_000);
            let counts = counts(Dist::Zipf(s), rows, ids);
            let sampler = Sampler::new(Dist::Zipf(s), rows, 7);
            let Kind::Zipf { row_of_rank, .. } = sampler.kind else { panic!("a Zipf sampler") };
            let total: f64 = (1..=rows).map(|k| f64::from(k).powf(-s)).sum();
            for (rank, row) in row_of_rank.iter().enumerate() {
                let probability = ((rank + 1) as f64).powf(-s) / total;
                let count = counts.get(row).copied().unwrap_or(0);
                assert!(is_near(count, ids, probability), "s {s}, rank {rank}: {count} of {ids}, expected {probability}");
            }
            assert_ne!(&row_of_rank[..8], &[0, 1, 2, 3, 4, 5, 6, 7], "popularity must not follow the row number");
            let mut sorted = row_of_rank;
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..rows), "a permutation of the rows");
        }
    }

    #[test]
    fn zipf_takes_extreme_exponents_and_sizes() {
        assert_eq!(counts(Dist::Zipf(64.0), 1000, 100).len(), 1);
        assert_eq!(counts(Dist::Zipf(1.0), 1, 100).len(), 1);
    }

    #[test]
    fn hot_gives_one_row_its_share_and_the_others_the_rest_equally() {
        let (rows, ids) = (20u32, 200_000);
        for share in [0.0, 0.5, 1.0] {
            let mut counts = counts(Dist::Hot(share), rows, ids);
            let Kind::Hot { row, .. } = Sampler::new(Dist::Hot(share), rows, 7).kind else { panic!("a hot sampler") };
            assert!(is_near(counts.remove(&row).unwrap_or(0), ids, share));
            let other = (1.0 - share) / f64::from(rows - 1);
            assert!(counts.values().all(|&count| is_near(count, ids, other)), "{share}: {counts:?}");
        }
        assert_eq!(counts(Dist::Hot(0.0), 1, 5), HashMap::from([(0, 5)]));
    }

    #[test]
    fn production_follows_the_reuse_histogram() {
        let ids = 1_000_000;
        let counts = counts(Dist::Production, 1_000_000, ids);
        let total: u32 = REUSE.iter().map(|&(_, _, share)| share).sum();
        for (low, high, share) in REUSE {
            let touched = counts.values().filter(|&&count| (low as usize..=high as usize).contains(&count));
            let found = touched.sum::<usize>() as f64 / ids as f64;
            let expected = f64::from(share) / f64::from(total);
            // A class is off by less than one row that did not fit it, and by one that did not fit the class above.
            let slack = 3.0 * f64::from(low) / ids as f64;
            assert!((found - expected).abs() <= slack, "rows touched {low} times and more: {found}, not {expected}");
        }
        let reuse = ids as f64 / counts.len() as f64;
        assert!((12.0..13.5).contains(&reuse), "the histogram was published with an average reuse of 12.7, here {reuse}");
    }

    #[test]
    fn production_cuts_the_tail_at_what_the_batch_holds() {
        for ids in [1, 2, 3, 10, 1000, 49_152] {
            let counts = counts(Dist::Production, 100_000, ids);
            let classes = classes_that_fit(ids);
            assert!(counts.values().all(|&count| count <= REUSE[classes - 1].1 as usize), "{ids}");
        }
        assert_eq!(REUSE[classes_that_fit(49_152) - 1].0, 2049);
        let error = Sampler::new(Dist::Production, 10, 7).batch(10_000).expect_err("ten rows are too few");
        assert_eq!((error.rows, error.ids), (10, 10_000));
    }

    #[test]
    fn the_seed_decides_and_batches_differ() {
        for dist in [Dist::Uniform, Dist::Zipf(1.05), Dist::Hot(0.5), Dist::Production] {
            let mut one = Sampler::new(dist, 10_000, 1);
            let mut same = Sampler::new(dist, 10_000, 1);
            let mut other = Sampler::new(dist, 10_000, 2);
            let first = one.batch(500);
            assert_eq!(first, same.batch(500));
            assert_ne!(first, other.batch(500));
            assert_ne!(first, one.batch(500));
        }
    }
}
