"""Many tables of bags over many ranks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hotrow import _native
from hotrow.config import EmbeddingBagConfig
from hotrow.distributed.collection import Sharded
from hotrow.distributed.comm import Comm
from hotrow.distributed.messages import Message, framed, unframed
from hotrow.distributed.optimizers import Optimizer, Optimizers
from hotrow.distributed.part import Part
from hotrow.distributed.sharding import Plan
from hotrow.typing import Element, Ids, Policy

__all__ = ["ShardedEmbeddingBagCollection"]


@dataclass(frozen=True)
class _Batch:
    """What a forward leaves for its backward."""

    routed: _native.RoutedBags
    received: _native.ReceivedBags
    own: _native.RoutedBags
    own_ids: Message


class ShardedEmbeddingBagCollection(Sharded[_native.EmbeddingBagCollection, EmbeddingBagConfig]):
    """An `EmbeddingBagCollection` whose tables are cut into shards, over all ranks of `comm`.

    Every rank has a batch of its own, of any number of examples, also 0, and gets the output of its own examples. A
    backward is one step by the gradients of all ranks: tables and optimizers become, to the bit, what one
    `hotrow.EmbeddingBagCollection` makes of the batches put one behind the other in the order of the ranks. So are the
    outputs, with one exception: of a table whose rows are at several ranks (row_wise, table_row_wise), each rank sums
    the rows that it has, these sums are added in the order of the rows, and the result is divided for "mean" and
    "sqrtn"; where ids have weights, those are divided instead, before anything is summed. With `wire_dtype` vectors and
    gradients are rounded on their way to a rank, also to the rank itself, but for tables that are data_parallel.

    All ranks call the same methods in the same order. If one refuses its batch, the others raise a `RankError`, and no
    table has changed.

    >>> import numpy as np
    >>> from hotrow import EmbeddingBagConfig
    >>> from hotrow.distributed import LocalComm, ShardedEmbeddingBagCollection, plan
    >>> config = EmbeddingBagConfig(
    ...     name="items", num_embeddings=1000, embedding_dim=4, feature_names=["seen", "liked"]
    ... )
    >>> collection = ShardedEmbeddingBagCollection(
    ...     [config], plan([config], world_size=1), LocalComm(), optimizer=("rowwise_adagrad", {"lr": 0.1})
    ... )

    Two examples. The lists stand key by key: seen [1, 2], []; liked [2], [3, 4].

    >>> out = collection.forward(["seen", "liked"], [1, 2, 2, 3, 4], lengths=[2, 0, 1, 2])
    >>> out.shape
    (2, 8)
    >>> collection.backward(np.full_like(out, 0.01))
    """

    def __init__(
        self,
        configs: Sequence[EmbeddingBagConfig],
        plan: Plan,
        comm: Comm,
        *,
        seed: int = 0,
        optimizer: Optimizer | Optimizers | None = None,
        wire_dtype: Element | None = None,
        deduplicate: bool = True,
    ) -> None:
        """Draws the tables as one process would draw them, each rank its shards.

        Args:
            configs: The tables.
            plan: What lands where.
            comm: What carries the messages.
            seed: The tables are those of `hotrow.EmbeddingBagCollection(configs, seed=seed)`.
            optimizer: A rule and its hyperparameters for all tables, or one for each by the table's name.
            wire_dtype: What vectors and gradients are rounded to on their way; by default they are not.
            deduplicate: Whether ids that come often in a batch travel once, where that is shorter.

        Raises:
            ValueError: The ranks do not have the same, the plan does not fit the tables, or an optimizer needs what no
                rank has.
        """
        super().__init__(
            _native.EmbeddingBagCollection,
            configs,
            plan,
            comm,
            seed=seed,
            optimizer=optimizer,
            wire_dtype=wire_dtype,
            deduplicate=deduplicate,
            pooled=True,
        )
        self._last: _Batch | None = None

    @property
    def columns(self) -> dict[str, slice]:
        """The columns of each output: by feature, or `feature@table` where several tables look one up."""
        return self._model.columns

    @property
    def output_dim(self) -> int:
        """The values of an example's output: the sum of the features' dims."""
        return self._model.output_dim

    def forward(
        self,
        keys: Sequence[str],
        values: Ids,
        *,
        lengths: ArrayLike | None = None,
        offsets: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        policy: Policy = "strict",
    ) -> NDArray[np.float32]:
        """Pools every feature of this rank's examples: `[batch, output_dim]`.

        The arguments are those of `hotrow.EmbeddingBagCollection.forward`. A policy that fills rows is refused.
        """
        self._last = None
        self.traffic.last.clear()

        def route(part: Part[_native.EmbeddingBagCollection]) -> tuple[_native.RoutedBags, list[Message]]:
            return part.routes.route_bags(
                keys,
                values,
                lengths=lengths,
                offsets=offsets,
                weights=weights,
                policy=policy,
                deduplicate=self._deduplicate,
            )

        def ask() -> tuple[tuple[_native.RoutedBags, _native.RoutedBags, Message], list[Message]]:
            routed, messages = route(self._sharded)
            own, (own_ids,) = route(self._replicas)
            return (routed, own, own_ids), messages

        (routed, own, own_ids), asked = self._exchange("ids", ask)

        def answer() -> tuple[_native.ReceivedBags, list[Message]]:
            received, output = _pooled(self._sharded, asked)
            return received, received.pack(output)

        received, answers = self._exchange("vectors", answer)
        out = routed.unpack(answers)
        if self._replicas.shards:
            alone, output = _pooled(self._replicas, [own_ids])
            own.unpack(alone.pack(output), out)
        self._last = _Batch(routed, received, own, own_ids)
        return out

    def backward(self, grad: ArrayLike) -> None:
        """Steps every table by the gradients of all ranks; `grad` is that of this rank's last output."""

        def send() -> tuple[_Batch, list[Message]]:
            self._check_trained(self._last)
            assert self._last is not None
            messages = self._last.routed.pack_gradient(grad)
            if self._replicas.shards:
                own = [self._last.own_ids, *self._last.own.pack_gradient(grad)]
                messages = [framed([message, *own]) for message in messages]
            return self._last, messages

        last, frames = self._exchange("gradients", send)
        if not self._replicas.shards:
            _step(self._sharded, last.received.unpack_gradient(frames))
            return
        parts = [unframed(frame, rank) for rank, frame in enumerate(frames)]
        messages, ids, own = ([part[at] for part in parts] for at in range(3))
        # All is read before the first table changes.
        grads = last.received.unpack_gradient(messages)
        everybodys, _ = _pooled(self._replicas, ids)
        replicated = everybodys.unpack_gradient(own)
        _step(self._sharded, grads)
        _step(self._replicas, replicated)


def _pooled(
    part: Part[_native.EmbeddingBagCollection], messages: list[Message]
) -> tuple[_native.ReceivedBags, NDArray[np.float32]]:
    """Pools what all ranks ask for."""
    received = part.routes.receive_bags(part.rank, messages)
    if not part.shards:
        # Nothing was asked for, and without keys no collection knows how many examples there are.
        return received, np.empty((received.examples, 0), np.float32)
    output = part.collection.forward(part.keys, received.values, lengths=received.lengths, weights=received.weights)
    return received, output


def _step(part: Part[_native.EmbeddingBagCollection], grad: NDArray[np.float32]) -> None:
    """Steps this rank's shards, if it has any."""
    if part.shards:
        part.collection.backward(grad)
