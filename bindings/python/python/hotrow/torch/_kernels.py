"""What the operators do on a CPU: the engine's functions over tensors. Nothing here knows of autograd.

A `padding_idx` of -1 stands for none, and so does a `mode` of "" for a lookup that pools nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import hotrow
from hotrow.torch import _optimizers
from hotrow.torch._arrays import (
    check_cpu,
    check_ids,
    element_of,
    floats_of,
    gradient_of,
    rows_of,
    table_of,
    table_to_write,
)


class Bags(NamedTuple):
    """A lookup: the ids, and how they are cut and pooled."""

    ids: Tensor
    offsets: Tensor | None = None
    mode: str = ""
    per_sample_weights: Tensor | None = None
    include_last_offset: bool = False
    padding_idx: int = -1

    @property
    def number(self) -> int:
        """How many bags there are."""
        if self.offsets is None:
            return self.ids.shape[0]
        return self.offsets.shape[0] - int(self.include_last_offset)


def _cut(bags: Bags) -> dict[str, Any]:
    """How the ids are cut, by the engine's names."""
    check_cpu(bags.ids, bags.offsets, bags.per_sample_weights)
    check_ids(bags.ids)
    return {
        "offsets": None if bags.offsets is None else bags.offsets.numpy(),
        "include_last_offset": bags.include_last_offset,
        "padding_idx": None if bags.padding_idx < 0 else bags.padding_idx,
    }


def _weights(bags: Bags) -> Any:
    return None if bags.per_sample_weights is None else floats_of(bags.per_sample_weights)


def _lookup_of(bags: Bags, grad: Tensor, argmax: Tensor | None, scale_grad_by_freq: bool) -> dict[str, Any]:
    """A gradient and what it is the gradient of, by the engine's names."""
    check_cpu(grad, argmax)
    rows, dtype = gradient_of(grad)
    return {
        **_cut(bags),
        "grad": rows,
        "dtype": dtype,
        "mode": bags.mode or None,
        "per_sample_weights": _weights(bags),
        "argmax": argmax.numpy().view(np.uint32) if bags.mode == "max" and argmax is not None else None,
        "scale_grad_by_freq": scale_grad_by_freq,
    }


def lookup(weight: Tensor, ids: Tensor) -> Tensor:
    """The rows that the ids name."""
    return rows_of(hotrow.gather(table_of(weight), ids.numpy(), policy="torch"), weight.dtype)


def lookup_gradient(grad: Tensor, ids: Tensor, rows: int, padding_idx: int, scale_grad_by_freq: bool) -> Tensor:
    """The gradient of the whole table, zero where no id went."""
    check_cpu(grad, ids)
    summed = hotrow.gather_dense_grad(
        ids.numpy(),
        floats_of(grad),
        rows,
        grad.shape[-1],
        padding_idx=None if padding_idx < 0 else padding_idx,
        scale_grad_by_freq=scale_grad_by_freq,
    )
    return torch.from_numpy(summed).to(grad.dtype)


def bag(weight: Tensor, bags: Bags) -> tuple[Tensor, Tensor]:
    """Each bag's rows pooled, in the weight's type; for the mode "max" also where each value came from, -1 for none."""
    check_cpu(weight)
    cut, table, ids = _cut(bags), table_of(weight), bags.ids.numpy()
    if bags.mode == "max":
        pooled, argmax = hotrow.embedding_bag_max(table, ids, **cut)
        # Few of PyTorch's operations know uint32; the bits are kept as they are.
        return torch.from_numpy(pooled).to(weight.dtype), torch.from_numpy(argmax.view(np.int32))
    mode: Any = bags.mode
    dtype = element_of(weight.dtype)
    pooled = hotrow.embedding_bag(table, ids, mode=mode, per_sample_weights=_weights(bags), dtype=dtype, **cut)
    return rows_of(pooled, weight.dtype), torch.empty(0, dtype=torch.int32)


def sparse_gradient(
    grad: Tensor, bags: Bags, argmax: Tensor | None, rows: int, scale_grad_by_freq: bool
) -> tuple[Tensor, Tensor]:
    """The rows that have a gradient, ascending, and the sum of each."""
    found = hotrow.sparse_grad(bags.ids.numpy(), rows=rows, **_lookup_of(bags, grad, argmax, scale_grad_by_freq))
    # PyTorch's sparse tensors have indices of 64 bits, and no tensor is read-only as these arrays are.
    return torch.from_numpy(found.rows.astype(np.int64)), torch.from_numpy(found.values.copy()).to(grad.dtype)


def bag_gradient(grad: Tensor, bags: Bags, argmax: Tensor | None, rows: int, scale_grad_by_freq: bool) -> Tensor:
    """The gradient of the whole table, zero where no id went."""
    found = hotrow.sparse_grad(bags.ids.numpy(), rows=rows, **_lookup_of(bags, grad, argmax, scale_grad_by_freq))
    return torch.from_numpy(found.to_dense()).to(grad.dtype)


def sample_weights_gradient(grad: Tensor, weight: Tensor, bags: Bags) -> Tensor:
    """The gradient of the weights of samples: of the ids' shape, zero at the padding."""
    check_cpu(grad, weight)
    found = hotrow.bag_weight_grad(table_of(weight), bags.ids.numpy(), floats_of(grad), mode="sum", **_cut(bags))
    return torch.from_numpy(found).to(grad.dtype)


def fused_update(
    weight: Tensor, grad: Tensor, bags: Bags, argmax: Tensor | None, scale_grad_by_freq: bool, optimizer: int
) -> None:
    """One step of an optimizer on the rows that a lookup named, in the weight's own memory."""
    check_cpu(weight)
    native = _optimizers.of(optimizer).native
    native.step(table_to_write(weight), bags.ids.numpy(), **_lookup_of(bags, grad, argmax, scale_grad_by_freq))
