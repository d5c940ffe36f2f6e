//! Pooled rows.

use hotrow::{AnyView, Pooling};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{AnyViewMut, Kind, RawSlice, RawTable, apart};
use crate::bags::{BagArrays, BagOptions, floats};
use crate::error::{Failure, Result};
use crate::memory::new_array;
use crate::options;
use crate::pool;
use crate::table::TableArg;

/// Each bag's rows pooled into one: `[bags, dim]`, in float32 or in the table's own type.
#[pyfunction]
#[pyo3(signature = (
    table, ids, offsets=None, *, lengths=None, mode="sum", per_sample_weights=None, include_last_offset=false, padding_idx=None,
    default_row=None, out=None, dtype=None, policy="strict"
))]
#[expect(clippy::too_many_arguments, reason = "Python's keywords")]
pub(crate) fn embedding_bag<'py>(
    table: &Bound<'py, PyAny>,
    ids: &Bound<'py, PyAny>,
    offsets: Option<Bound<'py, PyAny>>,
    lengths: Option<Bound<'py, PyAny>>,
    mode: &str,
    per_sample_weights: Option<Bound<'py, PyAny>>,
    include_last_offset: bool,
    padding_idx: Option<i64>,
    default_row: Option<i64>,
    out: Option<Bound<'py, PyUntypedArray>>,
    dtype: Option<&str>,
    policy: &str,
) -> Result<Bound<'py, PyUntypedArray>> {
    let policy = options::policy(Some(policy))?;
    let options = BagOptions { offsets, lengths, per_sample_weights, include_last_offset, padding_idx, default_row, policy };
    pooled(&TableArg::of(table)?, ids, options, mode, (out, dtype))
}

/// Each bag's largest values, and the rows that they came from: float32 and uint32, `[bags, dim]`.
#[pyfunction]
#[pyo3(signature = (
    table, ids, offsets=None, *, lengths=None, include_last_offset=false, padding_idx=None, default_row=None, policy="strict"
))]
#[expect(clippy::too_many_arguments, reason = "Python's keywords")]
pub(crate) fn embedding_bag_max<'py>(
    table: &Bound<'py, PyAny>,
    ids: &Bound<'py, PyAny>,
    offsets: Option<Bound<'py, PyAny>>,
    lengths: Option<Bound<'py, PyAny>>,
    include_last_offset: bool,
    padding_idx: Option<i64>,
    default_row: Option<i64>,
    policy: &str,
) -> Result<(Bound<'py, PyUntypedArray>, Bound<'py, PyUntypedArray>)> {
    let policy = options::policy(Some(policy))?;
    let options = BagOptions { offsets, lengths, per_sample_weights: None, include_last_offset, padding_idx, default_row, policy };
    pooled_max(&TableArg::of(table)?, ids, options)
}

/// The gradient of the weights of bags: float32, of the ids' shape.
#[pyfunction]
#[pyo3(signature = (
    table, ids, grad, offsets=None, *, lengths=None, mode="sum", per_sample_weights=None, include_last_offset=false, padding_idx=None,
    default_row=None, policy="strict"
))]
#[expect(clippy::too_many_arguments, reason = "Python's keywords")]
pub(crate) fn bag_weight_grad<'py>(
    table: &Bound<'py, PyAny>,
    ids: &Bound<'py, PyAny>,
    grad: &Bound<'py, PyAny>,
    offsets: Option<Bound<'py, PyAny>>,
    lengths: Option<Bound<'py, PyAny>>,
    mode: &str,
    per_sample_weights: Option<Bound<'py, PyAny>>,
    include_last_offset: bool,
    padding_idx: Option<i64>,
    default_row: Option<i64>,
    policy: &str,
) -> Result<Bound<'py, PyUntypedArray>> {
    let py = ids.py();
    let pooling = options::pooling(mode)?;
    let policy = options::policy(Some(policy))?;
    let options = BagOptions { offsets, lengths, per_sample_weights, include_last_offset, padding_idx, default_row, policy };
    let table = TableArg::of(table)?;
    let (raw, arrays) = (table.raw(), BagArrays::of(ids, options)?);
    let (_held, gradient) = floats(grad, "grad", &[arrays.count(), raw.dim])?;
    let array = new_array(py, numpy::dtype::<f32>(py), arrays.shape())?;
    let mut out = RawSlice::of_f32(&array).ok_or_else(unfit)?;
    let bags = arrays.raw()?;
    // The engine pools again for modes that divide, into memory of its own.
    let bytes = raw.bytes_of(arrays.ids()).saturating_add(size_of_val(gradient.get()));
    pool::allocate_under(py, bytes, table.read(), |workspace| {
        let (bags, gradient, out) = (bags.bags()?, gradient.get(), out.get_mut());
        match raw.view()? {
            AnyView::F32(table) => workspace.weight_grad(table, &bags, pooling, gradient, out)?,
            AnyView::F16(table) => workspace.weight_grad(table, &bags, pooling, gradient, out)?,
            AnyView::BF16(table) => workspace.weight_grad(table, &bags, pooling, gradient, out)?,
            _ => return Err(unfit()),
        }
        Ok(())
    })?;
    Ok(array)
}

pub(crate) fn pooled<'py>(
    table: &TableArg<'py>,
    ids: &Bound<'py, PyAny>,
    options: BagOptions<'py>,
    mode: &str,
    (out, dtype): (Option<Bound<'py, PyUntypedArray>>, Option<&str>),
) -> Result<Bound<'py, PyUntypedArray>> {
    let py = ids.py();
    let pooling: Pooling = options::pooling(mode)?;
    let (raw, arrays) = (table.raw(), BagArrays::of(ids, options)?);
    let bags = arrays.raw()?;
    let shape = [arrays.count(), raw.dim];
    let element = raw.rows_as(dtype, Kind::F32)?;
    let array = match &out {
        Some(out) => out.clone(),
        None => new_array(py, table.dtype_of(element), &shape)?,
    };
    // Its rows may lie apart, so that several tables can write one wide array.
    let mut rows = RawTable::of(&array, element == Kind::BF16, "out")?;
    if out.is_some() {
        check_out(&rows, element, array.shape(), &shape)?;
        apart(&rows, "out", &raw, "the table")?;
        for (what, range) in bags.ranges() {
            apart(&rows, "out", range, what)?;
        }
    }
    let bytes = raw.bytes_of(arrays.ids()).saturating_add(rows.bytes());
    pool::run(py, bytes, table.read(), |workspace| {
        let bags = bags.bags()?;
        match (raw.view()?, rows.view_mut()?) {
            (AnyView::F32(table), AnyViewMut::F32(out)) => workspace.bag_into(table, &bags, pooling, out)?,
            (AnyView::F16(table), AnyViewMut::F32(out)) => workspace.bag_into(table, &bags, pooling, out)?,
            (AnyView::BF16(table), AnyViewMut::F32(out)) => workspace.bag_into(table, &bags, pooling, out)?,
            (AnyView::F16(table), AnyViewMut::F16(out)) => workspace.bag_into(table, &bags, pooling, out)?,
            (AnyView::BF16(table), AnyViewMut::BF16(out)) => workspace.bag_into(table, &bags, pooling, out)?,
            _ => return Err(unfit()),
        }
        Ok(())
    })?;
    Ok(array)
}

pub(crate) fn pooled_max<'py>(
    table: &TableArg<'py>,
    ids: &Bound<'py, PyAny>,
    options: BagOptions<'py>,
) -> Result<(Bound<'py, PyUntypedArray>, Bound<'py, PyUntypedArray>)> {
    let py = ids.py();
    let (raw, arrays) = (table.raw(), BagArrays::of(ids, options)?);
    let bags = arrays.raw()?;
    let shape = [arrays.count(), raw.dim];
    let values = new_array(py, numpy::dtype::<f32>(py), &shape)?;
    let winners = new_array(py, numpy::dtype::<u32>(py), &shape)?;
    let mut rows = RawTable::of(&values, false, "out")?;
    let mut argmax = RawSlice::of_u32(&winners).ok_or_else(unfit)?;
    let bytes = raw.bytes_of(arrays.ids()).saturating_add(rows.bytes());
    pool::run(py, bytes, table.read(), |workspace| {
        let (bags, argmax) = (bags.bags()?, argmax.get_mut());
        match (raw.view()?, rows.view_mut()?) {
            (AnyView::F32(table), AnyViewMut::F32(out)) => workspace.bag_max_into(table, &bags, out, argmax)?,
            (AnyView::F16(table), AnyViewMut::F32(out)) => workspace.bag_max_into(table, &bags, out, argmax)?,
            (AnyView::BF16(table), AnyViewMut::F32(out)) => workspace.bag_max_into(table, &bags, out, argmax)?,
            _ => return Err(unfit()),
        }
        Ok(())
    })?;
    Ok((values, winners))
}

fn check_out(rows: &RawTable, element: Kind, actual: &[usize], shape: &[usize]) -> Result<()> {
    if rows.dtype != element {
        return Err(Failure::Type(format!("out must be of {}, and is of {}", element.name(), rows.dtype.name())));
    }
    if actual != shape {
        return Err(Failure::Value(format!("out must have the shape {shape:?}, and has {actual:?}")));
    }
    if !rows.writable {
        return Err(Failure::Value("out is read-only".into()));
    }
    Ok(())
}

/// What was made above is of float32 and without gaps, and a caller's `out` has been checked.
fn unfit() -> Failure {
    Failure::Type("bags are pooled into float32 or the table's own type".into())
}
