"""Features by name: ragged ones that go into a collection, and pooled ones that come out.

TorchRec's classes of these names do as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["KeyedJaggedTensor", "KeyedTensor"]


class KeyedJaggedTensor:
    """Bags of ids for several features: all of the first feature's bags, then all of the second's, and so on.

    >>> import torch
    >>> features = KeyedJaggedTensor(["user", "item"], torch.tensor([7, 1, 2, 5]), lengths=torch.tensor([1, 0, 2, 1]))
    >>> features.stride(), features.offsets()
    (2, tensor([0, 1, 1, 3, 4]))
    """

    def __init__(
        self,
        keys: Sequence[str],
        values: Tensor,
        weights: Tensor | None = None,
        lengths: Tensor | None = None,
        offsets: Tensor | None = None,
    ) -> None:
        if (lengths is None) == (offsets is None):
            raise ValueError("bags are cut by lengths or by offsets: give one of the two")
        self._keys = list(keys)
        self._values = values
        self._weights = weights
        self._lengths = lengths
        self._offsets = offsets
        bags = len(self.lengths())
        if bags % max(len(self._keys), 1) != 0:
            raise ValueError(f"{bags} bags are not as many for each of {len(self._keys)} features")

    def keys(self) -> list[str]:
        """The features' names."""
        return self._keys

    def values(self) -> Tensor:
        """The ids of all bags."""
        return self._values

    def weights_or_none(self) -> Tensor | None:
        """The weights of the ids."""
        return self._weights

    def lengths(self) -> Tensor:
        """How many ids each bag has."""
        if self._lengths is None:
            assert self._offsets is not None
            self._lengths = self._offsets.diff()
        return self._lengths

    def offsets(self) -> Tensor:
        """Where each bag starts, and where the last one ends."""
        if self._offsets is None:
            lengths = self.lengths()
            self._offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0, dtype=lengths.dtype)])
        return self._offsets

    def stride(self) -> int:
        """How many bags each feature has."""
        return len(self.lengths()) // max(len(self._keys), 1)


class KeyedTensor:
    """Vectors of several features side by side.

    >>> import torch
    >>> pooled = KeyedTensor(["user", "item"], [2, 1], torch.tensor([[1.0, 2.0, 3.0]]))
    >>> pooled["item"]
    tensor([[3.]])
    >>> pooled.to_dict()["user"]
    tensor([[1., 2.]])
    """

    def __init__(self, keys: Sequence[str], length_per_key: Sequence[int], values: Tensor) -> None:
        self._keys = list(keys)
        self._lengths = list(length_per_key)
        self._values = values

    def keys(self) -> list[str]:
        """The features' names."""
        return self._keys

    def values(self) -> Tensor:
        """All vectors, `[batch, sum of the lengths]`."""
        return self._values

    def key_dim(self) -> int:
        """The dimension along which features lie."""
        return 1

    def length_per_key(self) -> list[int]:
        """How long each feature's vectors are."""
        return self._lengths

    def offset_per_key(self) -> list[int]:
        """Where each feature's vectors start, and where the last ones end."""
        offsets = [0]
        for length in self._lengths:
            offsets.append(offsets[-1] + length)
        return offsets

    def to_dict(self) -> dict[str, Tensor]:
        """Each feature's vectors, `[batch, length]`, without a copy."""
        return dict(zip(self._keys, torch.split(self._values, self._lengths, dim=1), strict=True))

    def __getitem__(self, key: str) -> Tensor:
        """One feature's vectors, without a copy."""
        at = self._keys.index(key)
        return self._values.narrow(1, self.offset_per_key()[at], self._lengths[at])
