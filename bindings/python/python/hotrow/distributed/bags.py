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

    routed: list[_native.RoutedBags]
    received: list[_native.ReceivedBags]
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
        groups: int = 1,
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
            groups: In how many groups the tables are exchanged: messages of one travel while the next is computed.

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
            groups=groups,
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

        with self._conversation(2 * len(self._groups)) as conversation:
            self._check_loaded()
            routed = [route(group) for group in self._groups]
            own, (own_ids,) = route(self._replicas)
            asked = [conversation.send("ids", messages) for _, messages in routed]
            received, answers = [], []
            for group, reply in zip(self._groups, asked, strict=True):
                of_group, output = _pooled(group, reply())
                received.append(of_group)
                answers.append(conversation.send("vectors", of_group.pack(output)))
            replicated = _alone(self._replicas, own_ids)
            out: NDArray[np.float32] | None = None
            for (bags, _), reply in zip(routed, answers, strict=True):
                out = bags.unpack(reply(), out)
            if replicated is not None:
                out = own.unpack(replicated, out)
        assert out is not None
        self._last = _Batch([bags for bags, _ in routed], received, own, own_ids)
        return out

    def backward(self, grad: ArrayLike) -> None:
        """Steps every table by the gradients of all ranks; `grad` is that of this rank's last output."""
        with self._conversation(len(self._groups) + bool(self._replicas.shards)) as conversation:
            self._check_trained(self._last)
            assert self._last is not None
            # All is packed before anything is sent, so that what a rank refuses no rank has stepped by.
            messages = [routed.pack_gradient(grad) for routed in self._last.routed]
            own = framed([self._last.own_ids, *self._last.own.pack_gradient(grad)])
            replies = [conversation.send("gradients", of_group) for of_group in messages]
            if self._replicas.shards:
                replies.append(conversation.send("gradients", [own] * self._comm.size))
            for group, received, reply in zip(self._groups, self._last.received, replies, strict=False):
                _step(group, received.unpack_gradient(reply()))
            if self._replicas.shards:
                ids, grads = zip(*(unframed(frame, rank) for rank, frame in enumerate(replies[-1]())), strict=True)
                everybodys, _ = _pooled(self._replicas, ids)
                _step(self._replicas, everybodys.unpack_gradient(grads))


def _alone(part: Part[_native.EmbeddingBagCollection], ids: Message) -> list[Message] | None:
    """What a rank answers itself, if every rank has some of the tables."""
    if not part.shards:
        return None
    received, output = _pooled(part, [ids])
    return received.pack(output)


def _pooled(
    part: Part[_native.EmbeddingBagCollection], messages: Sequence[Message]
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
