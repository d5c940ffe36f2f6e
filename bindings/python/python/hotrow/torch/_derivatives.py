"""Derivatives of the operators, each written once, for the registered operators and for the direct calls of `_lookups`.

`setup` notes what the backward pass needs, `backward` computes it. Sums and averages are linear, so the derivative of a
gradient is again one of our operators, and gradients of gradients come to an end after two steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hotrow.torch import _kernels, _optimizers
from hotrow.torch._dispatch import is_plain
from hotrow.torch._kernels import Bags


def _ops() -> Any:
    return torch.ops.hotrow


def _is_direct(grad: Tensor, ids: Tensor) -> bool:
    """Whether the gradient may be computed without leaving a trace for a second derivative."""
    return not torch.is_grad_enabled() and is_plain(grad, ids)


def _sparse(rows: Tensor, values: Tensor, count: int) -> Tensor:
    return torch.sparse_coo_tensor(
        rows.unsqueeze(0), values, (count, values.shape[1]), is_coalesced=True, check_invariants=False
    )


def _keep_weight(ctx: Any, weight: Tensor, optimizer: int) -> None:
    """Keeps the weight for a fused update, and its optimizer alive.

    It is not a saved tensor: the updates of other lookups change it in between, and that is what they are for.
    """
    ctx.weight = weight.detach()
    ctx.optimizer = optimizer
    ctx.registered = _optimizers.of(optimizer)


def _update(ctx: Any, grad: Tensor, bags: Bags, argmax: Tensor | None) -> None:
    if torch.is_grad_enabled():
        raise RuntimeError(
            "a fused update cannot be differentiated: "
            "call backward without create_graph, or make the layer without fused="
        )
    if is_plain(grad, bags.ids):
        _kernels.fused_update(ctx.weight, grad, bags, argmax, ctx.scale_grad_by_freq, ctx.optimizer)
        torch.autograd.graph.increment_version(ctx.weight)
    else:
        _ops().fused_update.default(ctx.weight, grad, *bags, argmax, ctx.scale_grad_by_freq, ctx.optimizer)


class Lookup:
    """Of `hotrow::embedding`."""

    @staticmethod
    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        weight, ids, ctx.padding_idx, ctx.scale_grad_by_freq, ctx.sparse, ctx.optimizer = inputs
        ctx.rows = weight.shape[0]
        ctx.save_for_backward(ids)
        if ctx.optimizer:
            _keep_weight(ctx, weight, ctx.optimizer)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (ids,) = ctx.saved_tensors
        nothing = (None,) * 5
        if not ctx.needs_input_grad[0]:
            return None, *nothing
        if ctx.optimizer:
            _update(ctx, grad, Bags(ids, padding_idx=ctx.padding_idx), None)
            return None, *nothing
        how = (ctx.rows, ctx.padding_idx, ctx.scale_grad_by_freq)
        direct = _is_direct(grad, ids)
        if ctx.sparse:
            if direct:
                bags = Bags(ids, padding_idx=ctx.padding_idx)
                found = _kernels.sparse_gradient(grad, bags, None, ctx.rows, ctx.scale_grad_by_freq)
            else:
                found = _ops().embedding_sparse_backward.default(grad, ids, *how)
            return _sparse(*found, ctx.rows), *nothing
        if direct:
            return _kernels.lookup_gradient(grad, ids, *how), *nothing
        return _ops().embedding_backward.default(grad, ids, *how), *nothing


class LookupGradient:
    """Of `hotrow::embedding_backward`: a lookup in the gradient's gradient."""

    @staticmethod
    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, ids, ctx.rows, ctx.padding_idx, ctx.scale_grad_by_freq = inputs
        ctx.save_for_backward(ids)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (ids,) = ctx.saved_tensors
        found = _ops().embedding.default(grad, ids, -1, False, False, 0)
        if ctx.padding_idx >= 0:
            found = found.masked_fill((ids == ctx.padding_idx).unsqueeze(-1), 0)
        if ctx.scale_grad_by_freq:
            times = torch.zeros(ctx.rows, dtype=found.dtype).index_add(0, ids.flatten(), found.new_ones(ids.numel()))
            found = found / times[ids].unsqueeze(-1)
        return found, None, None, None, None


class Pooling:
    """Of `hotrow::embedding_bag`."""

    @staticmethod
    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        weight, ids, offsets, mode, weights, last, padding_idx, ctx.scale_grad_by_freq, ctx.sparse, ctx.optimizer = (
            inputs
        )
        ctx.rows = weight.shape[0]
        ctx.how = (mode, last, padding_idx)
        # A weight that is read again must not have changed in between, which saved tensors are checked for.
        again = weights is not None and weights.requires_grad
        ctx.save_for_backward(ids, offsets, weights, output[1], weight if again else None)
        ctx.mark_non_differentiable(output[1])
        if ctx.optimizer:
            _keep_weight(ctx, weight, ctx.optimizer)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        ids, offsets, weights, argmax, weight = ctx.saved_tensors
        mode, last, padding_idx = ctx.how
        bags = Bags(ids, offsets, mode, weights, last, padding_idx)
        of_weights = of_table = None
        if ctx.needs_input_grad[4]:
            of_weights = _of_sample_weights(grad, weight, bags).to(weights.dtype)
        if ctx.needs_input_grad[0]:
            if ctx.optimizer:
                _update(ctx, grad, bags, argmax)
            else:
                of_table = _of_table(ctx, grad, bags, argmax)
        return of_table, None, None, None, of_weights, None, None, None, None, None


def _of_sample_weights(grad: Tensor, weight: Tensor, bags: Bags) -> Tensor:
    if _is_direct(grad, bags.ids):
        return _kernels.sample_weights_gradient(grad, weight, bags._replace(per_sample_weights=None))
    last, padding_idx = bags.include_last_offset, bags.padding_idx
    found: Tensor = _ops().sample_weights_backward.default(grad, weight, bags.ids, bags.offsets, last, padding_idx)
    return found


def _of_table(ctx: Any, grad: Tensor, bags: Bags, argmax: Tensor) -> Tensor:
    how = (argmax, ctx.rows, ctx.scale_grad_by_freq)
    direct = _is_direct(grad, bags.ids)
    if ctx.sparse:
        if direct:
            rows, values = _kernels.sparse_gradient(grad, bags, *how)
            return _sparse(rows, values, ctx.rows)
        rows, values = _ops().embedding_bag_sparse_backward.default(grad, *bags, *how)
        return _sparse(rows, values, ctx.rows)
    if direct:
        return _kernels.bag_gradient(grad, bags, *how)
    found: Tensor = _ops().embedding_bag_backward.default(grad, *bags, *how)
    return found


class PoolingGradient:
    """Of `hotrow::embedding_bag_backward`: the gradient's gradient pooled as the table was."""

    @staticmethod
    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        grad, ids, offsets, mode, weights, last, padding_idx, argmax, _, scale_grad_by_freq = inputs
        if scale_grad_by_freq:
            raise NotImplementedError("bags with scale_grad_by_freq have no second derivative here")
        ctx.how = (mode, last, padding_idx)
        ctx.save_for_backward(grad, ids, offsets, weights, argmax)

    @staticmethod
    def backward(ctx: Any, table: Tensor) -> tuple[Tensor | None, ...]:
        grad, ids, offsets, weights, argmax = ctx.saved_tensors
        mode, last, padding_idx = ctx.how
        of_grad = of_weights = None
        if ctx.needs_input_grad[0]:
            if mode == "max":
                chosen = table.gather(0, argmax.clamp(min=0).to(torch.int64))
                of_grad = chosen.masked_fill(argmax < 0, 0)
            else:
                of_grad, _ = _ops().embedding_bag.default(
                    table, ids, offsets, mode, weights, last, padding_idx, False, False, 0
                )
        if ctx.needs_input_grad[4]:
            of_weights = (
                _ops().sample_weights_backward.default(grad, table, ids, offsets, last, padding_idx).to(weights.dtype)
            )
        return of_grad, None, None, None, of_weights, None, None, None, None, None


class SampleWeightsGradient:
    """Of `hotrow::sample_weights_backward`, which is linear in the gradient and in the table."""

    @staticmethod
    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        grad, weight, ids, offsets, *rest = inputs
        ctx.how = rest
        ctx.save_for_backward(grad, weight, ids, offsets)

    @staticmethod
    def backward(ctx: Any, samples: Tensor) -> tuple[Tensor | None, ...]:
        grad, weight, ids, offsets = ctx.saved_tensors
        bags = (ids, offsets, "sum", samples, *ctx.how)
        of_grad = of_weight = None
        if ctx.needs_input_grad[0]:
            of_grad, _ = _ops().embedding_bag.default(weight, *bags, False, False, 0)
        if ctx.needs_input_grad[1]:
            nothing = ids.new_empty(0, dtype=torch.int32)
            of_weight = _ops().embedding_bag_backward.default(grad, *bags, nothing, weight.shape[0], False)
        return of_grad, of_weight, None, None, None, None
