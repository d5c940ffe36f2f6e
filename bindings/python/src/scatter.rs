//! Rows added to rows by id.

use hotrow::{Element, Error, Gradient, Ids, TableViewMut, Workspace};
use numpy::PyUntypedArray;
use pyo3::prelude::*;

use crate::arrays::{AnyViewMut, RawRows, RawSlice, RawTable, apart};
use crate::error::{Failure, Result};
use crate::ids::{IdArray, ids as ids_of};
use crate::memory::new_zeros;
use crate::options;
use crate::pool;
use crate::source::Source;
use crate::table::TableArg;

/// Adds `alpha` times each row of `source` to the row of the table that its id names, in the order of the ids.
#[pyfunction]
#[pyo3(signature = (table, ids, source, *, alpha=1.0, policy="strict"))]
pub(crate) fn scatter_add<'py>(
    table: &Bound<'py, PyAny>,
    ids: &Bound<'py, PyAny>,
    source: &Bound<'py, PyAny>,
    alpha: f32,
    policy: &str,
) -> Result<()> {
    scatter_into(&TableArg::of(table)?, ids, source, alpha, policy)
}

pub(crate) fn scatter_into<'py>(
    table: &TableArg<'py>,
    ids: &Bound<'py, PyAny>,
    source: &Bound<'py, PyAny>,
    alpha: f32,
    policy: &str,
) -> Result<()> {
    let (py, policy) = (ids.py(), options::policy(Some(policy))?);
    let ids = IdArray::of(ids, "ids")?;
    let mut raw = table.raw();
    if !raw.writable {
        return Err(Failure::Value("the table is read-only".into()));
    }
    // In a table of bits other bits are meant to be numbers too.
    let bits = RawRows::is_bits(&table.array());
    let source = Source::of(source, "source", bits, &[ids.shape(), &[raw.dim]].concat())?;
    let numbers = ids.raw();
    apart(&raw, "the table", &source.rows, "source")?;
    apart(&raw, "the table", &numbers, "the ids")?;
    let (shape, rows) = (ids.shape(), source.rows);
    pool::run(py, raw.bytes_of(ids.len()), table.write(), |workspace| {
        let ids = ids_of(&numbers, shape, policy)?;
        match raw.view_mut()? {
            AnyViewMut::F32(table) => add(workspace, table, ids, &rows, alpha),
            AnyViewMut::F16(table) => add(workspace, table, ids, &rows, alpha),
            AnyViewMut::BF16(table) => add(workspace, table, ids, &rows, alpha),
        }
    })
}

fn add<E: Element>(
    workspace: &mut Workspace,
    table: TableViewMut<'_, E>,
    ids: Ids<'_>,
    source: &RawRows,
    alpha: f32,
) -> Result<()> {
    match source {
        RawRows::F32(source) => workspace.scatter_add(table, ids, source.get(), alpha)?,
        RawRows::F16(source) => workspace.scatter_add(table, ids, source.get(), alpha)?,
        RawRows::BF16(source) => workspace.scatter_add(table, ids, source.get(), alpha)?,
    }
    Ok(())
}

/// The gradient of a table of which rows were gathered: float32, `[rows, dim]`, zero where no id went.
#[pyfunction]
#[pyo3(signature = (ids, grad, rows, dim, *, padding_idx=None, scale_grad_by_freq=false, policy="strict"))]
pub(crate) fn gather_dense_grad<'py>(
    ids: &Bound<'py, PyAny>,
    grad: &Bound<'py, PyAny>,
    rows: usize,
    dim: usize,
    padding_idx: Option<i64>,
    scale_grad_by_freq: bool,
    policy: &str,
) -> Result<Bound<'py, PyUntypedArray>> {
    let py = ids.py();
    let policy = options::policy(Some(policy))?;
    let padding = padding_idx.map(|row| row_of(row, rows)).transpose()?;
    let ids = IdArray::of(ids, "ids")?;
    let source = Source::of(grad, "grad", false, &[ids.shape(), &[dim]].concat())?;
    let array = new_zeros(py, numpy::dtype::<f32>(py), &[rows, dim])?;
    let mut table = RawTable::of(&array, false, "the gradient")?;
    let Some(mut flat) = RawSlice::of_f32(&array) else { return Err(Failure::Type("the gradient is float32".into())) };
    let (numbers, shape, source) = (ids.raw(), ids.shape(), source);
    let given = source.rows;
    pool::allocate(py, table.bytes_of(ids.len()), |workspace| {
        let ids = ids_of(&numbers, shape, policy)?;
        if scale_grad_by_freq {
            scaled(workspace, ids, &given, padding_idx, [rows, dim], flat.get_mut())?;
        } else if let AnyViewMut::F32(table) = table.view_mut()? {
            add(workspace, table, ids, &given, 1.0)?;
            if let Some(row) = padding {
                flat.get_mut()[row * dim..(row + 1) * dim].fill(0.0);
            }
        }
        Ok(())
    })?;
    Ok(array)
}

/// Each row's sum divided by how often the row stands in the ids.
fn scaled(
    workspace: &mut Workspace,
    ids: Ids<'_>,
    grad: &RawRows,
    padding_idx: Option<i64>,
    shape: [usize; 2],
    out: &mut [f32],
) -> Result<()> {
    let [rows, dim] = shape;
    let gradient = match grad {
        RawRows::F32(grad) => Gradient::of_gather(ids, grad.get()),
        RawRows::F16(grad) => Gradient::of_gather(ids, grad.get()),
        RawRows::BF16(grad) => Gradient::of_gather(ids, grad.get()),
    };
    let gradient = gradient.scale_by_freq(true);
    let gradient = padding_idx.map_or(gradient, |row| gradient.with_padding_idx(row));
    let sums = workspace.sparse_grad(gradient, rows, dim)?;
    if dim > 0 {
        for (&row, values) in sums.rows().iter().zip(sums.values().chunks_exact(dim)) {
            let row = row as usize;
            out[row * dim..(row + 1) * dim].copy_from_slice(values);
        }
    }
    Ok(())
}

/// A row that may be counted from the end.
fn row_of(row: i64, rows: usize) -> Result<usize> {
    let from_start = if row < 0 { i128::from(row) + rows as i128 } else { i128::from(row) };
    match usize::try_from(from_start) {
        Ok(at) if at < rows => Ok(at),
        _ => Err(Error::RowOption { option: "padding_idx", row, rows }.into()),
    }
}
