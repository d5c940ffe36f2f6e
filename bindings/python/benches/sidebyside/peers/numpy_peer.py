"""NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from sidebyside.contender import ALLOCATED, IN_PLACE, OUT, Call, Contender
from sidebyside.data import Batch, Data

LIBRARY = "numpy"


def start(threads: int) -> dict[str, str]:
    """NumPy has no threads for what is done here."""
    del threads
    return {"numpy": np.__version__}


def contenders(data: Data) -> Iterator[Contender]:
    """Those of the workload's operation."""
    workload = data.workload
    calls: list[Call]
    if workload.op == "gather":
        yield from _gather(data)
    elif workload.op == "bag" and workload.tables == 1 and not workload.weighted and not workload.padding:
        calls = [partial(_bag, data, batch) for batch in data.batches]
        yield Contender(LIBRARY, "ndarray.take, sum", ALLOCATED, calls, np.asarray)
    elif workload.op == "scatter_add":
        grad = data.grad.astype(data.table.dtype)
        calls = [partial(np.add.at, data.table, batch.ids, grad) for batch in data.batches]
        yield Contender(LIBRARY, "add.at", IN_PLACE, calls, lambda _: data.changed())


def _gather(data: Data) -> Iterator[Contender]:
    take = data.table.take
    if data.out_dtype != data.table.dtype:
        widened = [partial(_widened, data, batch) for batch in data.batches]
        yield Contender(LIBRARY, "ndarray.take, astype", ALLOCATED, widened, np.asarray)
        copied = [partial(_copied, data, batch) for batch in data.batches]
        yield Contender(LIBRARY, "ndarray.take, copyto", OUT, copied, np.asarray)
        return
    # The function calls the method, and for one row that takes longer than the method itself.
    function = [partial(np.take, data.table, batch.ids, 0) for batch in data.batches]
    yield Contender(LIBRARY, "take", ALLOCATED, function, np.asarray)
    method = [partial(take, batch.ids, 0) for batch in data.batches]
    yield Contender(LIBRARY, "ndarray.take", ALLOCATED, method, np.asarray)
    # In the mode "raise" NumPy writes into a copy of out first. "clip" does not, and has the advantage of not checking.
    given = [partial(take, batch.ids, 0, data.out, "clip") for batch in data.batches]
    yield Contender(LIBRARY, "ndarray.take(out=)", OUT, given, np.asarray)


def _widened(data: Data, batch: Batch) -> npt.NDArray[Any]:
    return data.table.take(batch.ids, 0).astype(np.float32)


def _copied(data: Data, batch: Batch) -> npt.NDArray[Any]:
    np.copyto(data.out, data.table.take(batch.ids, 0))
    return data.out


def _bag(data: Data, batch: Batch) -> npt.NDArray[Any]:
    workload = data.workload
    rows = data.table.take(batch.ids, 0).reshape(workload.bags, workload.bag_len[0], workload.dim)
    sums: npt.NDArray[Any] = rows.sum(axis=1, dtype=np.float32)
    return sums
