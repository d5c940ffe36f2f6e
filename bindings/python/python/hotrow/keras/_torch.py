"""The PyTorch backend: tensors share their memory with hotrow, and gradients are hotrow's."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import torch
from torch.autograd.function import once_differentiable

import hotrow
from hotrow.keras._backend import no_sparse_ids
from hotrow.typing import Policy


class Fused(Protocol):
    """What receives the gradient of a lookup instead of the table."""

    def collect(
        self, table: torch.Tensor, ids: np.ndarray[Any, Any], grad: np.ndarray[Any, Any], policy: Policy
    ) -> None:
        """`grad` is of the rows that `ids` name."""


def lookup(table: torch.Tensor, ids: torch.Tensor, policy: Policy, _trainable: bool) -> torch.Tensor:
    """Rows of `table`, with a dense gradient."""
    if _no_memory(table, ids):
        return _plain(table, ids, policy)
    rows: torch.Tensor = _apply(_Dense, table, ids, policy)
    return rows


class Target(NamedTuple):
    """Where a gradient goes, and how its ids are read."""

    fused: Fused
    policy: Policy


def fused_lookup(anchor: torch.Tensor, table: torch.Tensor, ids: torch.Tensor, to: Target) -> torch.Tensor:
    """Rows of `table`. Their gradient goes to `to`, and `anchor` is what makes PyTorch ask for it."""
    if _no_memory(table, ids):
        return _plain(table, ids, to.policy)
    rows: torch.Tensor = _apply(_Fused, anchor, table, ids, to)
    return rows


def array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """The tensor's memory as an array."""
    tensor = tensor.detach()
    # NumPy knows no bfloat16: its bits go by another name.
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def table_of(tensor: torch.Tensor) -> hotrow.Table:
    """The tensor's memory as a table."""
    return hotrow.Table(array(tensor), dtype="bfloat16" if tensor.dtype == torch.bfloat16 else None)


def _no_memory(table: torch.Tensor, ids: torch.Tensor) -> bool:
    """Whether this is a question for shapes or a graph, which PyTorch's own operations answer."""
    if ids.layout is not torch.strided:
        raise no_sparse_ids()
    if torch.compiler.is_exporting() or table.is_meta or ids.is_meta:
        return True
    if table.device.type != "cpu":
        raise ValueError(
            f"hotrow.keras.Embedding reads tables in a CPU's memory, and this is on {table.device}: "
            "set KERAS_TORCH_DEVICE=cpu"
        )
    return False


def _plain(table: torch.Tensor, ids: torch.Tensor, policy: Policy) -> torch.Tensor:
    if policy == "strict" and not table.is_meta and not ids.is_meta:
        raise NotImplementedError(
            "a layer with strict=True cannot be exported: a graph of PyTorch's operations would not be strict"
        )
    found: torch.Tensor = keras.ops.take(table, ids, axis=0)
    return found


@torch.compiler.disable  # type: ignore[untyped-decorator, unused-ignore]
def _apply(function: Any, *args: Any) -> Any:
    """A compiled graph is left for the call: the compiler cannot look into hotrow."""
    return function.apply(*args)


def _gather(table: torch.Tensor, ids: torch.Tensor, policy: Policy) -> torch.Tensor:
    rows = torch.from_numpy(hotrow.gather(table_of(table), array(ids), policy=policy))
    return rows.view(torch.bfloat16) if table.dtype == torch.bfloat16 else rows


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: torch.Tensor, ids: torch.Tensor, policy: Policy) -> torch.Tensor:
        ctx.save_for_backward(ids)
        ctx.table, ctx.policy = (table.shape, table.dtype), policy
        return _gather(table, ids, policy)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (ids,) = ctx.saved_tensors
        (rows, dim), dtype = ctx.table
        dense = hotrow.gather_dense_grad(array(ids), array(grad.float()), rows, dim, policy=ctx.policy)
        return torch.from_numpy(dense).to(dtype), None, None


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, table: torch.Tensor, ids: torch.Tensor, to: Target) -> torch.Tensor:
        ctx.save_for_backward(ids)
        # Not saved for backward: after a step of another backward, it is the table as it is then that is updated.
        ctx.table, ctx.to = table.detach(), to
        ctx.anchor = anchor.detach()
        return _gather(table, ids, to.policy)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (ids,) = ctx.saved_tensors
        ctx.to.fused.collect(ctx.table, array(ids), array(grad.float()), ctx.to.policy)
        return torch.zeros_like(ctx.anchor), None, None, None
