//! The result of matrix factorization.

use std::time::Duration;

use serde::Serialize;

use crate::model::Precision;
use crate::train::{Method, Scores};

/// What came out, under the names that `--json` gives it.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub hr_at_10: f64,
    pub ndcg_at_10: f64,
    pub popularity_hr_at_10: f64,
    pub popularity_ndcg_at_10: f64,
    pub best_hr_at_10: Option<f64>,
    pub best_ndcg_at_10: Option<f64>,
    pub epochs: usize,
    pub train_seconds_per_epoch: f64,
    pub samples_per_second: f64,
    pub loss: f64,
    pub users: usize,
    pub evaluated_users: usize,
    pub items: usize,
    pub interactions: usize,
    pub training_interactions: usize,
    pub repeats: usize,
    pub optimizer: Method,
    pub dim: usize,
    pub dtype: Precision,
    pub seed: u64,
    pub threads: usize,
    pub model: String,
    #[serde(skip)]
    pub example_user: String,
    #[serde(skip)]
    pub example_item: String,
}

impl Outcome {
    /// A text for people.
    pub(super) fn table(&self) -> String {
        let each = Duration::from_secs_f64(self.train_seconds_per_epoch);
        let mut text = format!(
            "{} epochs of {each:.1?} on {} threads, {:.2} M samples/s, loss {:.4}\n",
            self.epochs,
            self.threads,
            self.samples_per_second / 1e6,
            self.loss
        );
        if self.evaluated_users == 0 {
            return text + "\nno user has two items, so nothing could be held out and measured";
        }
        let row = |name, scores: Scores| format!("\n{name:<16}{:>8.4}{:>10.4}", scores.hr_at_10, scores.ndcg_at_10);
        text += &format!("\n{:<16}{:>8}{:>10}", "", "HR@10", "NDCG@10");
        text += &row("this model", Scores { hr_at_10: self.hr_at_10, ndcg_at_10: self.ndcg_at_10 });
        text += &row("popularity", Scores { hr_at_10: self.popularity_hr_at_10, ndcg_at_10: self.popularity_ndcg_at_10 });
        if let (Some(hr_at_10), Some(ndcg_at_10)) = (self.best_hr_at_10, self.best_ndcg_at_10) {
            text += &row("best reachable", Scores { hr_at_10, ndcg_at_10 });
        }
        text
    }
}
