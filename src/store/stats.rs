//! What the rows of a table look like.

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};

use rayon::slice::ParallelSliceMut;

use crate::element::Element;
use crate::error::{Error, Result};
use crate::par::{self, Parallelism};
use crate::table::{AnyView, FILL_BYTES, TableView};

/// Rows of one kind: how many, and which come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundRows {
    /// How many.
    pub count: usize,
    /// The first of them, ten at most, ascending.
    pub first: Vec<usize>,
}

/// A bin of a histogram: norms from `from` on and below `to`; in the last bin, `to` itself too.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bin {
    /// The least norm.
    pub from: f64,
    /// The norm above all others.
    pub to: f64,
    /// How many rows.
    pub count: usize,
}

/// What [`table_stats`] finds.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TableStats {
    /// `[rows, dim]`.
    pub shape: [usize; 2],
    /// How many values are not a number.
    pub nan_values: u64,
    /// How many values are infinite.
    pub infinite_values: u64,
    /// Rows that hold a NaN or an infinity.
    pub broken_rows: FoundRows,
    /// Rows of nothing but zeros.
    pub zero_rows: FoundRows,
    /// Rows that are equal to an earlier one, to the bit.
    pub duplicate_rows: FoundRows,
    /// The least finite value.
    pub least: Option<f32>,
    /// The mean of the finite values.
    pub mean: Option<f64>,
    /// The greatest finite value.
    pub greatest: Option<f32>,
    /// The Euclidean norms of the rows whose values are all finite, ascending.
    pub norms: Vec<f64>,
}

impl TableStats {
    /// The mean of the norms.
    pub fn mean_norm(&self) -> Option<f64> {
        (!self.norms.is_empty()).then(|| self.norms.iter().sum::<f64>() / self.norms.len() as f64)
    }

    /// The median of the norms: the mean of the two in the middle where their number is even.
    pub fn median_norm(&self) -> Option<f64> {
        let middle = self.norms.len() / 2;
        let upper = *self.norms.get(middle)?;
        Some(if self.norms.len() % 2 == 1 { upper } else { (self.norms[middle - 1] + upper) / 2.0 })
    }

    /// The norms in so many bins of equal width, from the least to the greatest; one bin where all norms are equal, none where there are none.
    pub fn histogram(&self, bins: usize) -> Vec<Bin> {
        let (Some(&least), Some(&greatest)) = (self.norms.first(), self.norms.last()) else { return Vec::new() };
        let bins = if least == greatest { 1 } else { bins.max(1) };
        let bound = |bin: usize| if bin == bins { greatest } else { least + (greatest - least) * (bin as f64 / bins as f64) };
        let below = |bin: usize| if bin == bins { self.norms.len() } else { self.norms.partition_point(|&norm| norm < bound(bin)) };
        (0..bins).map(|bin| Bin { from: bound(bin), to: bound(bin + 1), count: below(bin + 1) - below(bin) }).collect()
    }
}

/// Looks at every row of a table, in parallel, with 16 bytes of memory a row.
///
/// ```
/// use hotrow::{Table, store::table_stats};
///
/// let table = Table::from_slice(&[3.0f32, 4.0, 0.0, 0.0, f32::NAN, 1.0, 3.0, 4.0], 4, 2)?;
/// let stats = table_stats((&table).into())?;
/// assert_eq!((stats.norms.as_slice(), stats.median_norm()), (&[0.0, 5.0, 5.0][..], Some(5.0)));
/// assert_eq!((stats.zero_rows.first, stats.duplicate_rows.first, stats.nan_values), (vec![1], vec![3], 1));
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// [`Error::OutOfMemory`].
pub fn table_stats(table: AnyView<'_>) -> Result<TableStats> {
    match table {
        AnyView::F32(table) => typed(table),
        AnyView::F16(table) => typed(table),
        AnyView::BF16(table) => typed(table),
    }
}

/// What is kept of a row.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// NaN where a value is not finite.
    norm: f64,
    row: u32,
    hash: u32,
}

/// What is kept of the values.
#[derive(Clone, Copy)]
struct Values {
    nan: u64,
    infinite: u64,
    finite: u64,
    sum: f64,
    least: f32,
    greatest: f32,
}

const NO_VALUES: Values = Values { nan: 0, infinite: 0, finite: 0, sum: 0.0, least: f32::INFINITY, greatest: f32::NEG_INFINITY };

fn typed<E: Element>(table: TableView<'_, E>) -> Result<TableStats> {
    let (rows, dim) = (table.rows(), table.dim());
    let mut seen = Vec::new();
    seen.try_reserve_exact(rows).map_err(|_| Error::OutOfMemory { bytes: rows * size_of::<Seen>() })?;
    seen.resize(rows, Seen::default());
    let block = (FILL_BYTES / (dim * size_of::<E>()).max(1)).clamp(1, 1 << 16);
    let workers = Parallelism::Auto.workers_for(rows * dim * size_of::<E>());
    let parts = Mutex::new(Vec::new());
    par::chunks_mut(workers, &mut seen, block, &|first, seen| {
        let mut values = NO_VALUES;
        for (row, seen) in (first..).zip(seen) {
            *seen = look(row, table.row(row).unwrap_or_default(), &mut values);
        }
        parts.lock().unwrap_or_else(PoisonError::into_inner).push((first, values));
    });
    // One order of addition, whoever came first.
    let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_unstable_by_key(|&(first, _)| first);
    let values = parts.iter().fold(NO_VALUES, |all, (_, part)| Values {
        nan: all.nan + part.nan,
        infinite: all.infinite + part.infinite,
        finite: all.finite + part.finite,
        sum: all.sum + part.sum,
        least: all.least.min(part.least),
        greatest: all.greatest.max(part.greatest),
    });

    let broken_rows = found(seen.iter().filter(|seen| seen.norm.is_nan()).map(|seen| seen.row));
    let zero_rows = found(seen.iter().filter(|seen| seen.norm == 0.0).map(|seen| seen.row));
    let duplicate_rows = duplicates(table, &mut seen);
    let mut norms: Vec<f64> = Vec::new();
    norms.try_reserve_exact(rows).map_err(|_| Error::OutOfMemory { bytes: rows * size_of::<f64>() })?;
    norms.extend(seen.iter().map(|seen| seen.norm).filter(|norm| !norm.is_nan()));
    norms.par_sort_unstable_by(f64::total_cmp);
    Ok(TableStats {
        shape: [rows, dim],
        nan_values: values.nan,
        infinite_values: values.infinite,
        broken_rows,
        zero_rows,
        duplicate_rows,
        // Which of the zeros is the least is not said anywhere: it is 0.
        least: (values.finite > 0).then_some(values.least + 0.0),
        mean: (values.finite > 0).then(|| values.sum / values.finite as f64),
        greatest: (values.finite > 0).then_some(values.greatest + 0.0),
        norms,
    })
}

fn look<E: Element>(row: usize, values: &[E], all: &mut Values) -> Seen {
    let (mut squares, mut finite, mut hash) = (0.0, true, 0u64);
    for &value in values {
        let x = value.to_f32();
        hash = (hash.rotate_left(5) ^ u64::from(x.to_bits())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if x.is_finite() {
            let wide = f64::from(x);
            squares += wide * wide;
            all.sum += wide;
            all.finite += 1;
            all.least = all.least.min(x);
            all.greatest = all.greatest.max(x);
        } else {
            finite = false;
            *(if x.is_nan() { &mut all.nan } else { &mut all.infinite }) += 1;
        }
    }
    Seen { norm: if finite { squares.sqrt() } else { f64::NAN }, row: row as u32, hash: (hash >> 32) as u32 }
}

/// Rows equal to an earlier one. Rows with one hash are compared, so no chance is involved.
fn duplicates<E: Element>(table: TableView<'_, E>, seen: &mut [Seen]) -> FoundRows {
    let bits = |seen: &Seen| table.row(seen.row as usize).unwrap_or_default().iter().map(|x| x.to_f32().to_bits());
    let order =
        |a: &Seen, b: &Seen| a.hash.cmp(&b.hash).then_with(|| if a.row == b.row { Ordering::Equal } else { bits(a).cmp(bits(b)) });
    seen.par_sort_unstable_by(|a, b| order(a, b).then(a.row.cmp(&b.row)));
    let repeats = seen.windows(2).filter(|pair| order(&pair[0], &pair[1]).is_eq());
    let mut rows: Vec<u32> = repeats.map(|pair| pair[1].row).collect();
    rows.sort_unstable();
    found(rows.into_iter())
}

fn found(rows: impl Iterator<Item = u32>) -> FoundRows {
    const SHOWN: usize = 10;
    let mut found = FoundRows::default();
    for row in rows {
        found.count += 1;
        if found.first.len() < SHOWN {
            found.first.push(row as usize);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Table, bf16};

    #[test]
    fn plain_loops_find_the_same() {
        let value = |row: usize, column: usize| match (row, column) {
            (7, 1) => f32::NAN,
            (7, 2) | (9_000, 0) => f32::NEG_INFINITY,
            (11 | 12, _) => 0.0,
            (13, _) => -0.0,
            (20_000.., _) => ((row - 20_000) * 31 + column) as f32,
            _ => (row * 31 + column) as f32,
        };
        let table = Table::<f32>::from_fn(20_100, 31, value).unwrap();
        let stats = table_stats((&table).into()).unwrap();
        assert_eq!((stats.shape, stats.nan_values, stats.infinite_values), ([20_100, 31], 1, 2));
        assert_eq!(stats.broken_rows, FoundRows { count: 2, first: vec![7, 9_000] });
        assert_eq!(stats.zero_rows, FoundRows { count: 3, first: vec![11, 12, 13] });
        // Of the last hundred rows, 7, 11, 12 and 13 have no like among the first. Row 12 has, in 11.
        assert_eq!((stats.duplicate_rows.count, &stats.duplicate_rows.first[..3]), (97, &[12, 20_000, 20_001][..]));
        let mut norms: Vec<f64> = table.iter().map(|row| row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()).collect();
        norms.retain(|norm| norm.is_finite());
        norms.sort_by(f64::total_cmp);
        assert_eq!(stats.norms, norms);
        assert_eq!(stats.median_norm(), Some((norms[10_048] + norms[10_049]) / 2.0).filter(|_| norms.len() == 20_098));
        assert_eq!((stats.least, stats.greatest), (Some(-0.0), Some((19_999 * 31 + 30) as f32)));
        let finite: Vec<f64> = table.to_vec().iter().filter(|x| x.is_finite()).map(|&x| f64::from(x)).collect();
        assert!((stats.mean.unwrap() - finite.iter().sum::<f64>() / finite.len() as f64).abs() < 1e-6);
    }

    #[test]
    fn every_norm_is_in_one_bin() {
        let table = Table::<bf16>::from_fn(1000, 1, |row, _| bf16::from_f32(row as f32 / 8.0)).unwrap();
        let stats = table_stats((&table).into()).unwrap();
        for bins in [1, 7, 100] {
            let histogram = stats.histogram(bins);
            assert_eq!(histogram.len(), bins);
            assert_eq!(histogram.iter().map(|bin| bin.count).sum::<usize>(), 1000);
            assert_eq!((histogram[0].from, histogram[bins - 1].to), (0.0, *stats.norms.last().unwrap()));
            assert!(histogram.windows(2).all(|pair| pair[0].to == pair[1].from));
            for bin in &histogram[..bins - 1] {
                assert_eq!(bin.count, stats.norms.iter().filter(|&&norm| norm >= bin.from && norm < bin.to).count());
            }
        }
        let same = Table::<f32>::from_fn(5, 4, |_, _| 0.5).unwrap();
        let stats = table_stats((&same).into()).unwrap();
        assert_eq!(stats.histogram(9), [Bin { from: 1.0, to: 1.0, count: 5 }]);
        assert_eq!(stats.duplicate_rows.count, 4);
    }

    #[test]
    fn tables_of_nothing_have_nothing() {
        for [rows, dim] in [[0, 5], [0, 0]] {
            let stats = table_stats((&Table::<f32>::zeros(rows, dim).unwrap()).into()).unwrap();
            assert_eq!((stats.mean, stats.median_norm(), stats.mean_norm(), stats.histogram(3)), (None, None, None, vec![]));
        }
        let stats = table_stats((&Table::<f32>::zeros(3, 0).unwrap()).into()).unwrap();
        assert_eq!((stats.zero_rows.count, stats.duplicate_rows.count, stats.least), (3, 2, None));
    }
}
