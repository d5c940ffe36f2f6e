"""The right answer of a workload, computed plainly, and whether a contender has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sidebyside.data import EPS, LR, Data

Array = npt.NDArray[Any]

_EXACT = {"gather"}
# Half a unit in the last place of a 16-bit result, and a little: each of them rounds its sum.
_TOLERANCE = {"float32": 1e-5, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def expected(data: Data) -> Array:
    """The result of the first batch. The tables are as at first."""
    batch, workload = data.batches[0], data.workload
    if workload.op == "gather":
        return data.table[batch.ids].astype(data.out_dtype)
    if workload.op == "bag":
        pooled: Array = np.concatenate([_bags(data, table) for table in range(workload.tables)], axis=1)
        return pooled
    if workload.op == "scatter_add":
        return _scattered(data)
    return np.concatenate([_stepped(data, table) for table in range(workload.tables)])


def _bags(data: Data, table: int) -> Array:
    batch, length = data.batches[0], data.workload.bag_len[table]
    part = batch.per_table[table]
    ids = batch.ids[part]
    factors = np.ones(ids.size) if batch.weights is None else batch.weights[part].astype(np.float64)
    if data.workload.padding:
        factors = np.where(ids == 0, 0.0, factors)
    rows = data.tables[table][ids].astype(np.float64) * factors[:, None]
    sums: Array = rows.reshape(-1, length, data.workload.dim).sum(axis=1)
    return sums


def _sums(ids: Array, grads: Array, rows: Array) -> Array:
    """The summed gradient of each of `rows`, which are all the ids, sorted."""
    sums = np.zeros((rows.size, grads.shape[1]))
    np.add.at(sums, np.searchsorted(rows, ids), grads.astype(np.float64))
    return sums


def _scattered(data: Data) -> Array:
    rows = data.touched[0]
    added: Array = data.table[rows] + _sums(data.batches[0].ids, data.grad.astype(data.table.dtype), rows)
    return added


def _stepped(data: Data, table: int) -> Array:
    batch, workload, rows = data.batches[0], data.workload, data.touched[table]
    ids = batch.ids[batch.per_table[table]]
    if workload.pooled:
        own = data.grad[:, table * workload.dim : (table + 1) * workload.dim]
        grads = np.repeat(own, workload.bag_len[table], axis=0)
    else:
        grads = data.grad
    sums = _sums(ids, grads, rows)
    stepped: Array = data.tables[table][rows] - LR * direction(workload.optimizer, sums)
    return stepped


def direction(optimizer: str, sums: Array) -> Array:
    """What the first step of an optimizer subtracts for each unit of the learning rate."""
    if optimizer == "sgd":
        return sums
    size: Array
    if optimizer == "adagrad":
        size = np.abs(sums)
    elif optimizer == "rowwise_adagrad":
        size = np.sqrt((sums**2).mean(axis=1, keepdims=True))
    elif optimizer == "adam":
        # Its eps is added before the bias is corrected. The rest of the correction leaves the sign of the gradient.
        size = np.abs(sums) + EPS * (1 / np.sqrt(1 - 0.999) - 1)
    else:
        raise ValueError(f"no plain form of the optimizer {optimizer!r}")
    direction: Array = sums / (size + EPS)
    return direction


def difference(data: Data, wanted: Array, got: Array) -> str | None:
    """What is wrong with a result; None if it is right."""
    if got.shape != wanted.shape:
        return f"has the shape {got.shape}, not {wanted.shape}"
    if data.workload.out_dtype == "f32" and got.dtype != np.float32:
        return f"returns {got.dtype}, not float32"
    if data.workload.op in _EXACT:
        same = got.dtype == wanted.dtype and got.tobytes() == wanted.tobytes()
        return None if same else "differs in bits"
    tolerance = _TOLERANCE[str(got.dtype)]
    if data.workload.op == "scatter_add" and data.workload.dtype != "f32":
        # Libraries that round after each addition err by one rounding for each id of a row.
        tolerance *= 4
    error = np.abs(got.astype(np.float64) - wanted)
    scale = float(np.abs(wanted).max())
    worst = float((error / (np.abs(wanted) + scale)).max())
    return None if worst <= tolerance else f"is off by {worst:.1e}"
