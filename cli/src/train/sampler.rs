//! Samples of training: a user, an item that they have, and one that they have not.

use std::hint::select_unpredictable;

use super::run::TrainError;
use crate::data::Dataset;
use crate::random::{Purpose, Source};

/// Fewest samples drawn in one piece. Each piece has random numbers of its own, so it must not depend on the machine.
const PIECE: usize = 16_384;

/// Samples in the order in which they are learnt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Samples {
    pub users: Vec<u32>,
    pub positives: Vec<u32>,
    pub negatives: Vec<u32>,
}

/// Draws the samples of an epoch piece by piece, each interaction once, in an order that is random and new each epoch.
pub(super) struct Sampler<'a> {
    data: &'a Dataset,
    seed: u64,
    /// The user of each training interaction.
    owners: Vec<u32>,
    /// Which interactions are learnt, as a permutation that each epoch continues to shuffle.
    order: Vec<u32>,
    piece: usize,
    /// The largest power of two that is no longer than the longest list of a user's items.
    stride: usize,
}

impl<'a> Sampler<'a> {
    /// A sampler whose pieces are whole numbers of batches. Users who have every item are left out: nothing can be a
    /// negative for them.
    pub(super) fn new(data: &'a Dataset, seed: u64, batch: usize) -> Result<Self, TrainError> {
        let interactions = data.train.total();
        u32::try_from(interactions).map_err(|_| TrainError::TooMany { interactions })?;
        let mut owners = Vec::with_capacity(interactions);
        let mut order = Vec::with_capacity(interactions);
        for user in 0..data.train.users() {
            let items = data.train.of(user);
            if items.len() < data.items.len() {
                order.extend((owners.len() as u32)..(owners.len() + items.len()) as u32);
            }
            owners.resize(owners.len() + items.len(), user as u32);
        }
        if order.is_empty() {
            return Err(TrainError::NothingToLearn { users: data.users.len(), items: data.items.len() });
        }
        let longest = (0..data.train.users()).map(|user| data.train.of(user).len()).max();
        let longest = longest.unwrap_or(0).max(1);
        Ok(Sampler { data, seed, owners, order, piece: PIECE.div_ceil(batch) * batch, stride: 1 << longest.ilog2() })
    }

    /// Samples in an epoch.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Pieces in an epoch.
    pub(super) fn pieces(&self) -> usize {
        self.order.len().div_ceil(self.piece)
    }

    /// Draws a piece. Pieces must be drawn in order, as each goes on shuffling where the one before it stopped.
    pub(super) fn draw(&mut self, epoch: usize, piece: usize, samples: &mut Samples) {
        let mut negatives = Source::new(self.seed, Purpose::Negatives, place(epoch, piece));
        let (start, end) = self.shuffle(epoch, piece);
        samples.users.clear();
        samples.positives.clear();
        samples.negatives.clear();
        // One loop for each of the steps, so that the slow look-ups of many samples are under way together.
        for &interaction in &self.order[start..end] {
            samples.users.push(self.owners[interaction as usize]);
            samples.positives.push(self.data.train.flat()[interaction as usize]);
        }
        for &user in &samples.users {
            samples.negatives.push(self.negative(user, &mut negatives));
        }
    }

    /// Shuffles as drawing all pieces before this one would; returns how many samples of its epoch those have.
    pub(super) fn skip(&mut self, epoch: usize, piece: usize) -> usize {
        let all = self.pieces();
        for before in 0..epoch {
            for piece in 0..all {
                self.shuffle(before, piece);
            }
        }
        (0..piece.min(all)).map(|piece| self.shuffle(epoch, piece)).map(|(start, end)| end - start).sum()
    }

    /// Decides what a piece learns: the interactions from one place of the order to another.
    fn shuffle(&mut self, epoch: usize, piece: usize) -> (usize, usize) {
        let mut source = Source::new(self.seed, Purpose::Order, place(epoch, piece));
        let start = (piece * self.piece).min(self.order.len());
        let end = self.order.len().min(start + self.piece);
        for at in start..end {
            // Fisher and Yates: what stands at `at` after the swap is not touched again in this epoch.
            let left = (self.order.len() - at) as u32;
            self.order.swap(at, at + source.below(left) as usize);
        }
        (start, end)
    }

    /// An item that the user does not have, each with the same probability: the `r`-th of them, for a random `r`. One draw
    /// is enough however much the user has, where drawing until an item is new could take as many draws as there are items.
    fn negative(&self, user: u32, source: &mut Source) -> u32 {
        let has = self.data.train.of(user as usize);
        let r = source.below((self.data.items.len() - has.len()) as u32);
        nth_missing(has, r, self.stride)
    }
}

/// Where the random numbers of a piece are.
fn place(epoch: usize, piece: usize) -> u64 {
    (epoch as u64) << 24 | piece as u64
}

/// The `r`-th number, from 0, that is not in a sorted list of distinct numbers. `stride` is a power of two that is above half of
/// the list's length.
fn nth_missing(has: &[u32], r: u32, mut stride: usize) -> u32 {
    // `has[k] - k` numbers below `has[k]` are missing, which does not fall as k grows. `passed` counts the `k` for which that is
    // at most `r`. For one stride the search takes the same steps whatever the list and `r`, and it has no branch that the
    // processor could guess wrongly.
    let Some(last) = has.len().checked_sub(1) else {
        return r;
    };
    let mut passed = 0;
    while stride > 0 {
        let at = passed + stride - 1;
        let inside = at.min(last);
        let missing = has[inside] - inside as u32;
        let right = (at == inside) & (missing <= r);
        passed = select_unpredictable(right, at + 1, passed);
        stride /= 2;
    }
    r + passed as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read_interactions;

    #[test]
    fn missing_numbers_are_counted() {
        for has in [&[][..], &[0], &[3], &[0, 1, 2], &[1, 2, 5, 6, 9], &[0, 2, 3, 4, 5, 8, 19]] {
            let missing: Vec<u32> = (0..20).filter(|number| !has.contains(number)).collect();
            for (r, &number) in missing.iter().enumerate() {
                for stride in [4, 8, 64] {
                    assert_eq!(nth_missing(has, r as u32, stride), number, "{has:?} {r}");
                }
            }
        }
    }

    /// 40 users, of whom user k has k + 1 of the 41 items in training and one held out.
    fn triangle() -> Dataset {
        let text: String = (0..40).flat_map(|user| (0..=user + 1).map(move |item| format!("u{user} i{item}\n"))).collect();
        Dataset::split(read_interactions(text.as_bytes(), None).unwrap())
    }

    #[test]
    fn each_epoch_has_every_interaction_once_with_a_negative_that_is_none() {
        let data = triangle();
        let mut sampler = Sampler::new(&data, 1, 100).unwrap();
        sampler.piece = 300;
        assert_eq!(sampler.len(), data.train.total());
        assert_eq!(sampler.pieces(), 3);
        let mut orders = Vec::new();
        for epoch in 0..3 {
            let mut seen = Vec::new();
            for piece in 0..sampler.pieces() {
                let mut samples = Samples::default();
                sampler.draw(epoch, piece, &mut samples);
                assert!(samples.users.len() == 300 || piece == 2);
                for k in 0..samples.users.len() {
                    let has = data.train.of(samples.users[k] as usize);
                    assert!(has.contains(&samples.positives[k]));
                    assert!(!has.contains(&samples.negatives[k]));
                    assert!((samples.negatives[k] as usize) < data.items.len());
                    seen.push((samples.users[k], samples.positives[k]));
                }
            }
            orders.push(seen.clone());
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), data.train.total());
        }
        assert_ne!(orders[0], orders[1]);
        assert_ne!(orders[1], orders[2]);
    }

    #[test]
    fn what_is_skipped_is_as_if_it_were_drawn() {
        let data = triangle();
        let mut drawn = Sampler::new(&data, 5, 100).unwrap();
        drawn.piece = 300;
        let (pieces, mut before) = (drawn.pieces(), 0);
        for place in 0..3 * pieces {
            let mut skipped = Sampler::new(&data, 5, 100).unwrap();
            skipped.piece = 300;
            let (epoch, piece) = (place / pieces, place % pieces);
            assert_eq!(epoch * skipped.len() + skipped.skip(epoch, piece), before);
            let (mut a, mut b) = (Samples::default(), Samples::default());
            drawn.draw(epoch, piece, &mut a);
            skipped.draw(epoch, piece, &mut b);
            assert_eq!(a, b, "{epoch} {piece}");
            before += a.users.len();
        }
    }

    #[test]
    fn negatives_are_uniform() {
        let data = triangle();
        let sampler = Sampler::new(&data, 1, 100).unwrap();
        let mut source = Source::new(9, Purpose::Negatives, 0);
        // User 30 has 31 of 41 items.
        let mut counts = vec![0i32; 41];
        for _ in 0..50_000 {
            counts[sampler.negative(30, &mut source) as usize] += 1;
        }
        assert!(counts[..31].iter().all(|&count| count == 0));
        // Five standard deviations: 5 * sqrt(50000 * 0.1 * 0.9).
        assert!(counts[31..].iter().all(|count| (count - 5_000).abs() < 336), "{counts:?}");
    }

    #[test]
    fn a_user_who_has_everything_is_left_out() {
        let data = Dataset::split(read_interactions(b"a x\na y\na z\nb x\nb y", None).unwrap());
        // `a` has x and y in training, and z is held out, so z can be a negative: nobody is left out.
        assert_eq!(Sampler::new(&data, 1, 4).unwrap().len(), 3);
        let data = Dataset::split(read_interactions(b"a x\nb x", None).unwrap());
        assert!(matches!(Sampler::new(&data, 1, 4), Err(TrainError::NothingToLearn { users: 2, items: 1 })));
    }
}
