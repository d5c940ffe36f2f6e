"""The operators `hotrow::...` as PyTorch knows them: schema, kernel, shapes without data, and derivatives.

======================================  =====================================================================
`hotrow::embedding`                     rows by id
`hotrow::embedding_backward`            its gradient, dense
`hotrow::embedding_sparse_backward`     its gradient: the rows that have one, and their sums
`hotrow::embedding_bag`                 pooled rows, and where the largest values came from
`hotrow::embedding_bag_backward`        its gradient, dense
`hotrow::embedding_bag_sparse_backward` its gradient: the rows that have one, and their sums
`hotrow::sample_weights_backward`       the gradient of the weights of samples
`hotrow::fused_update`                  one step of an optimizer, which changes the weight
======================================  =====================================================================

All but the last are functional. Operators take numbers where functions take names or nothing: `padding_idx` is -1 for
none, and `optimizer` is 0 for none. With an optimizer, the backward pass of a lookup calls `hotrow::fused_update` and
gives the weight no gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hotrow.torch import _derivatives, _kernels
from hotrow.torch._kernels import Bags

_BAGS = "Tensor ids, Tensor? offsets, str mode, Tensor? per_sample_weights, bool include_last_offset, int padding_idx"


def _define(
    name: str, schema: str, kernel: Any, fake: Any, derivative: Any = None, mutates: tuple[str, ...] = ()
) -> Any:
    """Registers one operator for the CPU."""
    operator = torch.library.custom_op(
        f"hotrow::{name}", kernel, mutates_args=mutates, device_types="cpu", schema=schema
    )
    operator.register_fake(fake)
    if derivative is not None:
        operator.register_autograd(derivative.backward, setup_context=derivative.setup)
    return getattr(torch.ops.hotrow, name).default


def _rows_and_values(grad: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """How many rows have a gradient is known when they have been counted."""
    count = torch.library.get_ctx().new_dynamic_size()
    return ids.new_empty([count], dtype=torch.int64), grad.new_empty([count, grad.shape[-1]])


def _fake_bag(weight: Tensor, ids: Tensor, offsets: Tensor | None, mode: str, *rest: Any) -> tuple[Tensor, Tensor]:
    shape = [Bags(ids, offsets, mode, *rest[:3]).number, weight.shape[1]]
    return weight.new_empty(shape), ids.new_empty(shape if mode == "max" else [0], dtype=torch.int32)


embedding = _define(
    "embedding",
    "(Tensor weight, Tensor ids, int padding_idx, bool scale_grad_by_freq, bool sparse, int optimizer) -> Tensor",
    lambda weight, ids, *_: _kernels.lookup(weight, ids),
    lambda weight, ids, *_: weight.new_empty([*ids.shape, weight.shape[1]]),
    _derivatives.Lookup,
)

embedding_backward = _define(
    "embedding_backward",
    "(Tensor grad, Tensor ids, SymInt rows, int padding_idx, bool scale_grad_by_freq) -> Tensor",
    _kernels.lookup_gradient,
    lambda grad, ids, rows, *_: grad.new_empty([rows, grad.shape[-1]]),
    _derivatives.LookupGradient,
)

embedding_sparse_backward = _define(
    "embedding_sparse_backward",
    "(Tensor grad, Tensor ids, SymInt rows, int padding_idx, bool scale_grad_by_freq) -> (Tensor, Tensor)",
    lambda grad, ids, rows, padding_idx, by_freq: _kernels.sparse_gradient(
        grad, Bags(ids, padding_idx=padding_idx), None, rows, by_freq
    ),
    lambda grad, ids, *_: _rows_and_values(grad, ids),
)

embedding_bag = _define(
    "embedding_bag",
    f"(Tensor weight, {_BAGS}, bool scale_grad_by_freq, bool sparse, int optimizer) -> (Tensor, Tensor)",
    lambda weight, *rest: _kernels.bag(weight, Bags(*rest[:6])),
    _fake_bag,
    _derivatives.Pooling,
)

embedding_bag_backward = _define(
    "embedding_bag_backward",
    f"(Tensor grad, {_BAGS}, Tensor argmax, SymInt rows, bool scale_grad_by_freq) -> Tensor",
    lambda grad, *rest: _kernels.bag_gradient(grad, Bags(*rest[:6]), *rest[6:]),
    lambda grad, *rest: grad.new_empty([rest[7], grad.shape[-1]]),
    _derivatives.PoolingGradient,
)

embedding_bag_sparse_backward = _define(
    "embedding_bag_sparse_backward",
    f"(Tensor grad, {_BAGS}, Tensor argmax, SymInt rows, bool scale_grad_by_freq) -> (Tensor, Tensor)",
    lambda grad, *rest: _kernels.sparse_gradient(grad, Bags(*rest[:6]), *rest[6:]),
    lambda grad, ids, *_: _rows_and_values(grad, ids),
)

sample_weights_backward = _define(
    "sample_weights_backward",
    "(Tensor grad, Tensor weight, Tensor ids, Tensor? offsets, bool include_last_offset, int padding_idx) -> Tensor",
    lambda grad, weight, ids, offsets, last, padding_idx: _kernels.sample_weights_gradient(
        grad, weight, Bags(ids, offsets, "sum", None, last, padding_idx)
    ),
    lambda grad, weight, ids, *_: grad.new_empty(ids.shape),
    _derivatives.SampleWeightsGradient,
)

fused_update = _define(
    "fused_update",
    # PyTorch's functionalization has an argument of its own that is called "mode".
    f"(Tensor(a!) weight, Tensor grad, {_BAGS.replace('str mode', 'str pooling')}, "
    "Tensor? argmax, bool scale_grad_by_freq, int optimizer) -> ()",
    lambda weight, grad, *rest: _kernels.fused_update(weight, grad, Bags(*rest[:6]), *rest[6:]),
    lambda *_: None,
    mutates=("weight",),
)
