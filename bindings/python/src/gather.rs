//! Gather.

use hotrow::AnyView;
use numpy::PyUntypedArray;
use pyo3::prelude::*;

use crate::arrays::{RawRows, apart};
use crate::error::{Failure, Result};
use crate::ids::{IdArray, ids as ids_of};
use crate::memory::new_array;
use crate::options;
use crate::pool;
use crate::table::TableArg;

/// The rows that the ids name: an array of the ids' shape and `dim` after it.
#[pyfunction]
#[pyo3(signature = (table, ids, *, out=None, dtype=None, policy="strict"))]
pub(crate) fn gather<'py>(
    table: &Bound<'py, PyAny>,
    ids: &Bound<'py, PyAny>,
    out: Option<Bound<'py, PyUntypedArray>>,
    dtype: Option<&str>,
    policy: &str,
) -> Result<Bound<'py, PyUntypedArray>> {
    gather_from(&TableArg::of(table)?, ids, out, dtype, policy)
}

pub(crate) fn gather_from<'py>(
    table: &TableArg<'py>,
    ids: &Bound<'py, PyAny>,
    out: Option<Bound<'py, PyUntypedArray>>,
    dtype: Option<&str>,
    policy: &str,
) -> Result<Bound<'py, PyUntypedArray>> {
    let py = ids.py();
    let policy = options::policy(Some(policy))?;
    let ids = IdArray::of(ids, "ids")?;
    let raw = table.raw();
    let element = raw.rows_as(dtype, raw.dtype)?;
    let shape = [ids.shape(), &[raw.dim]].concat();
    let (array, given) = match out {
        Some(out) => (out, true),
        None => (new_array(py, table.dtype_of(element), &shape)?, false),
    };
    let mut rows = RawRows::of(&array, element, &shape)?;
    let numbers = ids.raw();
    if given {
        apart(&rows, "out", &raw, "the table")?;
        apart(&rows, "out", &numbers, "the ids")?;
    }
    let of_ids = ids.shape();
    pool::run(py, raw.bytes_of(ids.len()), table.read(), |workspace| {
        let ids = ids_of(&numbers, of_ids, policy)?;
        match (raw.view()?, &mut rows) {
            (AnyView::F32(table), RawRows::F32(out)) => workspace.gather_into(table, ids, out.get_mut())?,
            (AnyView::F16(table), RawRows::F16(out)) => workspace.gather_into(table, ids, out.get_mut())?,
            (AnyView::BF16(table), RawRows::BF16(out)) => workspace.gather_into(table, ids, out.get_mut())?,
            (AnyView::F16(table), RawRows::F32(out)) => workspace.gather_into(table, ids, out.get_mut())?,
            (AnyView::BF16(table), RawRows::F32(out)) => workspace.gather_into(table, ids, out.get_mut())?,
            _ => return Err(Failure::Type(format!("rows cannot be had as {}", element.name()))),
        }
        Ok(())
    })?;
    Ok(array)
}
