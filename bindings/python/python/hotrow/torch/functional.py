"""`embedding` and `embedding_bag` with the signatures and the meaning of those in `torch.nn.functional`.

>>> import torch
>>> import hotrow.torch.functional as F
>>> weight = torch.arange(8.0).reshape(4, 2)
>>> F.embedding(torch.tensor([[3, 0]]), weight)
tensor([[[6., 7.],
         [0., 1.]]])
>>> F.embedding_bag(torch.tensor([1, 2, 3]), weight, torch.tensor([0, 2]), mode="sum")
tensor([[6., 8.],
        [6., 7.]])
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hotrow.torch._kernels import Bags
from hotrow.torch._lookups import lookup, pool

__all__ = ["embedding", "embedding_bag"]


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that `input` names: see `torch.nn.functional.embedding`.

    The weight may be of float32, float16 or bfloat16. The gradients of equal ids are summed in float32, in the order of
    the ids. With `sparse`, the gradient is a coalesced sparse tensor, and `scale_grad_by_freq` works there, too.

    >>> import torch
    >>> weight = torch.ones(3, 2, requires_grad=True)
    >>> embedding(torch.tensor([2, 0, 2]), weight, padding_idx=0).sum().backward()
    >>> weight.grad
    tensor([[0., 0.],
            [0., 0.],
            [2., 2.]])
    """
    if padding_idx is None and max_norm is None:
        return lookup(weight, input, -1, scale_grad_by_freq, sparse)
    return _embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)


def _embedding(
    ids: Tensor,
    weight: Tensor,
    padding_idx: int | None,
    max_norm: float | None,
    norm_type: float,
    scale_grad_by_freq: bool,
    sparse: bool,
    optimizer: int = 0,
) -> Tensor:
    padding = -1 if padding_idx is None else _row(padding_idx, weight)
    if max_norm is not None:
        _renormalise(weight, ids, max_norm, norm_type)
    return lookup(weight, ids, padding, scale_grad_by_freq, sparse, optimizer)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of bags of rows: see `torch.nn.functional.embedding_bag`.

    The weight may be of float32, float16 or bfloat16. Rows are summed in float32, in the order of the ids, and rounded
    once.

    >>> import torch
    >>> weight = torch.tensor([[1.0], [2.0], [4.0]])
    >>> samples = torch.tensor([0.5, 0.25], requires_grad=True)
    >>> bag = embedding_bag(torch.tensor([[1, 2]]), weight, mode="sum", per_sample_weights=samples[None])
    >>> bag
    tensor([[2.]], grad_fn=<_PoolingBackward>)
    >>> bag.backward()
    >>> samples.grad
    tensor([2., 4.])
    """
    return _embedding_bag(
        input,
        weight,
        offsets,
        max_norm,
        norm_type,
        scale_grad_by_freq,
        mode,
        sparse,
        per_sample_weights,
        include_last_offset,
        padding_idx,
    )


def _embedding_bag(
    ids: Tensor,
    weight: Tensor,
    offsets: Tensor | None,
    max_norm: float | None,
    norm_type: float,
    scale_grad_by_freq: bool,
    mode: str,
    sparse: bool,
    per_sample_weights: Tensor | None,
    include_last_offset: bool,
    padding_idx: int | None,
    optimizer: int = 0,
) -> Tensor:
    _check_options(mode, scale_grad_by_freq, sparse, per_sample_weights)
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if ids.is_nested:
        if per_sample_weights is not None:
            if not per_sample_weights.is_nested:
                raise ValueError("If input is nested, then per_sample_weights must be nested if specified")
            per_sample_weights = per_sample_weights.values()
        nested: Any = ids
        ids, offsets, include_last_offset = nested.values(), nested.offsets(), True
    if per_sample_weights is not None and ids.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, "
            f"then it must have the same shape as the input ({ids.shape})"
        )
    if ids.dim() == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None, as each of its rows is a bag")
        include_last_offset = False
    elif ids.dim() == 1:
        if offsets is None or offsets.dim() != 1:
            raise ValueError("if input is 1D, then offsets has to be a 1D Tensor")
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {ids.dim()}")
    padding = -1 if padding_idx is None else _row(padding_idx, weight)
    if max_norm is not None:
        _renormalise(weight, ids, max_norm, norm_type)
    bags = Bags(ids, offsets, mode, per_sample_weights, include_last_offset, padding)
    return pool(weight, bags, scale_grad_by_freq, sparse, optimizer)


def _check_options(mode: str, scale_grad_by_freq: bool, sparse: bool, per_sample_weights: Tensor | None) -> None:
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if mode != "sum" and per_sample_weights is not None:
        raise NotImplementedError(f"per_sample_weights is only supported for mode='sum' (got mode='{mode}')")


def _row(padding_idx: int, weight: Tensor) -> int:
    """The row of a `padding_idx`, which counts from the end if it is negative."""
    rows = weight.shape[0]
    if not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx + rows if padding_idx < 0 else padding_idx


def _renormalise(weight: Tensor, ids: Tensor, max_norm: float, norm_type: float) -> None:
    """Brings rows that are longer than `max_norm` to that length, in place: PyTorch's own operation, to the bit."""
    with torch.no_grad():
        torch.embedding_renorm_(weight, ids.contiguous(), max_norm, norm_type)
