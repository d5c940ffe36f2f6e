//! The rows nearest to queries: all rows are scored, in one pass for all queries.

use std::fmt;
use std::str::FromStr;

use crate::element::Element;
use crate::error::{Error, Result};
use crate::kernel::{Best, Queries, Score, dot_of, of_key};
use crate::ops::Workspace;
use crate::par;
use crate::table::{AnyView, TableView, for_view};

/// What a worker reads between two looks at the counter of tasks.
const TASK_BYTES: usize = 512 * 1024;

/// How near a row is to a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// The cosine of the angle between them: 1 for the same direction, 0 for none in common, -1 for opposite ones.
    #[default]
    Cosine,
    /// Their dot product.
    Dot,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Metric::Cosine => "cosine",
            Metric::Dot => "dot",
        })
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(name: &str) -> Result<Metric> {
        match name {
            "cosine" => Ok(Metric::Cosine),
            "dot" => Ok(Metric::Dot),
            _ => Err(Error::UnknownName { what: "metric", given: name.to_owned(), expected: "cosine, dot" }),
        }
    }
}

/// A row, and its score for a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The row.
    pub row: u32,
    /// Its score.
    pub score: f32,
}

/// The `k` rows nearest to each query. See [`Workspace::nearest`].
///
/// ```
/// use hotrow::{Metric, Table, nearest};
///
/// let table = Table::from_slice(&[1.0f32, 0.0, 3.0, 4.0, 0.0, 2.0], 3, 2)?;
/// let near = nearest(&table, &[2.0, 0.0], 2, Metric::Cosine)?;
/// assert_eq!(near[0].iter().map(|near| (near.row, near.score)).collect::<Vec<_>>(), [(0, 1.0), (1, 0.6)]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// As [`Workspace::nearest`].
pub fn nearest<'t>(table: impl Into<AnyView<'t>>, queries: &[f32], k: usize, metric: Metric) -> Result<Vec<Vec<Neighbour>>> {
    Workspace::new().nearest(table, queries, k, metric, &[])
}

impl Workspace {
    /// The `k` rows nearest to each query, best first; all rows when there are not so many. `queries` is `[n, dim]`; `exclude` is empty,
    /// or names for each query the rows that are not meant, in any order.
    ///
    /// This is the exact answer, not an approximate one: every row is scored, in one pass over the table for all queries. Scores are
    /// computed in f32, in the order that [`reference::nearest`](crate::reference::nearest()) gives, and equal to it in every bit. Of
    /// rows with equal scores the lower one comes first. With [`Metric::Cosine`] a row of zeros scores 0 whatever the query, as does a
    /// row whose length rounds to zero; squares that overflow f32 (values beyond 10^19 or so) make the length infinite, and the cosine 0
    /// or NaN. A score that is NaN, since the row holds a NaN or infinities, comes last.
    ///
    /// ```
    /// use hotrow::{Metric, Table, Workspace};
    ///
    /// let table = Table::from_slice(&[1.0f32, 0.0, 3.0, 4.0, 0.0, 2.0], 3, 2)?;
    /// let queries = [2.0, 0.0, 0.0, 1.0];
    /// let near = Workspace::new().nearest(&table, &queries, 1, Metric::Dot, &[&[1], &[]])?;
    /// assert_eq!((near[0][0].row, near[0][0].score), (0, 2.0));
    /// assert_eq!((near[1][0].row, near[1][0].score), (1, 4.0));
    /// # Ok::<(), hotrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when the queries are not whole rows, [`Error::ExcludeCount`].
    pub fn nearest<'t>(
        &mut self,
        table: impl Into<AnyView<'t>>,
        queries: &[f32],
        k: usize,
        metric: Metric,
        exclude: &[&[u32]],
    ) -> Result<Vec<Vec<Neighbour>>> {
        self.nearest_any(table.into(), queries, k, metric, exclude)
    }

    /// Matches the element, so that the kernels are compiled in this crate and not in every crate that searches.
    fn nearest_any(
        &mut self,
        table: AnyView<'_>,
        queries: &[f32],
        k: usize,
        metric: Metric,
        exclude: &[&[u32]],
    ) -> Result<Vec<Vec<Neighbour>>> {
        for_view!(table, table => self.nearest_in(table, queries, k, metric, exclude))
    }

    fn nearest_in<E: Element>(
        &mut self,
        table: TableView<'_, E>,
        queries: &[f32],
        k: usize,
        metric: Metric,
        exclude: &[&[u32]],
    ) -> Result<Vec<Vec<Neighbour>>> {
        let (rows, dim) = (table.rows(), table.dim());
        let count = queries.len().checked_div(dim).unwrap_or(0);
        if count * dim != queries.len() {
            let expected = vec![queries.len().div_ceil(dim.max(1)), dim];
            let needed = expected[0].saturating_mul(dim);
            return Err(Error::ShapeMismatch { what: "queries", expected, needed, actual: queries.len() });
        }
        if !exclude.is_empty() && exclude.len() != count {
            return Err(Error::ExcludeCount { lists: exclude.len(), queries: count });
        }
        let exclude: Vec<Vec<u32>> = (0..count).map(|query| sorted(exclude.get(query).copied().unwrap_or_default())).collect();
        let lengths = queries.chunks_exact(dim.max(1)).map(|query| dot_of(self.tier, query, query).sqrt()).collect();
        let queries = Queries::new(queries, dim, lengths);
        let k = k.min(rows);

        let row_bytes = (table.stride() * size_of::<E>()).max(1);
        let block = (TASK_BYTES / row_bytes).max(1);
        let workers = self.parallelism.workers_for(rows.saturating_mul(row_bytes).saturating_mul(count));
        let tier = self.tier;
        let tasks = rows.div_ceil(block);
        let mut found: Vec<Vec<Best>> =
            (0..workers.clamp(1, tasks.max(1))).map(|_| (0..count).map(|_| Best::new(k)).collect()).collect();
        par::run_with(&mut found, tasks, &|best, task| {
            let rows = task * block..((task + 1) * block).min(rows);
            tier.run(Score { table, rows, queries: &queries, cosine: metric == Metric::Cosine, exclude: &exclude, best });
        });
        let mut keys: Vec<Vec<u64>> = vec![Vec::new(); count];
        for best in found {
            for (keys, best) in keys.iter_mut().zip(best) {
                keys.extend(best.into_keys());
            }
        }
        Ok(keys.into_iter().map(|keys| ranked(keys, k)).collect())
    }
}

fn sorted(rows: &[u32]) -> Vec<u32> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows
}

/// The first `k`, the largest key first. No two keys are equal, so it does not matter who found them.
fn ranked(mut keys: Vec<u64>, k: usize) -> Vec<Neighbour> {
    keys.sort_unstable_by(|a, b| b.cmp(a));
    keys.truncate(k);
    let neighbour = |key| {
        let (row, score) = of_key(key);
        Neighbour { row, score }
    };
    keys.into_iter().map(neighbour).collect()
}
