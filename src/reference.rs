//! Every operation as a plain loop: the specification. Read this first; the tests hold everything else against it, bit for bit.
//!
//! Nothing here is fast, and nothing here uses the SIMD, kernel or thread code of the crate. Here are ids, gather and scatter-add;
//! `reference/bag.rs` has the bags, `reference/gradient.rs` the gradients,
//! `reference/step.rs` the optimizers' steps, `reference/rows.rs` what is done to rows on their own, `reference/nearest.rs` the search, and
//! `reference/exchange.rs` what processes send to each other.

mod bag;
mod exchange;
mod gradient;
mod nearest;
mod rows;
mod step;

use std::collections::BTreeMap;

pub use bag::{PlainBags, bag, bag_argmax};
pub use exchange::{distinct, pool_in_parts};
pub use gradient::{
    RowGradients, bag_gradient, bag_max_gradient, clip_by_norm, clip_by_value, dense, dot, gather_gradient, norm, weight_gradient,
};
pub use nearest::nearest;
pub use rows::{constrain, renorm, row_sum};
pub use step::step;

use crate::element::{Element, Widen};
use crate::error::{Error, Result};
use crate::index::{Cast, IdType, IdValue, Ids, Negative, OutOfRange};
use crate::table::{TableView, TableViewMut};

/// The row that each id names, or `None` where it is filled or skipped.
///
/// ```
/// use hotrow::{IdPolicy, Ids, reference};
///
/// let ids = Ids::from(&[0i64, -1, 9]).with_policy(IdPolicy::KERAS3_JAX);
/// assert_eq!(reference::resolve(ids, 4)?, [Some(0), Some(3), None]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`gather`](crate::gather()).
pub fn resolve(ids: Ids<'_>, rows: usize) -> Result<Vec<Option<usize>>> {
    let policy = ids.policy();
    let dtype = ids.dtype();
    if policy.cast == Cast::NoCast && !matches!(dtype, IdType::I32 | IdType::I64) {
        return Err(Error::IdTypeRefused { dtype });
    }
    let mut resolved = Vec::new();
    for flat in 0..ids.len() {
        let value = ids.get(flat).expect("the position is below the length");
        let position = unravel(ids.shape(), flat);
        let integer = match policy.cast {
            Cast::KerasCall => wrap_to_i32(value),
            Cast::KeepInt64 if dtype != IdType::I64 => wrap_to_i32(value),
            Cast::Checked | Cast::NoCast | Cast::KeepInt64 => {
                let integer = truncate(value).filter(|&x| i64::try_from(x).is_ok());
                integer.ok_or(Error::IdNotCastable { position: position.clone(), value, dtype })?
            }
        };
        let from_end = policy.negative == Negative::FromEnd;
        if policy.negative == Negative::Skipped && integer < 0 {
            resolved.push(None);
            continue;
        }
        let row = if from_end && integer < 0 { integer + rows as i128 } else { integer };
        let inside = 0 <= row && row < rows as i128;
        resolved.push(match policy.out_of_range {
            _ if inside => Some(row as usize),
            OutOfRange::Fill(_) => None,
            OutOfRange::Clamp if rows > 0 => Some(row.clamp(0, rows as i128 - 1) as usize),
            OutOfRange::Clamp | OutOfRange::Error => {
                return Err(Error::IdOutOfRange { position, value, rows, from_end });
            }
        });
    }
    Ok(resolved)
}

/// Toward zero; `None` for NaN, infinity, and what is beyond 128 bits.
fn truncate(value: IdValue) -> Option<i128> {
    match value {
        IdValue::Int(x) => Some(i128::from(x)),
        IdValue::UInt(x) => Some(i128::from(x)),
        IdValue::Bool(x) => Some(i128::from(x)),
        IdValue::Float(x) => (x.abs() < 1e38).then(|| x.trunc() as i128),
    }
}

/// C's cast to int32: integers modulo 2^32; floats that do not fit become -2^31, as on x86.
fn wrap_to_i32(value: IdValue) -> i128 {
    let integer = truncate(value);
    let wrapped = match (value, integer) {
        (IdValue::Float(_), integer) => integer.and_then(|x| i32::try_from(x).ok()).unwrap_or(i32::MIN),
        (_, Some(integer)) => integer as i32,
        (_, None) => i32::MIN,
    };
    i128::from(wrapped)
}

fn unravel(shape: &[usize], flat: usize) -> Vec<usize> {
    let mut position = vec![0; shape.len()];
    let mut rest = flat;
    for axis in (0..shape.len()).rev() {
        position[axis] = rest % shape[axis];
        rest /= shape[axis];
    }
    position
}

/// `out[k] = table[ids[k]]`, row-major, widened if `O` is f32.
///
/// ```
/// use hotrow::{Ids, Table, reference};
///
/// let table = Table::<f32>::from_fn(4, 2, |row, column| (2 * row + column) as f32)?;
/// let rows: Vec<f32> = reference::gather(table.view(), Ids::from(&[3, 0]))?;
/// assert_eq!(rows, [6.0, 7.0, 0.0, 1.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`gather`](crate::gather()).
pub fn gather<E: Widen<O>, O: Element>(table: TableView<'_, E>, ids: Ids<'_>) -> Result<Vec<O>> {
    let mut out = Vec::new();
    for row in resolve(ids, table.rows())? {
        for column in 0..table.dim() {
            out.push(match row {
                Some(row) => table.row(row).expect("resolved")[column].widen(),
                None => O::from_f32(fill_value(ids)),
            });
        }
    }
    Ok(out)
}

fn fill_value(ids: Ids<'_>) -> f32 {
    match ids.policy().out_of_range {
        OutOfRange::Fill(value) => value,
        // What leaves a row unresolved here is a skipped id.
        OutOfRange::Error | OutOfRange::Clamp => 0.0,
    }
}

/// `table[ids[k]] += alpha * source[k]` in input order, in f32; each row that is touched is rounded once, at the end.
///
/// For f32 tables that is the plain loop. NaN payloads are not specified, as in Rust's own arithmetic.
///
/// ```
/// use hotrow::{Ids, Table, reference};
///
/// let mut table = Table::<f32>::zeros(2, 1)?;
/// reference::scatter_add(table.view_mut(), Ids::from(&[1, 1]), &[1.0f32, 2.0], 2.0)?;
/// assert_eq!(table.to_vec(), [0.0, 6.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`scatter_add`](crate::scatter_add()).
pub fn scatter_add<E: Element, S: Element>(mut table: TableViewMut<'_, E>, ids: Ids<'_>, source: &[S], alpha: f32) -> Result<()> {
    let dim = table.dim();
    if source.len() != ids.len() * dim {
        let expected = [ids.shape(), &[dim]].concat();
        return Err(Error::ShapeMismatch { what: "source", needed: ids.len() * dim, expected, actual: source.len() });
    }
    let mut sums: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
    for (k, row) in resolve(ids, table.rows())?.into_iter().enumerate() {
        let Some(row) = row else { continue };
        let sum = sums.entry(row).or_insert_with(|| {
            let row = table.view().row(row).expect("resolved");
            row.iter().map(|x| x.to_f32()).collect()
        });
        for column in 0..dim {
            let update = alpha * source[k * dim + column].to_f32();
            sum[column] += update;
        }
    }
    for (row, sum) in sums {
        for (cell, x) in table.row_mut(row).expect("resolved").iter_mut().zip(sum) {
            *cell = E::from_f32(x);
        }
    }
    Ok(())
}

/// The one-hot matrix of ids, `[ids.len(), rows]`: row `k` is 1 in the column that id `k` names, and 0 elsewhere.
///
/// ```
/// use hotrow::{Ids, reference};
///
/// assert_eq!(reference::one_hot(Ids::from(&[2, 0]), 3)?, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`gather`](crate::gather()).
pub fn one_hot(ids: Ids<'_>, rows: usize) -> Result<Vec<f32>> {
    let mut matrix = vec![0.0; ids.len() * rows];
    for (k, row) in resolve(ids, rows)?.into_iter().enumerate() {
        if let Some(row) = row {
            matrix[k * rows + row] = 1.0;
        }
    }
    Ok(matrix)
}

/// The dense matrix product `[m, inner] × [inner, n]`, as three loops. A gather is `matmul(one_hot, table)`; the gradient of the table
/// is `matmul(transpose(one_hot), gradient)`.
///
/// ```
/// let product = hotrow::reference::matmul(&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 0.0, 1.0], 2, 2, 2);
/// assert_eq!(product, [1.0, 2.0, 3.0, 4.0]);
/// ```
///
/// # Panics
/// When a slice is shorter than its shape.
pub fn matmul(a: &[f32], b: &[f32], m: usize, inner: usize, n: usize) -> Vec<f32> {
    let mut product = vec![0.0; m * n];
    for i in 0..m {
        for k in 0..inner {
            for j in 0..n {
                product[i * n + j] += a[i * inner + k] * b[k * n + j];
            }
        }
    }
    product
}

/// The transpose of an `[m, n]` matrix.
///
/// ```
/// assert_eq!(hotrow::reference::transpose(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// ```
///
/// # Panics
/// When the slice is shorter than its shape.
pub fn transpose(matrix: &[f32], m: usize, n: usize) -> Vec<f32> {
    let mut transposed = Vec::with_capacity(m * n);
    for column in 0..n {
        for row in 0..m {
            transposed.push(matrix[row * n + column]);
        }
    }
    transposed
}
