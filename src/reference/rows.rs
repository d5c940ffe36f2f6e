//! What constraints and renormalization do to a row.

use std::collections::BTreeSet;

use super::resolve;
use crate::element::Element;
use crate::error::Result;
use crate::index::Ids;
use crate::layer::Constraint;
use crate::table::TableViewMut;

/// The sum over a row: value `k` is added to partial sum `k % 16`, and these are added by halves. Every sum over a row has this
/// shape.
///
/// ```
/// let row = [1.0f32; 20];
/// assert_eq!(hotrow::reference::row_sum(row.into_iter()), 20.0);
/// ```
pub fn row_sum(values: impl Iterator<Item = f32>) -> f32 {
    let mut lanes = [0.0f32; 16];
    for (k, value) in values.enumerate() {
        lanes[k % 16] += value;
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

/// A constraint applied to one row, by Keras's formulas, in f32.
///
/// ```
/// use hotrow::{Constraint, reference};
///
/// let mut row = [3.0f32, -4.0];
/// reference::constrain(Constraint::NonNeg, &mut row);
/// assert_eq!(row, [3.0, 0.0]);
/// ```
///
/// # Panics
/// When the constraint's parameters make no sense.
pub fn constrain<E: Element>(constraint: Constraint, row: &mut [E]) {
    let norm = row_sum(row.iter().map(|x| x.to_f32() * x.to_f32())).sqrt();
    for value in row {
        let w = value.to_f32();
        *value = E::from_f32(match constraint {
            Constraint::NonNeg => {
                if w <= 0.0 {
                    0.0
                } else {
                    w
                }
            }
            Constraint::UnitNorm => w / (1e-7 + norm),
            Constraint::MaxNorm { max_value } => w * (norm.clamp(0.0, max_value) / (1e-7 + norm)),
            Constraint::MinMaxNorm { min_value, max_value, rate } => {
                let desired = rate * norm.clamp(min_value, max_value) + (1.0 - rate) * norm;
                w * (desired / (1e-7 + norm))
            }
        });
    }
}

/// PyTorch's renormalization of the rows that ids name, with norms of order 1, 2 or infinity; any other order is taken for 2.
///
/// ```
/// use hotrow::{Ids, Table, reference};
///
/// let mut table = Table::from_slice(&[3.0f32, 4.0], 1, 2)?;
/// reference::renorm(table.view_mut(), Ids::from(&[0, 0]), 10.0, 2.0)?;
/// assert_eq!(table.to_vec(), [3.0, 4.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`gather`](crate::gather()).
pub fn renorm<E: Element>(mut table: TableViewMut<'_, E>, ids: Ids<'_>, max_norm: f32, norm_type: f32) -> Result<()> {
    let rows: BTreeSet<usize> = resolve(ids, table.rows())?.into_iter().flatten().collect();
    for row in rows {
        let Some(row) = table.row_mut(row) else { continue };
        let magnitudes = row.iter().map(|x| x.to_f32().abs());
        let norm = if norm_type == 1.0 {
            row_sum(magnitudes)
        } else if norm_type == f32::INFINITY {
            magnitudes.fold(0.0, |largest, x| if x > largest || x.is_nan() { x } else { largest })
        } else {
            row_sum(magnitudes.map(|x| x * x)).sqrt()
        };
        let norm = f64::from(norm);
        if norm > f64::from(max_norm) {
            let scale = (f64::from(max_norm) / (norm + 1e-7)) as f32;
            for value in row {
                *value = E::from_f32(value.to_f32() * scale);
            }
        }
    }
    Ok(())
}
