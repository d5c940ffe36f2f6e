"""`torch.nn.Embedding` over the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hotrow.torch.functional import _embedding
from hotrow.torch.fused import FusedModule

__all__ = ["Embedding"]


class Embedding(FusedModule, torch.nn.Embedding):
    """A table of vectors, looked up by id: `torch.nn.Embedding` in constructor, attributes, state dict and meaning.

    `fused` names an optimizer (sgd, adagrad, rowwise_adagrad, adam, adamw, partial_rowwise_adam, rmsprop or ftrl) that
    updates the weight inside of the backward pass, with the options in `fused_options` (lr, eps, weight_decay, ...:
    those of `hotrow.Optimizer`). See `hotrow.torch.fused`.

    >>> import torch, hotrow.torch
    >>> layer = hotrow.torch.Embedding(10, 3, padding_idx=0)
    >>> layer
    Embedding(10, 3, padding_idx=0)
    >>> layer(torch.tensor([[1, 2, 4], [4, 3, 0]])).shape
    torch.Size([2, 3, 3])

    >>> layer = hotrow.torch.Embedding(10, 3, fused="rowwise_adagrad", fused_options={"lr": 0.1})
    >>> before = layer.weight.detach().clone()
    >>> layer(torch.tensor([1, 2, 1])).sum().backward()
    >>> (layer.weight != before).any(dim=1).nonzero().flatten()
    tensor([1, 2])
    >>> layer.weight.grad is None, layer.optimizer.steps
    (True, 1)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        fused: str | None = None,
        fused_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight,
            _freeze,
            device,
            dtype,
        )
        self._fuse(fused, fused_options, sparse)

    def forward(self, input: Tensor) -> Tensor:
        """The rows that `input` names: its shape, and `embedding_dim` after it."""
        return _embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
            self._optimizer_number,
        )

    def extra_repr(self) -> str:
        """What `repr` shows between the brackets."""
        return super().extra_repr() + self._optimizer_repr()

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        *,
        fused: str | None = None,
        fused_options: Mapping[str, Any] | None = None,
    ) -> Embedding:
        """A layer whose weight is `embeddings`, without a copy.

        >>> import torch, hotrow.torch
        >>> weight = torch.tensor([[1.0, 2.3], [4.0, 5.1]])
        >>> hotrow.torch.Embedding.from_pretrained(weight)(torch.tensor([1]))
        tensor([[4.0000, 5.1000]])
        """
        if embeddings.dim() != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        rows, columns = embeddings.shape
        return cls(
            rows,
            columns,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            embeddings,
            freeze,
            fused=fused,
            fused_options=fused_options,
        )
