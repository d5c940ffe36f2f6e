"""PyTorch's own lookups, bags, updates and sparse optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

# Optimizers import it when the first is made; where TensorFlow has been imported before, that ends the process with a
# segmentation fault.
import torch._dynamo
import torch.nn.functional as F  # noqa: N812

from sidebyside.contender import ALLOCATED, IN_PLACE, OUT, Call, Contender
from sidebyside.data import EPS, LR, Batch, Data
from sidebyside.peers.tensors import array, tensor

LIBRARY = "torch"


def start(threads: int) -> dict[str, str]:
    """Sets the threads."""
    torch.set_num_threads(threads)
    return {"torch": torch.__version__}


def contenders(data: Data) -> Iterator[Contender]:
    """Those of the workload's operation."""
    op = data.workload.op
    calls: list[Call]
    if op == "gather":
        yield from _gather(data)
    elif op == "bag":
        yield from _bag(data)
    elif op == "scatter_add":
        grad = tensor(data.grad.astype(data.table.dtype))
        calls = [partial(tensor(data.table).index_add_, 0, tensor(batch.ids), grad) for batch in data.batches]
        yield Contender(LIBRARY, "index_add_", IN_PLACE, calls, lambda _: data.changed())
    elif data.workload.optimizer in _OPTIMIZERS:
        calls = [partial(_step(data), batch) for batch in data.batches]
        yield Contender(
            LIBRARY, f"sparse, {_OPTIMIZERS[data.workload.optimizer][0]}", IN_PLACE, calls, lambda _: data.changed()
        )


def _gather(data: Data) -> Iterator[Contender]:
    weight, out = tensor(data.table), tensor(data.out)
    ids = [tensor(batch.ids) for batch in data.batches]
    if data.workload.against == "one_hot_matmul":
        calls = [partial(_one_hot, weight, each) for each in ids]
        yield Contender(LIBRARY, "one_hot @ weight", ALLOCATED, calls, array)
    if weight.dtype != out.dtype:
        calls = [partial(_widened, weight, each) for each in ids]
        yield Contender(LIBRARY, "F.embedding, float", ALLOCATED, calls, array)
        copied = [partial(_copied, out, weight, each) for each in ids]
        yield Contender(LIBRARY, "F.embedding, copy_", OUT, copied, array)
        return
    yield Contender(LIBRARY, "F.embedding", ALLOCATED, [partial(F.embedding, each, weight) for each in ids], array)
    yield Contender(
        LIBRARY, "index_select", ALLOCATED, [partial(torch.index_select, weight, 0, each) for each in ids], array
    )
    given = [partial(torch.index_select, weight, 0, each, out=out) for each in ids]
    yield Contender(LIBRARY, "index_select(out=)", OUT, given, array)


def _widened(weight: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return F.embedding(ids, weight).float()


def _copied(out: torch.Tensor, weight: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return out.copy_(F.embedding(ids, weight))


def _one_hot(weight: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return F.one_hot(ids, weight.shape[0]).to(weight.dtype) @ weight


def _bag(data: Data) -> Iterator[Contender]:
    workload, weights = data.workload, [tensor(table) for table in data.tables]
    calls: list[Call]
    if workload.out_dtype == "f32" and workload.dtype != "f32":
        calls = [partial(_widened_bag, data, weights[0], tensor(batch.ids)) for batch in data.batches]
        yield Contender(LIBRARY, "F.embedding, float, sum", ALLOCATED, calls, array)
        return
    calls = [_bag_call(data, weights, batch) for batch in data.batches]
    yield Contender(LIBRARY, "F.embedding_bag", ALLOCATED, calls, array)
    if workload.padding:
        # What its users can do instead of padding_idx, for which it has a slower kernel.
        calls = [partial(_masked_bag, weights[0], tensor(batch.ids), tensor(batch.offsets)) for batch in data.batches]
        yield Contender(LIBRARY, "F.embedding_bag(mask)", ALLOCATED, calls, array)


def _bag_call(data: Data, weights: list[torch.Tensor], batch: Batch) -> Callable[[], Any]:
    lookups = []
    for weight, part, starts in zip(weights, batch.per_table, batch.rows_of_bags, strict=True):
        options: dict[str, Any] = {"mode": "sum"}
        if batch.weights is not None:
            options["per_sample_weights"] = tensor(batch.weights[part]).to(weight.dtype)
        if data.workload.padding:
            options["padding_idx"] = 0
        lookups.append(partial(F.embedding_bag, tensor(batch.ids[part]), weight, tensor(starts), **options))
    if len(lookups) == 1:
        return lookups[0]
    return lambda: torch.cat([lookup() for lookup in lookups], dim=1)


def _masked_bag(weight: torch.Tensor, ids: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    return F.embedding_bag(
        ids, weight, offsets, mode="sum", per_sample_weights=(ids != 0).float(), include_last_offset=True
    )


def _widened_bag(data: Data, weight: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    workload = data.workload
    return F.embedding(ids, weight).float().view(workload.bags, workload.bag_len[0], workload.dim).sum(dim=1)


_OPTIMIZERS: dict[str, tuple[str, Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]]] = {
    "sgd": ("SGD", lambda weights: torch.optim.SGD(weights, lr=LR)),
    "adagrad": ("Adagrad", lambda weights: torch.optim.Adagrad(weights, lr=LR, eps=EPS)),
    "adam": ("SparseAdam", lambda weights: torch.optim.SparseAdam(weights, lr=LR, eps=EPS)),
}


def _step(data: Data) -> Callable[[Batch], None]:
    weights = [torch.nn.Parameter(tensor(table)) for table in data.tables]
    optimizer = _OPTIMIZERS[data.workload.optimizer][1](weights)
    grad = tensor(data.grad)

    def step(batch: Batch) -> None:
        result: Any
        if data.workload.pooled:
            parts = zip(weights, batch.per_table, batch.rows_of_bags, strict=True)
            sums = [
                F.embedding_bag(tensor(batch.ids[part]), own, tensor(at), mode="sum", sparse=True)
                for own, part, at in parts
            ]
            result = sums[0] if len(sums) == 1 else torch.cat(sums, dim=1)
        else:
            result = F.embedding(tensor(batch.ids), weights[0], sparse=True)
        result.backward(grad)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
