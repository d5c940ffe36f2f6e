"""Sharded collections as modules of PyTorch, whose backward pass is the fused step of all ranks together.

Such a module has no parameters: its tables are trained where their shards are, and belong to no state dict. So it
stands in a model whose other layers are wrapped in `DistributedDataParallel`, or in the model that is wrapped as a
whole:

    collection = ShardedEmbeddingBagCollection(configs, placement, TorchComm(), optimizer=...)
    model = DistributedDataParallel(Model(ShardedModule(collection)))

`TorchComm()` has a group of its own: so the order of the lookups is apart from that of the dense gradients, which
travel whenever they are ready.

Every rank takes part in every forward and every backward pass, also one whose batch is empty: a rank whose loss does
not depend on the module's output leaves the others waiting until the comm's timeout ends them. One backward pass is one
step, so gradients are not accumulated, and each forward pass that has a backward pass has it before the next forward
pass. `torch.compile` breaks its graph at the module, which runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from hotrow.distributed.comm import Comm
from hotrow.torch._arrays import check_cpu, check_ids, floats_of
from hotrow.typing import Policy

__all__ = ["Features", "ShardedModule", "ShardedSequenceModule"]


class Features(Protocol):
    """The bags of a rank's own examples: TorchRec's `KeyedJaggedTensor`, hotrow's, or what answers like them."""

    def keys(self) -> Sequence[str]:
        """The features' names."""

    def values(self) -> Tensor:
        """The ids of all bags, feature by feature."""

    def lengths(self) -> Tensor:
        """How many ids each bag has."""

    def weights_or_none(self) -> Tensor | None:
        """The weights of the ids."""


class _Sharded(Protocol):
    """What the modules ask of any sharded collection."""

    @property
    def comm(self) -> Comm: ...


class _Bags(_Sharded, Protocol):
    """What is asked of a `ShardedEmbeddingBagCollection`."""

    @property
    def columns(self) -> dict[str, slice]: ...

    def forward(
        self, keys: Sequence[str], values: Any, *, lengths: Any, weights: Any = None, policy: Policy = "strict"
    ) -> NDArray[np.float32]: ...

    def backward(self, grad: Any) -> None: ...


class _Sequences(_Sharded, Protocol):
    """What is asked of a `ShardedEmbeddingCollection`."""

    def forward(
        self, keys: Sequence[str], values: Any, *, lengths: Any, policy: Policy = "strict"
    ) -> dict[str, NDArray[np.float32]]: ...

    def backward(self, grads: Mapping[str, Any]) -> None: ...


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _uncompiled(function: _Function) -> _Function:
    """Breaks the graph at a function: what it exchanges is not for a compiler to see."""
    disabled: _Function = torch.compiler.disable(function)
    return disabled


class _Module(torch.nn.Module):
    """Hands a collection's output to autograd, and autograd's gradients to the collection."""

    def __init__(self, collection: _Sharded, policy: Policy, average: bool) -> None:
        super().__init__()
        self.policy: Policy = policy
        self.average = average
        self._ranks = collection.comm.size
        self._lookups = 0
        # The lookup that the collection still has what it takes to step for.
        self._open: int | None = None

    def _begin(self) -> None:
        """Nothing may step any more for the lookup before, also where the next one is refused."""
        self._lookups += 1
        self._open = None

    def _pass_on(self, found: Sequence[NDArray[np.float32]]) -> tuple[Tensor, ...]:
        self._open = self._lookups
        # Something has to require a gradient, or autograd would pass over the step.
        anchor = torch.empty(0, requires_grad=True)
        outputs: tuple[Tensor, ...] = _Step.apply(anchor, self, self._lookups, found)
        return outputs

    def _close(self, lookup: int, grads: Sequence[Tensor]) -> None:
        if lookup != self._open:
            raise RuntimeError(
                "this backward pass belongs to an earlier forward pass of the sharded collection, or came before: "
                "a step needs what its own forward pass exchanged, and takes it once"
            )
        self._open = None
        divisor = self._ranks if self.average else 1
        self._step([floats_of(grad if divisor == 1 else grad / divisor) for grad in grads])

    def _step(self, grads: list[Any]) -> None:
        raise NotImplementedError


class _Step(torch.autograd.Function):
    """Outputs as they are; their gradients are the collection's step."""

    @staticmethod
    def forward(
        ctx: Any, _anchor: Tensor, module: _Module, lookup: int, found: Sequence[NDArray[np.float32]]
    ) -> tuple[Tensor, ...]:
        ctx.module, ctx.lookup = module, lookup
        return tuple(map(torch.from_numpy, found))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        ctx.module._close(ctx.lookup, grads)
        return None, None, None, None


class ShardedModule(_Module):
    """A `ShardedEmbeddingBagCollection` as a module: from the bags of this rank to `[batch, output_dim]` in float32.

    Weights of ids are read, and get no gradient.

    >>> import torch
    >>> from hotrow import EmbeddingBagConfig
    >>> from hotrow.distributed import LocalComm, ShardedEmbeddingBagCollection, plan
    >>> from hotrow.distributed.torch import ShardedModule
    >>> from hotrow.torch import KeyedJaggedTensor
    >>> configs = [EmbeddingBagConfig(name="items", num_embeddings=100, embedding_dim=4, feature_names=["seen"])]
    >>> placement = plan(configs, world_size=1)
    >>> collection = ShardedEmbeddingBagCollection(configs, placement, LocalComm(), optimizer=("sgd", {"lr": 0.1}))
    >>> module = ShardedModule(collection)
    >>> pooled = module(KeyedJaggedTensor(["seen"], torch.tensor([3, 5, 8]), lengths=torch.tensor([2, 0, 1])))
    >>> pooled[:, module.columns["seen"]].shape
    torch.Size([3, 4])
    >>> pooled.square().mean().backward()  # the rows 3, 5 and 8 have changed now
    """

    def __init__(self, collection: _Bags, *, policy: Policy = "strict", average: bool = True) -> None:
        """Trains this collection.

        `average` divides the gradients by the number of ranks, as `DistributedDataParallel` does with those of dense
        layers: where the loss of every rank is the mean of equally many examples, the step is that of the mean of all.
        """
        super().__init__(collection, policy, average)
        self.collection = collection

    @property
    def columns(self) -> dict[str, slice]:
        """The columns of each feature in the output."""
        return self.collection.columns

    @_uncompiled
    def forward(self, features: Features) -> Tensor:
        """Pools every feature of this rank's examples."""
        ids, lengths = _arrays(features)
        given = features.weights_or_none()
        self._begin()
        found = self.collection.forward(
            list(features.keys()), ids, lengths=lengths, weights=_weights(given), policy=self.policy
        )
        return self._pass_on([found])[0]

    def _step(self, grads: list[Any]) -> None:
        self.collection.backward(np.ascontiguousarray(grads[0]))


class ShardedSequenceModule(_Module):
    """A `ShardedEmbeddingCollection` as a module: a row for every id, `[ids, dim]` in float32 by feature."""

    def __init__(self, collection: _Sequences, *, policy: Policy = "strict", average: bool = True) -> None:
        """Trains this collection; `average` is as for `ShardedModule`."""
        super().__init__(collection, policy, average)
        self.collection = collection
        self._names: list[str] = []

    @_uncompiled
    def forward(self, features: Features) -> dict[str, Tensor]:
        """Looks up every id of this rank's examples."""
        ids, lengths = _arrays(features)
        self._begin()
        found = self.collection.forward(list(features.keys()), ids, lengths=lengths, policy=self.policy)
        self._names = list(found)
        return dict(zip(found, self._pass_on(list(found.values())), strict=True))

    def _step(self, grads: list[Any]) -> None:
        self.collection.backward(dict(zip(self._names, map(np.ascontiguousarray, grads), strict=True)))


def _arrays(features: Features) -> tuple[Any, Any]:
    ids, lengths = features.values(), features.lengths()
    check_cpu(ids, lengths)
    check_ids(ids)
    check_ids(lengths, "lengths")
    return ids.numpy(), lengths.numpy()


def _weights(given: Tensor | None) -> Any:
    if given is None:
        return None
    check_cpu(given)
    if given.requires_grad:
        raise ValueError("the weights of ids get no gradient from a sharded collection: detach them")
    return floats_of(given)
