//! Bags as plain loops: several ids, one row.

use super::resolve;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::index::{Bags, Negative, OutOfRange, Pooling};
use crate::table::TableView;

/// [`Bags`], written out for a table.
///
/// ```
/// use hotrow::reference::{self, PlainBags};
/// use hotrow::{Bags, Pooling, Table};
///
/// let table = Table::<f32>::from_fn(4, 2, |row, column| (10 * row + column) as f32)?;
/// // Bag 0 holds the ids 1 and 3, bag 1 none, bag 2 the id 2.
/// let bags = PlainBags::of(&Bags::from_splits(&[1, 3, 2], &[0i64, 2, 2, 3]), 4)?;
/// let pooled: Vec<f32> = reference::bag(table.view(), &bags, Pooling::Mean);
/// assert_eq!(pooled, [20.0, 21.0, 0.0, 0.0, 20.0, 21.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PlainBags {
    /// The row that each id names, as [`resolve`](super::resolve) says.
    pub rows: Vec<Option<usize>>,
    /// Bag `b` holds the ids `splits[b]..splits[b + 1]`.
    pub splits: Vec<usize>,
    /// A factor for each id.
    pub weights: Option<Vec<f32>>,
    /// Ids that name this row are left out.
    pub padding: Option<usize>,
    /// The row of a bag without ids.
    pub default_row: Option<usize>,
    /// What an id without a row stands for: a row of this value, or, with `None`, nothing at all.
    pub fill: Option<f32>,
}

/// An id that counts in its bag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Its place among all ids; the default row has none.
    pub(super) at: Option<usize>,
    /// Its row; a filled id has none.
    pub(super) row: Option<usize>,
    /// Its weight: 1 where there are none.
    pub(super) weight: f32,
}

impl PlainBags {
    /// What `bags` say about a table of so many rows.
    ///
    /// # Errors
    /// As [`bag`](crate::bag()).
    pub fn of(bags: &Bags<'_>, rows: usize) -> Result<PlainBags> {
        let (ids, policy) = (bags.ids(), bags.ids().policy());
        let padding = row_option("padding_idx", bags.padding_idx(), rows)?;
        let default_row = row_option("default_row", bags.default_row(), rows)?;
        if let Some(weights) = bags.weights().filter(|weights| weights.len() != ids.len()) {
            return Err(Error::WeightCount { weights: weights.len(), ids: ids.len() });
        }
        let splits = bags.bounds()?.into_iter().map(|bound| bound as usize).collect();
        Ok(PlainBags {
            rows: resolve(ids, rows)?,
            splits,
            weights: bags.weights().map(<[f32]>::to_vec),
            padding,
            default_row,
            fill: match (policy.negative, policy.out_of_range) {
                (Negative::Skipped, _) => None,
                (_, OutOfRange::Fill(value)) => Some(value),
                (_, OutOfRange::Error | OutOfRange::Clamp) => None,
            },
        })
    }

    /// How many bags there are.
    pub fn count(&self) -> usize {
        self.splits.len() - 1
    }

    /// The ids of a bag that count, in order; where there are none, the default row, if one is set.
    pub(super) fn members(&self, bag: usize) -> Vec<Member> {
        let mut members = Vec::new();
        for at in self.splits[bag]..self.splits[bag + 1] {
            let row = self.rows[at];
            let left_out = match row {
                Some(row) => self.padding == Some(row),
                None => self.fill.is_none(),
            };
            if !left_out {
                members.push(Member { at: Some(at), row, weight: self.weights.as_ref().map_or(1.0, |weights| weights[at]) });
            }
        }
        if members.is_empty() && self.default_row.is_some() {
            members.push(Member { at: None, row: self.default_row, weight: 1.0 });
        }
        members
    }

    /// The value that a member has in a column.
    pub(super) fn value<E: Element>(&self, table: TableView<'_, E>, member: Member, column: usize) -> f32 {
        match (member.row, self.fill) {
            (Some(row), _) => table.row(row).expect("resolved")[column].to_f32(),
            (None, Some(fill)) => fill,
            (None, None) => unreachable!("left out"),
        }
    }
}

/// The row that an option names, counted from the end if negative.
pub(super) fn row_option(option: &'static str, row: Option<i64>, rows: usize) -> Result<Option<usize>> {
    let Some(row) = row else { return Ok(None) };
    let counted = if row < 0 { i128::from(row) + rows as i128 } else { i128::from(row) };
    let inside = 0 <= counted && counted < rows as i128;
    if inside { Ok(Some(counted as usize)) } else { Err(Error::RowOption { option, row, rows }) }
}

/// What the sum of a bag is divided by: the sum of its weights, or the root of the sum of their squares.
pub(super) fn denominator(members: &[Member], pooling: Pooling) -> f32 {
    let mut sum = 0.0f32;
    match pooling {
        Pooling::Mean => {
            for member in members {
                sum += member.weight;
            }
            sum
        }
        Pooling::Sqrtn => {
            for member in members {
                sum += member.weight * member.weight;
            }
            sum.sqrt()
        }
        _ => 1.0,
    }
}

/// Division in which a denominator of zero gives zero, whatever is divided.
pub(super) fn divide(x: f32, denominator: f32) -> f32 {
    if denominator == 0.0 { 0.0 } else { x / denominator }
}

/// `out[b]` is the pooled rows of the ids of bag `b`, each times its weight: `[bags, dim]`, summed in f32 in the order of the ids and
/// rounded once. A denominator of zero gives zeros, and so does a bag without ids.
///
/// # Panics
/// When `splits` and `weights` do not fit the ids, or a row the table.
pub fn bag<E: Element, O: Element>(table: TableView<'_, E>, bags: &PlainBags, pooling: Pooling) -> Vec<O> {
    let mut out = Vec::new();
    for bag in 0..bags.count() {
        let members = bags.members(bag);
        let denominator = denominator(&members, pooling);
        for column in 0..table.dim() {
            let pooled = match pooling {
                Pooling::Max => largest(table, bags, &members, column).0,
                _ => divide(sum(table, bags, &members, column), denominator),
            };
            out.push(O::from_f32(pooled));
        }
    }
    out
}

/// The row that won each value of a bag pooled by [`Pooling::Max`], `[bags, dim]`: `u32::MAX` where there was no id, or a filled one won.
///
/// # Panics
/// As [`bag`].
pub fn bag_argmax<E: Element>(table: TableView<'_, E>, bags: &PlainBags) -> Vec<u32> {
    let mut out = Vec::new();
    for bag in 0..bags.count() {
        let members = bags.members(bag);
        for column in 0..table.dim() {
            let row = largest(table, bags, &members, column).1;
            out.push(row.map_or(u32::MAX, |row| row as u32));
        }
    }
    out
}

fn sum<E: Element>(table: TableView<'_, E>, bags: &PlainBags, members: &[Member], column: usize) -> f32 {
    let mut sum = 0.0;
    for &member in members {
        sum += member.weight * bags.value(table, member, column);
    }
    sum
}

/// The first value, unless a later one is greater: so a NaN stays if it is the first, and loses otherwise. And whose it was.
fn largest<E: Element>(table: TableView<'_, E>, bags: &PlainBags, members: &[Member], column: usize) -> (f32, Option<usize>) {
    let Some(&first) = members.first() else { return (0.0, None) };
    let mut largest = (bags.value(table, first, column), first.row);
    for &member in members {
        let value = bags.value(table, member, column);
        if value > largest.0 {
            largest = (value, member.row);
        }
    }
    largest
}
