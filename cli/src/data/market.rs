//! A market that is made up, with tastes that are known.

use super::layout::Format;
use super::market_words::{SHELVES, STYLES};
use super::names::Names;
use super::reader::Interactions;
use super::stamp::Stamp;
use crate::random::{Purpose, Source};

/// Shoppers of the market.
const USERS: usize = 3_000;
/// Fewest and most items that a shopper takes.
const BASKET: (u32, u32) = (20, 50);
/// Goods on a shelf, in a style each.
const SHELF: usize = 10 * STYLES.len();
const ITEMS: usize = SHELVES.len() * SHELF;
/// How far tastes spread: standard deviations of a shopper's liking for shelves and styles, and of an item's general appeal.
const SHELF_SPREAD: f64 = 3.5;
const STYLE_SPREAD: f64 = 2.5;
const APPEAL_SPREAD: f64 = 1.0;

/// A synthetic market: shoppers with planted tastes, goods, and who took what.
///
/// A shopper's affinity for an item is their liking for its shelf, plus their liking for its style, plus the item's appeal to
/// everyone. Items are taken one after the other without replacement, each with a probability proportional to the
/// exponential of its affinity. Given what a shopper took before, their last item is therefore distributed over the items
/// not yet taken in proportion to that same exponential, and ranking those by affinity maximizes the expected hit rate and
/// NDCG: no model can be expected to do better.
#[derive(Debug, Clone)]
pub struct Market {
    /// Who took what, in the order in which it was taken.
    pub interactions: Interactions,
    /// The title of each item.
    pub titles: Vec<String>,
    /// What each shopper likes, in words.
    pub tastes: Vec<String>,
    shelf: Vec<[f32; SHELVES.len()]>,
    style: Vec<[f32; STYLES.len()]>,
    appeal: Vec<f32>,
}

impl Market {
    /// The market of a seed.
    pub fn new(seed: u64) -> Self {
        Market::of(seed, USERS)
    }

    /// The same with so many shoppers.
    fn of(seed: u64, users: usize) -> Self {
        let mut appeal = Source::new(seed, Purpose::Appeal, 0);
        let mut market = Market {
            interactions: Interactions {
                users: numbered(users),
                items: numbered(ITEMS),
                user: Vec::new(),
                item: Vec::new(),
                time: None,
                format: Format::Pairs,
            },
            titles: (0..ITEMS).map(title).collect(),
            tastes: Vec::with_capacity(users),
            shelf: Vec::with_capacity(users),
            style: Vec::with_capacity(users),
            appeal: (0..ITEMS).map(|_| (APPEAL_SPREAD * appeal.normal()) as f32).collect(),
        };
        for user in 0..users {
            let mut taste = Source::new(seed, Purpose::Tastes, user as u64);
            let shelf = std::array::from_fn(|_| (SHELF_SPREAD * taste.normal()) as f32);
            let style = std::array::from_fn(|_| (STYLE_SPREAD * taste.normal()) as f32);
            market.tastes.push(in_words(&shelf, &style));
            market.shelf.push(shelf);
            market.style.push(style);
        }
        market.shop(seed);
        market
    }

    /// How much a shopper likes an item.
    pub fn affinity(&self, user: usize, item: usize) -> f32 {
        self.shelf[user][item / SHELF] + self.style[user][item % STYLES.len()] + self.appeal[item]
    }

    /// The affinities of a few shoppers for all items, one shopper after the other: the best scores there can be.
    pub fn affinities(&self, users: &[u32], scores: &mut [f32]) {
        for (&user, scores) in users.iter().zip(scores.chunks_exact_mut(ITEMS)) {
            for (item, score) in scores.iter_mut().enumerate() {
                *score = self.affinity(user as usize, item);
            }
        }
    }

    /// Fills the baskets. Adding Gumbel noise to the affinities and taking the largest sums in descending order draws
    /// without replacement with the probabilities wanted.
    fn shop(&mut self, seed: u64) {
        let mut times = Vec::new();
        for user in 0..self.tastes.len() {
            let mut source = Source::new(seed, Purpose::Baskets, user as u64);
            let size = BASKET.0 + source.below(BASKET.1 - BASKET.0 + 1);
            let mut keys: Vec<(f64, u32)> =
                (0..ITEMS).map(|item| (f64::from(self.affinity(user, item)) + source.gumbel(), item as u32)).collect();
            keys.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            for (time, &(_, item)) in (0..i64::from(size)).zip(&keys) {
                self.interactions.user.push(user as u32);
                self.interactions.item.push(item);
                times.push(Stamp::from(time));
            }
        }
        self.interactions.time = Some(times);
    }
}

/// `1`, `2`, … as names.
fn numbered(count: usize) -> Names {
    (1..=count).map(|number| number.to_string()).collect()
}

/// `Smoked Trout (fish)`.
fn title(item: usize) -> String {
    let (shelf, goods) = SHELVES[item / SHELF];
    let style = STYLES[item % STYLES.len()];
    format!("{style} {} ({shelf})", goods[item % SHELF / STYLES.len()])
}

/// The two best liked shelves and styles.
fn in_words(shelf: &[f32], style: &[f32]) -> String {
    let best = |likings: &[f32]| {
        let mut order: Vec<usize> = (0..likings.len()).collect();
        order.sort_by(|&a, &b| likings[b].total_cmp(&likings[a]));
        [order[0], order[1]]
    };
    let [first, second] = best(shelf).map(|at| SHELVES[at].0);
    let [one, other] = best(style).map(|at| STYLES[at].to_lowercase());
    format!("likes {first} and {second}, {one} or {other}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_seed_makes_one_market() {
        let market = Market::of(7, 300);
        assert_eq!(market.interactions, Market::of(7, 300).interactions);
        assert_ne!(market.interactions, Market::of(8, 300).interactions);
        assert_eq!(market.titles.len(), ITEMS);
        assert_eq!(market.titles.iter().collect::<HashSet<_>>().len(), ITEMS);
        assert_eq!(market.titles[0], "Smoked Cheddar (cheese)");
        assert_eq!(market.titles[ITEMS - 1], "Midnight Chutney (pickles)");
        assert!(market.tastes[0].starts_with("likes "));
    }

    #[test]
    fn nobody_takes_an_item_twice_and_baskets_have_their_size() {
        let read = Market::of(1, 300).interactions;
        let pairs: HashSet<_> = read.user.iter().zip(&read.item).collect();
        assert_eq!(pairs.len(), read.len());
        let mut sizes = vec![0u32; 300];
        for &user in &read.user {
            sizes[user as usize] += 1;
        }
        assert!(sizes.iter().all(|size| (BASKET.0..=BASKET.1).contains(size)));
        assert_eq!(sizes.iter().min(), Some(&BASKET.0));
        assert_eq!(sizes.iter().max(), Some(&BASKET.1));
    }

    #[test]
    fn the_first_item_is_drawn_in_proportion_to_the_exponential_of_its_affinity() {
        // The mean log-probability of the first items must match the entropy that the affinities imply.
        let market = Market::of(2, 300);
        let times = market.interactions.time.as_ref().unwrap();
        let (mut surprise, mut entropy, mut variance) = (0.0, 0.0, 0.0);
        for at in (0..times.len()).filter(|&at| times[at] == Stamp::from(0)) {
            let user = market.interactions.user[at] as usize;
            let weights: Vec<f64> = (0..ITEMS).map(|item| f64::from(market.affinity(user, item)).exp()).collect();
            let total: f64 = weights.iter().sum();
            let bits = |weight: f64| -(weight / total).ln();
            let mean: f64 = weights.iter().map(|w| w / total * bits(*w)).sum();
            let square: f64 = weights.iter().map(|w| w / total * bits(*w).powi(2)).sum();
            surprise += bits(weights[market.interactions.item[at] as usize]);
            entropy += mean;
            variance += square - mean * mean;
        }
        assert!((surprise - entropy).abs() < 4.0 * variance.sqrt(), "{surprise} {entropy}");
    }
}
