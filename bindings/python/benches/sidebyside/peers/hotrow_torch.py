"""hotrow under PyTorch: `hotrow.torch`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import hotrow.torch.functional as F  # noqa: N812
from hotrow.torch import Embedding, EmbeddingBag

from sidebyside.contender import ALLOCATED, IN_PLACE, Contender
from sidebyside.data import Batch, Data
from sidebyside.peers.hotrow_numpy import hyperparameters
from sidebyside.peers.tensors import array, tensor

LIBRARY = "hotrow.torch"


def start(threads: int) -> dict[str, str]:
    """The threads are those of `hotrow`."""
    del threads
    return {}


def contenders(data: Data) -> Iterator[Contender]:
    """Those of the workload's operation: what has a counterpart in PyTorch, with its types of results."""
    workload, weight = data.workload, tensor(data.table)
    widened = workload.out_dtype == "f32" and workload.dtype != "f32"
    if workload.tables > 1 or widened:
        return
    if workload.op == "gather":
        yield Contender(
            LIBRARY,
            "F.embedding",
            ALLOCATED,
            [partial(F.embedding, tensor(batch.ids), weight) for batch in data.batches],
            array,
        )
    elif workload.op == "bag":
        calls = [partial(F.embedding_bag, tensor(batch.ids), weight, **_options(data, batch)) for batch in data.batches]
        yield Contender(LIBRARY, "F.embedding_bag", ALLOCATED, calls, array)
    elif workload.op == "train_step":
        yield Contender(LIBRARY, "fused layer", IN_PLACE, _steps(data), lambda _: data.changed())


def _options(data: Data, batch: Batch) -> dict[str, Any]:
    options: dict[str, Any] = {"offsets": tensor(batch.offsets), "mode": "sum", "include_last_offset": True}
    if batch.weights is not None:
        options["per_sample_weights"] = tensor(batch.weights)
    if data.workload.padding:
        options["padding_idx"] = 0
    return options


def _steps(data: Data) -> list[Callable[[], Any]]:
    rule, weight, grad = data.workload.optimizer, tensor(data.table), tensor(data.grad)
    fused: dict[str, Any] = {"freeze": False, "fused": rule, "fused_options": hyperparameters(rule)}
    bags = (
        EmbeddingBag.from_pretrained(weight, mode="sum", include_last_offset=True, **fused)
        if data.workload.pooled
        else None
    )
    rows = Embedding.from_pretrained(weight, **fused) if bags is None else None

    def step(batch: Batch) -> None:
        ids = tensor(batch.ids)
        result: Any = bags(ids, tensor(batch.offsets)) if bags is not None else rows(ids) if rows is not None else None
        assert result is not None
        result.backward(grad)

    return [partial(step, batch) for batch in data.batches]
