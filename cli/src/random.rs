//! Random numbers that depend on a seed and a place, and on nothing else.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What random numbers are drawn for. Each use has its own numbers, whatever the others draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Order = 1,
    Negatives = 2,
    Tastes = 3,
    Appeal = 4,
    Baskets = 5,
}

/// A generator for one place, such as one block of one epoch. ChaCha has 2^64 independent streams for a key; the seed is the
/// key and the purpose and place choose the stream, so that any place can be drawn first, or on any thread.
pub(crate) struct Source(ChaCha8Rng);

impl Source {
    /// The numbers of a place below 2^56.
    pub(crate) fn new(seed: u64, purpose: Purpose, place: u64) -> Self {
        debug_assert!(place < 1 << 56);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream((purpose as u64) << 56 | place);
        Source(rng)
    }

    /// A whole number below `bound`, which must not be 0. Multiplying 64 random bits prefers no number by more than one part
    /// in 2^32 for any bound of 32 bits, far below what any count could show.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u32
    }

    /// A number strictly between 0 and 1: an odd multiple of 2^-53.
    pub(crate) fn open01(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) * 2f64.powi(-52)
    }

    /// A number from the standard normal distribution (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.open01()));
        radius * libm::cos(std::f64::consts::TAU * self.open01())
    }

    /// A number from the standard Gumbel distribution.
    pub(crate) fn gumbel(&mut self) -> f64 {
        -libm::log(-libm::log(self.open01()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Source};

    #[test]
    fn places_and_purposes_and_seeds_differ_and_repeat() {
        let draw = |seed, purpose, place| {
            let mut source = Source::new(seed, purpose, place);
            [source.below(u32::MAX), source.below(u32::MAX)]
        };
        let base = draw(1, Purpose::Order, 7);
        assert_eq!(base, draw(1, Purpose::Order, 7));
        assert_ne!(base, draw(2, Purpose::Order, 7));
        assert_ne!(base, draw(1, Purpose::Negatives, 7));
        assert_ne!(base, draw(1, Purpose::Order, 8));
    }

    #[test]
    fn numbers_below_a_bound_are_uniform() {
        let mut source = Source::new(3, Purpose::Order, 0);
        let mut counts = [0i32; 7];
        for _ in 0..70_000 {
            counts[source.below(7) as usize] += 1;
        }
        // Five standard deviations of a binomial count: 5 * sqrt(70000 * 6/49).
        assert!(counts.iter().all(|count| (count - 10_000).abs() < 463), "{counts:?}");
        assert_eq!(source.below(1), 0);
    }

    #[test]
    fn real_numbers_have_the_moments_of_their_distributions() {
        let mut source = Source::new(4, Purpose::Tastes, 0);
        let moments = |mut draw: Box<dyn FnMut() -> f64 + '_>| {
            let all: Vec<f64> = (0..100_000).map(|_| draw()).collect();
            let mean = all.iter().sum::<f64>() / 1e5;
            (mean, all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5)
        };
        let near = |(mean, variance): (f64, f64), m: f64, v: f64| {
            assert!((mean - m).abs() < 0.03 && (variance - v).abs() < 0.05 * v, "{mean} {variance}");
        };
        near(moments(Box::new(|| source.open01())), 0.5, 1.0 / 12.0);
        let mut source = Source::new(5, Purpose::Tastes, 0);
        near(moments(Box::new(|| source.normal())), 0.0, 1.0);
        let mut source = Source::new(6, Purpose::Tastes, 0);
        // Euler's constant, and pi^2 / 6.
        near(moments(Box::new(|| source.gumbel())), 0.577_215_66, 1.644_934);
    }
}
