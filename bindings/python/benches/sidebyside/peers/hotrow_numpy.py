"""hotrow through its NumPy interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import hotrow
import numpy as np

from sidebyside.contender import ALLOCATED, IN_PLACE, OUT, Call, Contender
from sidebyside.data import EPS, LR, Batch, Data

LIBRARY = "hotrow"


def start(threads: int) -> dict[str, str]:
    """Sets the threads."""
    hotrow.set_num_threads(threads)
    try:
        own = version("hotrow")
    except PackageNotFoundError:
        # Run from the source, with a module that was copied there.
        own = "not installed"
    return {"hotrow": own, "numpy": np.__version__}


def contenders(data: Data) -> Iterator[Contender]:
    """Those of the workload's operation."""
    workload = data.workload
    calls: list[Call]
    if workload.tables > 1:
        yield from _collection(data)
    elif workload.op == "gather":
        yield from _gather(data)
    elif workload.op == "bag":
        calls = [
            partial(data.owners[0].embedding_bag, batch.ids, batch.offsets, **_bag_options(data, batch))
            for batch in data.batches
        ]
        yield Contender(LIBRARY, "hotrow", ALLOCATED, calls, np.asarray)
    elif workload.op == "scatter_add":
        grad = data.grad.astype(data.table.dtype)
        calls = [partial(data.owners[0].scatter_add, batch.ids, grad) for batch in data.batches]
        yield Contender(LIBRARY, "hotrow", IN_PLACE, calls, lambda _: data.changed())
    else:
        yield Contender(LIBRARY, "hotrow", IN_PLACE, _steps(data), lambda _: data.changed())


def hyperparameters(rule: str) -> dict[str, float]:
    """The rule's own, equal to the peers'."""
    return {"lr": LR} if rule == "sgd" else {"lr": LR, "eps": EPS}


def _gather(data: Data) -> Iterator[Contender]:
    gather = data.owners[0].gather
    options: dict[str, Any] = {"dtype": "float32"} if data.out_dtype != data.table.dtype else {}
    yield Contender(
        LIBRARY, "hotrow", ALLOCATED, [partial(gather, batch.ids, **options) for batch in data.batches], np.asarray
    )
    yield Contender(
        LIBRARY,
        "hotrow",
        OUT,
        [partial(gather, batch.ids, out=data.out, **options) for batch in data.batches],
        np.asarray,
    )


def _bag_options(data: Data, batch: Batch) -> dict[str, Any]:
    options: dict[str, Any] = {"mode": "sum", "include_last_offset": True}
    if batch.weights is not None:
        options["per_sample_weights"] = batch.weights
    if data.workload.padding:
        options["padding_idx"] = 0
    return options


def _steps(data: Data) -> list[Callable[[], Any]]:
    workload, table, grad = data.workload, data.owners[0], data.grad
    optimizer = hotrow.Optimizer(workload.optimizer, workload.rows, workload.dim, **hyperparameters(workload.optimizer))

    def pooled(batch: Batch) -> None:
        table.embedding_bag(batch.ids, batch.offsets, mode="sum", include_last_offset=True)
        optimizer.step(table, batch.ids, grad, offsets=batch.offsets, mode="sum", include_last_offset=True)

    def single(batch: Batch) -> None:
        table.gather(batch.ids)
        optimizer.step(table, batch.ids, grad)

    return [partial(pooled if workload.pooled else single, batch) for batch in data.batches]


def _collection(data: Data) -> Iterator[Contender]:
    workload = data.workload
    names = [f"t{number}" for number in range(workload.tables)]
    collection = hotrow.EmbeddingBagCollection(
        [
            hotrow.EmbeddingBagConfig(
                name=name,
                num_embeddings=workload.rows,
                embedding_dim=workload.dim,
                feature_names=[name],
                dtype=_dtype(data),
                initializer="zeros",
            )
            for name in names
        ]
    )
    tables = [collection.table(name) for name in names]
    for own, given in zip(tables, data.tables, strict=True):
        own[:] = given
    if workload.op == "bag":
        calls = [
            partial(collection.forward, names, batch.ids, offsets=batch.offsets, weights=batch.weights)
            for batch in data.batches
        ]
        yield Contender(LIBRARY, "hotrow", ALLOCATED, calls, np.asarray)
        return
    collection.with_optimizer(workload.optimizer, **hyperparameters(workload.optimizer))

    def step(batch: Batch) -> None:
        collection.forward(names, batch.ids, offsets=batch.offsets)
        collection.backward(data.grad)

    yield Contender(
        LIBRARY, "hotrow", IN_PLACE, [partial(step, batch) for batch in data.batches], lambda _: data.changed(tables)
    )


def _dtype(data: Data) -> Any:
    return str(data.table.dtype)
