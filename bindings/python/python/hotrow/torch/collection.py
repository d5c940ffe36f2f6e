"""Many tables behind one call, with the names of TorchRec's configurations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from hotrow.torch.embedding_bag import EmbeddingBag
from hotrow.torch.keyed import KeyedTensor

__all__ = ["EmbeddingBagCollection", "EmbeddingBagConfig"]


class Features(Protocol):
    """What a collection asks of its input: TorchRec's `KeyedJaggedTensor`, ours, or anything that answers like them."""

    def keys(self) -> Sequence[str]:
        """The features' names."""

    def values(self) -> Tensor:
        """The ids of all bags, feature by feature."""

    def offsets(self) -> Tensor:
        """Where each bag starts, and where the last one ends."""

    def weights_or_none(self) -> Tensor | None:
        """The weights of the ids."""


@dataclasses.dataclass
class EmbeddingBagConfig:
    """One table: fields as in TorchRec, whose own configurations do as well.

    `pooling` is "SUM" or "MEAN", `data_type` a type of PyTorch or the name of one ("FP32", "FP16", "BF16"). Without
    `init_fn` the weight is drawn uniformly between `weight_init_min` and `weight_init_max`, or as far from zero as `1 /
    sqrt(num_embeddings)`.
    """

    num_embeddings: int
    embedding_dim: int
    name: str = ""
    data_type: Any = "FP32"
    feature_names: list[str] = dataclasses.field(default_factory=list)
    weight_init_max: float | None = None
    weight_init_min: float | None = None
    init_fn: Callable[[Tensor], Any] | None = None
    pooling: Any = "SUM"


_TYPES = {"FP32": torch.float32, "FP16": torch.float16, "BF16": torch.bfloat16}
_POOLINGS = {"SUM": "sum", "MEAN": "mean"}


def _named(given: Any, known: Mapping[str, Any], what: str) -> Any:
    """What a name, or an enumeration whose members have such names, stands for."""
    name = getattr(given, "name", given)
    found = known.get(str(name).upper())
    if found is None:
        raise ValueError(f"{what} must be one of {', '.join(known)}, and is {given!r}")
    return found


class _Bags:
    """The bags of features, to be had by the features' names."""

    def __init__(self, features: Features, weighted: bool) -> None:
        self.keys = list(features.keys())
        self.values = features.values()
        self.offsets = features.offsets()
        self.weights = features.weights_or_none() if weighted else None
        if weighted and self.weights is None:
            raise ValueError("a weighted collection needs features with weights")
        bags, kinds = self.offsets.numel() - 1, max(len(self.keys), 1)
        if bags % kinds != 0:
            raise ValueError("every feature must have as many bags as the others")
        self.batch = bags // kinds
        # Where each feature's ids start: one read for all of them.
        self.starts = self.offsets[:: self.batch].tolist() if self.batch else [0] * (kinds + 1)

    def of(self, names: Sequence[str]) -> tuple[Tensor, Tensor, Tensor | None]:
        """The ids of these features, their offsets with the last one, and their weights."""
        ids, cuts, weights, count = [], [], [], 0
        for name in names:
            if name not in self.keys:
                raise KeyError(f"the features lack {name!r}: they are {self.keys}")
            at = self.keys.index(name)
            start, end = self.starts[at], self.starts[at + 1]
            ids.append(self.values[start:end])
            # Where the bags start when the ids of the features before are in front of them.
            cuts.append(self.offsets[at * self.batch : (at + 1) * self.batch] + (count - start))
            if self.weights is not None:
                weights.append(self.weights[start:end])
            count += end - start
        cuts.append(self.offsets.new_full((1,), count))
        together = None if self.weights is None else _together(weights)
        return _together(ids), torch.cat(cuts), together


def _together(pieces: list[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


class EmbeddingBagCollection(torch.nn.Module):
    """Pools the bags of every feature from its table.

    It is `torchrec.EmbeddingBagCollection` in constructor, result and state dict.

    Several features may share a table: they are looked up in one call, so that a fused optimizer sums all their
    gradients and takes one step. A feature that several tables have is named `feature@table` in the result. `fused` and
    `fused_options` give each table an optimizer: see `hotrow.torch.Embedding`.

    >>> import torch
    >>> from hotrow.torch import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
    >>> tables = [
    ...     EmbeddingBagConfig(name="t1", num_embeddings=10, embedding_dim=3, feature_names=["user"]),
    ...     EmbeddingBagConfig(
    ...         name="t2", num_embeddings=50, embedding_dim=4, feature_names=["seen", "item"], pooling="MEAN"
    ...     ),
    ... ]
    >>> collection = EmbeddingBagCollection(tables, fused="rowwise_adagrad")
    >>> features = KeyedJaggedTensor(
    ...     ["user", "item", "seen"], torch.tensor([7, 1, 2, 5, 6, 6]), lengths=torch.tensor([1, 1, 1, 1, 0, 2])
    ... )
    >>> pooled = collection(features)
    >>> pooled.keys(), pooled.length_per_key(), tuple(pooled.values().shape)
    (['user', 'seen', 'item'], [3, 4, 4], (2, 11))
    """

    def __init__(
        self,
        tables: Sequence[Any],
        is_weighted: bool = False,
        device: torch.device | None = None,
        *,
        fused: str | None = None,
        fused_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._is_weighted = is_weighted
        self._configs = list(tables)
        self._features = [list(config.feature_names) or [config.name] for config in tables]
        self.embedding_bags = torch.nn.ModuleDict()
        for config in tables:
            if config.name in self.embedding_bags:
                raise ValueError(f"Duplicate table name {config.name}")
            data_type = config.data_type
            self.embedding_bags[config.name] = EmbeddingBag(
                config.num_embeddings,
                config.embedding_dim,
                mode=_named(config.pooling, _POOLINGS, "pooling"),
                include_last_offset=True,
                device=device,
                dtype=data_type if isinstance(data_type, torch.dtype) else _named(data_type, _TYPES, "data_type"),
                fused=fused,
                fused_options=fused_options,
            )
        self._names = self._names_of_results()
        self.reset_parameters()

    def _names_of_results(self) -> list[str]:
        every = [name for names in self._features for name in names]
        return [
            f"{name}@{config.name}" if every.count(name) > 1 else name
            for config, names in zip(self._configs, self._features, strict=True)
            for name in names
        ]

    def reset_parameters(self) -> None:
        """Draws the weights anew, as the tables' configurations say."""
        for config in self._configs:
            weight = self.embedding_bags[config.name].weight
            assert isinstance(weight, Tensor)
            if config.init_fn is not None:
                config.init_fn(weight)
                continue
            bound = config.num_embeddings**-0.5
            low, high = config.weight_init_min, config.weight_init_max
            torch.nn.init.uniform_(weight, -bound if low is None else low, bound if high is None else high)

    def forward(self, features: Features) -> KeyedTensor:
        """Each feature's bags pooled, side by side in the order of the tables, in float32."""
        bags = _Bags(features, self._is_weighted)
        pooled: list[Tensor] = []
        for names, table in zip(self._features, self.embedding_bags.values(), strict=True):
            rows = table(*bags.of(names)).float()
            pooled += rows.unflatten(0, (len(names), bags.batch)).unbind()
        return KeyedTensor(self._names, [vector.shape[1] for vector in pooled], torch.cat(pooled, dim=1))

    def is_weighted(self) -> bool:
        """Whether ids have weights."""
        return self._is_weighted

    def embedding_bag_configs(self) -> list[Any]:
        """The tables' configurations."""
        return self._configs

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(iter(self.parameters())).device
