//! Gradients as plain loops: from the gradient of an output to the rows that it came from.

use std::collections::BTreeMap;

use super::bag::{PlainBags, bag, denominator, divide};
use crate::element::Element;
use crate::index::Pooling;
use crate::table::TableView;

/// The gradient of each row that a batch of ids named, by row.
pub type RowGradients = BTreeMap<usize, Vec<f32>>;

/// The gradient of a gather: `grad[k]` goes to the row of id `k`. Ids without a row have none, and those that name the `padding` row
/// are left out. With `by_freq` the gradient of a row is divided by the number of its ids.
///
/// ```
/// use hotrow::reference::gather_gradient;
///
/// let rows = [Some(5), Some(1), Some(5), None];
/// let gradient = gather_gradient(&rows, &[1.0f32, 2.0, 4.0, 8.0], 1, None, true);
/// assert_eq!(gradient.into_iter().collect::<Vec<_>>(), [(1, vec![2.0]), (5, vec![2.5])]);
/// ```
///
/// # Panics
/// When `grad` is shorter than the ids ask for.
pub fn gather_gradient<S: Element>(
    rows: &[Option<usize>],
    grad: &[S],
    dim: usize,
    padding: Option<usize>,
    by_freq: bool,
) -> RowGradients {
    // A gather is one bag for each id.
    let splits = (0..=rows.len()).collect();
    let bags = PlainBags { rows: rows.to_vec(), splits, weights: None, padding, default_row: None, fill: None };
    bag_gradient(&bags, Pooling::Sum, grad, dim, by_freq)
}

/// The gradient of a pooled bag, but for [`Pooling::Max`]: every id of bag `b` adds `scale * grad[b]` to its row, in the order of the
/// ids, where `scale` is its weight over the bag's denominator. A denominator of zero has a scale of zero.
///
/// # Panics
/// When `grad` is shorter than `[bags, dim]`.
pub fn bag_gradient<S: Element>(bags: &PlainBags, pooling: Pooling, grad: &[S], dim: usize, by_freq: bool) -> RowGradients {
    let mut sums = Sums::default();
    for bag in 0..bags.count() {
        let members = bags.members(bag);
        let denominator = denominator(&members, pooling);
        for member in members {
            let Some(row) = member.row else { continue };
            let scale = divide(member.weight, denominator);
            let sum = sums.of(row, dim);
            for column in 0..dim {
                sum[column] += scale * grad[bag * dim + column].to_f32();
            }
        }
    }
    sums.finish(by_freq)
}

/// The gradient of bags pooled by [`Pooling::Max`]: each value of `grad` goes to the row of its bag that won it, once. A row is there if an
/// id names it, even if it won nothing.
///
/// # Panics
/// When `argmax` or `grad` is shorter than `[bags, dim]`.
pub fn bag_max_gradient<S: Element>(bags: &PlainBags, argmax: &[u32], grad: &[S], dim: usize, by_freq: bool) -> RowGradients {
    let mut sums = Sums::default();
    for bag in 0..bags.count() {
        let mut rows: Vec<usize> = bags.members(bag).iter().filter_map(|member| member.row).collect();
        for &row in &rows {
            sums.of(row, dim);
        }
        rows.sort_unstable();
        rows.dedup();
        for row in rows {
            for at in bag * dim..(bag + 1) * dim {
                if argmax[at] as usize == row {
                    sums.rows.entry(row).and_modify(|sum| sum[at % dim] += grad[at].to_f32());
                }
            }
        }
    }
    sums.finish(by_freq)
}

/// Sums by row, and how many ids each row has.
#[derive(Default)]
struct Sums {
    rows: RowGradients,
    ids: BTreeMap<usize, usize>,
}

impl Sums {
    /// The sum of a row that one more id names.
    fn of(&mut self, row: usize, dim: usize) -> &mut Vec<f32> {
        *self.ids.entry(row).or_default() += 1;
        self.rows.entry(row).or_insert_with(|| vec![0.0; dim])
    }

    fn finish(mut self, by_freq: bool) -> RowGradients {
        if by_freq {
            for (row, sum) in &mut self.rows {
                for x in sum {
                    *x /= self.ids[row] as f32;
                }
            }
        }
        self.rows
    }
}

/// The gradient of the weight of each id, for every pooling but [`Pooling::Max`]; 0 for ids that are left out.
///
/// With `g` the gradient of the bag's output, `out` the output in f32, `row` the id's row, `w` its weight and `d` the denominator:
/// `g·row` for a sum, `(g·row - g·out) / d` for a mean, `(g·row - w / d * g·out) / d` for sqrtn; and 0 where `d` is 0.
///
/// # Panics
/// When `grad` is shorter than `[bags, dim]`.
pub fn weight_gradient<E: Element>(table: TableView<'_, E>, bags: &PlainBags, pooling: Pooling, grad: &[f32]) -> Vec<f32> {
    let dim = table.dim();
    let out: Vec<f32> = bag(table, bags, pooling);
    let mut gradient = vec![0.0; bags.rows.len()];
    for bag in 0..bags.count() {
        let members = bags.members(bag);
        let denominator = denominator(&members, pooling);
        let g = &grad[bag * dim..(bag + 1) * dim];
        let with_out = dot(g, &out[bag * dim..(bag + 1) * dim]);
        for member in members {
            let Some(at) = member.at else { continue };
            let row: Vec<f32> = (0..dim).map(|column| bags.value(table, member, column)).collect();
            let with_row = dot(g, &row);
            gradient[at] = match pooling {
                Pooling::Mean => divide(with_row - with_out, denominator),
                Pooling::Sqrtn => divide(with_row - member.weight / denominator * with_out, denominator),
                _ => with_row,
            };
        }
    }
    gradient
}

/// The one shape of a sum over a row: value `k` is added to partial sum `k % 16`, and those are folded in halves.
///
/// ```
/// let row = [1.0, 2.0, 3.0];
/// assert_eq!(hotrow::reference::dot(&row, &row), 14.0);
/// ```
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut partial = [0.0f32; 16];
    for (k, (a, b)) in a.iter().zip(b).enumerate() {
        partial[k % 16] += a * b;
    }
    for half in [8, 4, 2, 1] {
        for k in 0..half {
            partial[k] += partial[k + half];
        }
    }
    partial[0]
}

/// The dense gradient, `[rows, dim]`.
///
/// # Panics
/// When a row is beyond the last.
pub fn dense(gradient: &RowGradients, rows: usize, dim: usize) -> Vec<f32> {
    let mut dense = vec![0.0; rows * dim];
    for (row, values) in gradient {
        dense[row * dim..(row + 1) * dim].copy_from_slice(values);
    }
    dense
}

/// The L2 norm over all rows: the [`dot`] of each row with itself, added up in f64 in ascending order of the rows.
pub fn norm(gradient: &RowGradients) -> f32 {
    let mut sum = 0.0f64;
    for row in gradient.values() {
        sum += f64::from(dot(row, row));
    }
    sum.sqrt() as f32
}

/// Scales all rows so that their norm is `max`, if it is more.
pub fn clip_by_norm(gradient: &mut RowGradients, max: f32) {
    let norm = norm(gradient);
    if norm > max {
        let factor = max / norm;
        for x in gradient.values_mut().flatten() {
            *x *= factor;
        }
    }
}

/// Brings every value into `-limit..=limit`. A NaN stays.
pub fn clip_by_value(gradient: &mut RowGradients, limit: f32) {
    for x in gradient.values_mut().flatten() {
        *x = x.clamp(-limit, limit);
    }
}
