//! What ranks send to each other, as plain loops.

use super::bag::{PlainBags, denominator, divide};
use crate::element::Element;
use crate::index::Pooling;
use crate::table::TableView;

/// The distinct ids in the order of their first appearance, and for each place which of them stands there.
///
/// ```
/// assert_eq!(hotrow::reference::distinct(&[7, 3, 7, 9]), (vec![7, 3, 9], vec![0, 1, 0, 2]));
/// ```
pub fn distinct(ids: &[u32]) -> (Vec<u32>, Vec<usize>) {
    let (mut unique, mut index) = (Vec::new(), Vec::new());
    for id in ids {
        let found = unique.iter().position(|known| known == id);
        index.push(found.unwrap_or(unique.len()));
        if found.is_none() {
            unique.push(*id);
        }
    }
    (unique, index)
}

/// Bags of a table that is cut by rows: part `p` has the rows from `starts[p]` on, up to the start of the next. Every part adds up the ids of a bag that it
/// has, in their order; those sums are added in the order of the parts. Then comes the division, as in [`bag`](super::bag()); but where ids have
/// weights, these are divided instead, before anything is added.
///
/// # Panics
/// When `splits` and `weights` do not fit the ids, or a row the table.
pub fn pool_in_parts<E: Element>(table: TableView<'_, E>, bags: &PlainBags, pooling: Pooling, starts: &[usize]) -> Vec<f32> {
    let mut out = Vec::new();
    for bag in 0..bags.count() {
        let members = bags.members(bag);
        let divisor = denominator(&members, pooling);
        for column in 0..table.dim() {
            let mut sum = 0.0f32;
            for (part, &start) in starts.iter().enumerate() {
                let end = starts.get(part + 1).copied().unwrap_or(table.rows());
                let mut partial = 0.0f32;
                for &member in members.iter().filter(|member| member.row.is_some_and(|row| start <= row && row < end)) {
                    let weight = if bags.weights.is_some() { divide(member.weight, divisor) } else { 1.0 };
                    partial += weight * bags.value(table, member, column);
                }
                sum += partial;
            }
            out.push(match (divisor == 0.0, bags.weights.is_some()) {
                (true, _) => 0.0,
                (false, true) => sum,
                (false, false) => sum / divisor,
            });
        }
    }
    out
}
