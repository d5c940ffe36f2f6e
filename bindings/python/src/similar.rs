//! The rows nearest to queries.

use hotrow::{AnyView, Error, IdValue, Metric};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{RawIds, RawSlice};
use crate::bags::any_floats;
use crate::error::{Failure, Result};
use crate::ids::IdArray;
use crate::memory::new_array;
use crate::options;
use crate::pool;
use crate::table::TableArg;

/// The row number where a query has fewer neighbours than were asked for.
const NO_ROW: u32 = u32::MAX;

/// Rows and their scores, arrays of one shape.
pub(crate) type Found<'py> = (Bound<'py, PyUntypedArray>, Bound<'py, PyUntypedArray>);

/// The `k` rows nearest to each query, and their scores, best first.
#[pyfunction]
#[pyo3(signature = (table, queries, k=10, *, metric="cosine", exclude=None))]
pub(crate) fn similar<'py>(
    table: &Bound<'py, PyAny>,
    queries: &Bound<'py, PyAny>,
    k: usize,
    metric: &str,
    exclude: Option<&Bound<'py, PyAny>>,
) -> Result<Found<'py>> {
    similar_in(&TableArg::of(table)?, queries, k, metric, exclude)
}

pub(crate) fn similar_in<'py>(
    table: &TableArg<'py>,
    queries: &Bound<'py, PyAny>,
    k: usize,
    metric: &str,
    exclude: Option<&Bound<'py, PyAny>>,
) -> Result<Found<'py>> {
    let py = queries.py();
    let metric: Metric = options::metric(metric)?;
    let raw = table.raw();
    let (array, values) = any_floats(queries, "queries")?;
    let count = match array.shape() {
        [dim] if *dim == raw.dim => None,
        [count, dim] if *dim == raw.dim => Some(*count),
        shape => {
            let dim = raw.dim;
            return Err(Failure::Value(format!("queries must have the shape [{dim}] or [n, {dim}], and have {shape:?}")));
        }
    };
    let queries = count.unwrap_or(1);
    let excluded = exclude.map_or(Ok(Vec::new()), |exclude| rows_of(exclude, queries, raw.rows))?;
    let k = k.min(raw.rows);
    let shape = count.map_or(vec![k], |count| vec![count, k]);
    let rows = new_array(py, numpy::dtype::<u32>(py), &shape)?;
    let scores = new_array(py, numpy::dtype::<f32>(py), &shape)?;
    let (Some(mut to_rows), Some(mut to_scores)) = (RawSlice::of_u32(&rows), RawSlice::of_f32(&scores)) else {
        return Err(Failure::Type("rows are uint32 and scores float32".into()));
    };
    pool::run(py, raw.bytes().saturating_mul(queries.max(1)), table.read(), |workspace| {
        let lists: Vec<&[u32]> = excluded.iter().map(Vec::as_slice).collect();
        let (rows, scores) = (to_rows.get_mut(), to_scores.get_mut());
        rows.fill(NO_ROW);
        scores.fill(f32::NEG_INFINITY);
        // Rows of no values are all alike, and there are no queries to count.
        if raw.dim == 0 || k == 0 {
            return Ok(());
        }
        let view: AnyView<'_> = raw.view()?;
        let found = workspace.nearest(view, values.get(), k, metric, &lists)?;
        for (near, (rows, scores)) in found.iter().zip(rows.chunks_exact_mut(k).zip(scores.chunks_exact_mut(k))) {
            for (near, (row, score)) in near.iter().zip(rows.iter_mut().zip(scores)) {
                (*row, *score) = (near.row, near.score);
            }
        }
        Ok(())
    })?;
    Ok((rows, scores))
}

/// For each query the rows that are not meant: one list for all of them, or a row of a matrix for each.
fn rows_of(exclude: &Bound<'_, PyAny>, queries: usize, rows: usize) -> Result<Vec<Vec<u32>>> {
    let ids = IdArray::of(exclude, "exclude")?;
    if ids.len() == 0 {
        return Ok(Vec::new());
    }
    if ids.raw().is_float() {
        return Err(Failure::Type("exclude must be integers".into()));
    }
    let width = match *ids.shape() {
        [width] => width,
        [count, width] if count == queries => width,
        ref shape => {
            return Err(Failure::Value(format!("exclude must have the shape [n] or [{queries}, n], and has {shape:?}")));
        }
    };
    let numbers = IdArray::of(&ids.cast("int64")?, "exclude")?;
    let RawIds::I64(numbers) = numbers.raw() else { return Err(Failure::Type("exclude must be integers".into())) };
    let mut checked = Vec::with_capacity(ids.len());
    for (at, &row) in numbers.get().iter().enumerate() {
        match u32::try_from(row) {
            Ok(row) if (row as usize) < rows => checked.push(row),
            _ => {
                let position = if ids.shape().len() == 1 { vec![at] } else { vec![at / width, at % width] };
                let value = IdValue::Int(row);
                return Err(Error::IdOutOfRange { position, value, rows, from_end: false }.into());
            }
        }
    }
    Ok(if ids.shape().len() == 1 { vec![checked; queries] } else { checked.chunks(width).map(<[u32]>::to_vec).collect() })
}
