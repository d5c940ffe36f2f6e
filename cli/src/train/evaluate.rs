//! How well scores rank what was held out.

use hotrow::Table;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::math::score_block;
use super::run::TrainError;
use crate::data::Dataset;
use crate::model::Weight;

/// Users scored together: their embeddings stay in the first cache while the items stream by.
const BLOCK: usize = 8;
/// Places that count.
const PLACES: usize = 10;

/// Ranking quality, averaged over the users who have an item held out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// How often the held-out item is among the first ten.
    pub hr_at_10: f64,
    /// The mean of `1 / log2(rank + 1)` over the same, 0 beyond the tenth rank.
    pub ndcg_at_10: f64,
}

impl Scores {
    fn of_ranks(ranks: &[usize]) -> Self {
        let (mut hits, mut gain) = (0usize, 0.0);
        for &rank in ranks.iter().filter(|&&rank| rank < PLACES) {
            hits += 1;
            gain += 1.0 / libm::log2(rank as f64 + 2.0);
        }
        let users = ranks.len().max(1) as f64;
        Scores { hr_at_10: hits as f64 / users, ndcg_at_10: gain / users }
    }
}

/// Ranks each user's held-out item among all items that they do not have in training. `score` writes the scores of all items
/// for a few users, one user after the other. Among equal scores the item that came first in the data ranks first.
pub fn evaluate(data: &Dataset, score: impl Fn(&[u32], &mut [f32]) + Sync) -> Scores {
    let items = data.items.len();
    let users: Vec<u32> = (0..data.users.len() as u32).filter(|&user| data.held_out[user as usize].is_some()).collect();
    let ranks: Vec<usize> = users
        .par_chunks(BLOCK)
        .map_init(
            || vec![0.0; BLOCK * items],
            |scores, block| {
                score(block, &mut scores[..block.len() * items]);
                let rank = |(&user, scores): (&u32, &[f32])| {
                    let held_out = data.held_out[user as usize]?;
                    Some(rank(scores, held_out, data.train.of(user as usize)))
                };
                block.iter().zip(scores.chunks_exact(items)).filter_map(rank).collect::<Vec<_>>()
            },
        )
        .flatten_iter()
        .collect();
    Scores::of_ranks(&ranks)
}

/// [`evaluate`] for embeddings.
///
/// # Errors
/// When there is no memory for the tables in `f32`.
pub fn evaluate_tables<E: Weight>(data: &Dataset, users: &Table<E>, items: &Table<E>) -> Result<Scores, TrainError> {
    let dim = items.dim();
    let users = users.convert::<f32>()?.to_vec();
    let items = items.convert::<f32>()?.to_vec();
    Ok(evaluate(data, |block, scores| {
        let rows: Vec<_> = block.iter().map(|&user| &users[user as usize * dim..][..dim]).collect();
        score_block(&rows, &items, dim, scores);
    }))
}

/// How many items that are not in `seen` stand before `held_out`.
fn rank(scores: &[f32], held_out: u32, seen: &[u32]) -> usize {
    let score = scores[held_out as usize];
    let (before, after) = scores.split_at(held_out as usize);
    // Counting all and taking away those seen keeps the long loop free of look-ups.
    let ahead = before.iter().filter(|&&other| other >= score).count() + after.iter().filter(|&&other| other > score).count();
    let seen_ahead = seen
        .iter()
        .filter(|&&item| {
            let other = scores[item as usize];
            other > score || (other == score && item < held_out)
        })
        .count();
    ahead - seen_ahead
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read_interactions;

    #[test]
    fn ranks_leave_out_what_was_seen_and_break_ties_by_order() {
        let scores = [0.5, 0.9, 0.5, 0.7, 0.5, 0.1];
        assert_eq!(rank(&scores, 2, &[]), 3);
        assert_eq!(rank(&scores, 2, &[1]), 2);
        assert_eq!(rank(&scores, 2, &[0, 1, 3]), 0);
        assert_eq!(rank(&scores, 2, &[4, 5]), 3);
        assert_eq!(rank(&scores, 1, &[]), 0);
        assert_eq!(rank(&scores, 5, &[]), 5);
    }

    #[test]
    fn scores_average_over_users() {
        let scores = Scores::of_ranks(&[0, 2, 9, 10, 500]);
        assert_eq!(scores.hr_at_10, 0.6);
        let gain = 1.0 + 0.5 + 1.0 / 11f64.log2();
        assert!((scores.ndcg_at_10 - gain / 5.0).abs() < 1e-12);
        assert_eq!(Scores::of_ranks(&[]).hr_at_10, 0.0);
    }

    #[test]
    fn every_user_is_scored_in_their_own_place() {
        // 21 users, more than two blocks, of whom one has nothing held out. User k holds item k out.
        let mut text: String = (0..21).map(|k| format!("u{k} common\nu{k} i{k}\n")).collect();
        text.push_str("single common\n");
        let data = Dataset::split(read_interactions(text.as_bytes(), None).unwrap());
        let items = data.items.len();
        let perfect = evaluate(&data, |block, scores| {
            for (&user, scores) in block.iter().zip(scores.chunks_exact_mut(items)) {
                scores.fill(0.0);
                scores[data.held_out[user as usize].unwrap() as usize] = 1.0;
            }
        });
        assert_eq!(perfect, Scores { hr_at_10: 1.0, ndcg_at_10: 1.0 });
        let worst = evaluate(&data, |block, scores| {
            for (&user, scores) in block.iter().zip(scores.chunks_exact_mut(items)) {
                scores.fill(0.0);
                scores[data.held_out[user as usize].unwrap() as usize] = -1.0;
            }
        });
        assert_eq!(worst, Scores { hr_at_10: 0.0, ndcg_at_10: 0.0 });
    }
}
