"""`torch.nn.EmbeddingBag` over the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hotrow.torch.functional import _embedding_bag
from hotrow.torch.fused import FusedModule

__all__ = ["EmbeddingBag"]


class EmbeddingBag(FusedModule, torch.nn.EmbeddingBag):
    """Sums, means or maxima of bags of rows.

    It is `torch.nn.EmbeddingBag` in constructor, attributes, state dict and meaning.

    `fused` and `fused_options` are those of `hotrow.torch.Embedding`.

    >>> import torch, hotrow.torch
    >>> layer = hotrow.torch.EmbeddingBag(10, 3, mode="sum", fused="adam")
    >>> layer
    EmbeddingBag(10, 3, mode='sum', fused='adam')
    >>> layer(torch.tensor([1, 2, 4, 5, 4]), torch.tensor([0, 3])).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
        *,
        fused: str | None = None,
        fused_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            num_embeddings,
            embedding_dim,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            _weight,
            include_last_offset,
            padding_idx,
            device,
            dtype,
        )
        self._fuse(fused, fused_options, sparse)

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """Each bag of `input` pooled: `[bags, embedding_dim]`."""
        return _embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
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
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        *,
        fused: str | None = None,
        fused_options: Mapping[str, Any] | None = None,
    ) -> EmbeddingBag:
        """A layer whose weight is `embeddings`, without a copy.

        >>> import torch, hotrow.torch
        >>> weight = torch.tensor([[1.0, 2.0], [4.0, 5.0]])
        >>> hotrow.torch.EmbeddingBag.from_pretrained(weight)(torch.tensor([[1, 0]]))
        tensor([[2.5000, 3.5000]])
        """
        if embeddings.dim() != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        rows, columns = embeddings.shape
        layer = cls(
            rows,
            columns,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            embeddings,
            include_last_offset,
            padding_idx,
            fused=fused,
            fused_options=fused_options,
        )
        layer.weight.requires_grad = not freeze
        return layer
