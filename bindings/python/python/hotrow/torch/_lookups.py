"""Lookups with a gradient: directly where that is the same, else by the registered operators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hotrow.torch import _derivatives, _kernels, ops
from hotrow.torch._dispatch import check_transforms, is_plain
from hotrow.torch._kernels import Bags


class _Lookup(torch.autograd.Function):
    # The older form, with ctx: the newer one inspects the signature at each call, which takes longer than the lookup.
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        output = _kernels.lookup(inputs[0], inputs[1])
        _derivatives.Lookup.setup(ctx, inputs, output)
        return output

    backward = _derivatives.Lookup.backward


class _Pooling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        output = _kernels.bag(inputs[0], Bags(*inputs[1:7]))
        _derivatives.Pooling.setup(ctx, inputs, output)
        return output

    backward = _derivatives.Pooling.backward


def lookup(
    weight: Tensor, ids: Tensor, padding_idx: int, scale_grad_by_freq: bool, sparse: bool, optimizer: int = 0
) -> Tensor:
    """Rows by id."""
    if is_plain(weight, ids):
        if weight.requires_grad and torch.is_grad_enabled():
            found: Tensor = _Lookup.apply(weight, ids, padding_idx, scale_grad_by_freq, sparse, optimizer)
            return found
        return _kernels.lookup(weight, ids)
    _check_tensors(weight, ids)
    found = ops.embedding(weight, ids, padding_idx, scale_grad_by_freq, sparse, optimizer)
    return found


def pool(weight: Tensor, bags: Bags, scale_grad_by_freq: bool, sparse: bool, optimizer: int = 0) -> Tensor:
    """Rows by id, pooled."""
    weights = bags.per_sample_weights
    others = bags.offsets if weights is None else weights
    pooled: Tensor
    if is_plain(weight, bags.ids) and (others is None or is_plain(others, others)):
        if torch.is_grad_enabled() and (weight.requires_grad or (weights is not None and weights.requires_grad)):
            pooled, _ = _Pooling.apply(weight, *bags, scale_grad_by_freq, sparse, optimizer)
            return pooled
        return _kernels.bag(weight, bags)[0]
    _check_tensors(weight, bags.ids, bags.offsets, weights)
    pooled, _ = ops.embedding_bag(weight, *bags, scale_grad_by_freq, sparse, optimizer)
    return pooled


def _check_tensors(*tensors: Tensor | None) -> None:
    """Refuses what the operators would do wrong.

    That is, devices that there are no kernels for. A tensor on "meta" has a shape and no data, and that is enough for
    its result's shape.
    """
    check_transforms(*tensors)
    devices = {tensor.device for tensor in tensors if tensor is not None}
    for device in devices:
        if device.type not in ("cpu", "meta"):
            raise RuntimeError(
                f"hotrow works on CPU tensors, and was given one on {device}: "
                "move it with .cpu(), or use torch.nn there"
            )
    if len(devices) > 1:
        raise RuntimeError("all tensors of a lookup must be on the same device, and some are on cpu, some on meta")
