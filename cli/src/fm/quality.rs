//! How well scores tell yes from no.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::train::loss_and_pull;

/// Scores whose losses are added up by one thread, so that the sum does not depend on how many there are.
const PIECE: usize = 4096;

/// How well scores tell yes from no.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The area under the ROC curve: how often a yes scores higher than a no, over all pairs of them, where equal scores count
    /// half. `None` when there is no such pair.
    pub auc: Option<f64>,
    /// The mean logistic loss, which is 0.6931 for a guess.
    pub log_loss: f64,
}

/// Measures scores against labels of the same number, at least one.
pub fn measure(scores: &[f32], labels: &[bool]) -> Quality {
    let losses: Vec<f64> = scores
        .par_chunks(PIECE)
        .zip(labels.par_chunks(PIECE))
        .map(|(scores, labels)| scores.iter().zip(labels).map(|(&score, &label)| f64::from(loss(score, label).0)).sum())
        .collect();
    Quality { auc: auc(scores, labels), log_loss: losses.iter().sum::<f64>() / scores.len() as f64 }
}

/// The logistic loss of a score, and its slope.
pub(super) fn loss(score: f32, label: bool) -> (f32, f32) {
    // A no is a yes to the opposite score.
    let (loss, pull) = loss_and_pull(if label { score } else { -score });
    (loss, if label { -pull } else { pull })
}

fn auc(scores: &[f32], labels: &[bool]) -> Option<f64> {
    let mut order: Vec<(u32, bool)> = scores.iter().map(|&score| key(score)).zip(labels.iter().copied()).collect();
    order.par_sort_unstable();
    // Twice the pairs in the right order, so that halves are whole; in 128 bits, no sum overflows.
    let (mut twice, mut below) = (0u128, 0u128);
    for equal in order.chunk_by(|a, b| a.0 == b.0) {
        let yes = equal.iter().filter(|(_, label)| *label).count() as u128;
        let no = equal.len() as u128 - yes;
        twice += yes * (2 * below + no);
        below += no;
    }
    let pairs = below * (scores.len() as u128 - below);
    (pairs > 0).then(|| twice as f64 / (2 * pairs) as f64)
}

/// A number that orders as the score does, with one for both zeros.
fn key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, pair by pair.
    fn spelled_out(scores: &[f32], labels: &[bool]) -> f64 {
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (a, _) in scores.iter().zip(labels).filter(|(_, label)| **label) {
            for (b, _) in scores.iter().zip(labels).filter(|(_, label)| !**label) {
                sum += if a > b { 1.0 } else { f64::from(u8::from(a == b)) / 2.0 };
                pairs += 1.0;
            }
        }
        sum / pairs
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        let labels = |bits: u32, count: usize| (0..count).map(|k| bits >> k & 1 == 1).collect::<Vec<_>>();
        let ties: Vec<f32> = (0..16).map(|k| ((k * 7 + 3) % 5) as f32 - 2.0).collect();
        let apart: Vec<f32> = (0..16).map(|k| ((k * 7 + 3) % 16) as f32 / 3.0 - 2.0).collect();
        for scores in [ties, apart, vec![0.5; 16]] {
            for bits in (1..65_535).step_by(97) {
                let labels = labels(bits, 16);
                let found = auc(&scores, &labels).unwrap();
                assert!((found - spelled_out(&scores, &labels)).abs() < 1e-12, "{scores:?} {labels:?}");
            }
        }
        assert_eq!(auc(&[-0.0, 0.0], &[true, false]), Some(0.5));
        assert_eq!(auc(&[f32::NEG_INFINITY, -1e-40, 1e-40, f32::INFINITY], &[false, false, true, true]), Some(1.0));
        assert_eq!(auc(&[1.0, 2.0], &[true, true]), None);
    }

    #[test]
    fn the_loss_is_the_mean_over_all() {
        let count = 3 * PIECE + 5;
        let scores: Vec<f32> = (0..count).map(|k| (k % 13) as f32 - 6.0).collect();
        let labels: Vec<bool> = (0..count).map(|k| k % 3 == 0).collect();
        let exact: f64 = scores
            .iter()
            .zip(&labels)
            .map(|(&score, &label)| (if label { -f64::from(score) } else { f64::from(score) }).exp().ln_1p())
            .sum();
        let quality = measure(&scores, &labels);
        assert!((quality.log_loss - exact / count as f64).abs() < 1e-7);
        assert_eq!(measure(&[0.0], &[true]).log_loss as f32, std::f32::consts::LN_2);
    }

    #[test]
    fn the_slope_is_that_of_the_loss() {
        for score in [-5.0f32, -0.5, 0.0, 1.0, 7.0] {
            for label in [false, true] {
                let exact = |s: f64| (if label { -s } else { s }).exp().ln_1p();
                let s = f64::from(score);
                let slope = (exact(s + 1e-5) - exact(s - 1e-5)) / 2e-5;
                let (value, found) = loss(score, label);
                assert!((f64::from(value) - exact(s)).abs() < 1e-6 && (f64::from(found) - slope).abs() < 1e-6, "{score} {label}");
            }
        }
    }
}
