//! The rows nearest to a query, by looking at all of them and sorting.

use super::row_sum;
use crate::element::Element;
use crate::ops::{Metric, Neighbour};
use crate::table::TableView;

/// The `k` rows with the highest scores for one query, best first, and their scores.
///
/// A score is a sum in the shape of [`row_sum`], all in f32: with [`Metric::Dot`], of the products `query[k] * row[k]`; with
/// [`Metric::Cosine`] that, divided by the product of the two lengths, `root(sum of query²) * root(sum of row²)`, or 0 where that
/// product is 0. A score of -0 is given as 0, and any NaN as `f32::NAN`.
///
/// ```
/// use hotrow::{Metric, Table, reference};
///
/// let table = Table::from_slice(&[1.0f32, 0.0, 3.0, 4.0, 0.0, 0.0], 3, 2)?;
/// let near = reference::nearest(table.view(), &[2.0, 0.0], 2, Metric::Cosine, &[0]);
/// assert_eq!(near.iter().map(|near| (near.row, near.score)).collect::<Vec<_>>(), [(1, 0.6), (2, 0.0)]);
/// # Ok::<(), hotrow::Error>(())
/// ```
pub fn nearest<E: Element>(table: TableView<'_, E>, query: &[f32], k: usize, metric: Metric, exclude: &[u32]) -> Vec<Neighbour> {
    let mut all = Vec::new();
    for (row, values) in table.iter().enumerate() {
        let row = row as u32;
        if !exclude.contains(&row) {
            all.push(Neighbour { row, score: score(query, values, metric) });
        }
    }
    // A stable sort: equal scores stay in the order of the rows. NaN comes last.
    all.sort_by(|a, b| match (a.score.is_nan(), b.score.is_nan()) {
        (false, false) => b.score.total_cmp(&a.score),
        (a, b) => a.cmp(&b),
    });
    all.truncate(k);
    all
}

fn score<E: Element>(query: &[f32], row: &[E], metric: Metric) -> f32 {
    let dot = row_sum(query.iter().zip(row).map(|(q, x)| q * x.to_f32()));
    let score = match metric {
        Metric::Dot => dot,
        Metric::Cosine => {
            let query = row_sum(query.iter().map(|q| q * q)).sqrt();
            let row = row_sum(row.iter().map(|x| x.to_f32() * x.to_f32())).sqrt();
            let lengths = query * row;
            if lengths == 0.0 { 0.0 } else { dot / lengths }
        }
    };
    if score.is_nan() { f32::NAN } else { score + 0.0 }
}
