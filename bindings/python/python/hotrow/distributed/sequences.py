"""Many tables whose rows are not pooled, over many ranks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hotrow import _native
from hotrow.config import EmbeddingConfig
from hotrow.distributed.collection import Sharded
from hotrow.distributed.comm import Comm
from hotrow.distributed.messages import Message, framed, unframed
from hotrow.distributed.optimizers import Optimizer, Optimizers
from hotrow.distributed.part import Part
from hotrow.distributed.sharding import Plan
from hotrow.typing import Element, Ids, Policy

__all__ = ["ShardedEmbeddingCollection"]


@dataclass(frozen=True)
class _Batch:
    """What a forward leaves for its backward."""

    routed: list[_native.RoutedIds]
    received: list[_native.ReceivedIds]
    own: _native.RoutedIds
    own_ids: Message


class ShardedEmbeddingCollection(Sharded[_native.EmbeddingCollection, EmbeddingConfig]):
    """An `EmbeddingCollection` whose tables are cut into shards, over all ranks of `comm`.

    Every rank has ids of its own, any number of them, and gets their rows. An id that comes often in a rank's batch
    travels once, and so does its row. The gradients of all ids travel, and a backward is one step by those of all
    ranks. Outputs, tables and optimizers are, to the bit, what one `hotrow.EmbeddingCollection` makes of the batches
    put one behind the other in the order of the ranks.

    With `sum_gradients` each rank sums the gradients of equal ids of a feature and sends the sums, which is less to
    send; then the gradients of a row are summed by rank first. With `wire_dtype` vectors and gradients are rounded on
    their way to a rank, also to the rank itself, but for tables that are data_parallel.

    All ranks call the same methods in the same order. If one refuses its batch, the others raise a `RankError`, and no
    table has changed.

    >>> from hotrow import EmbeddingConfig
    >>> from hotrow.distributed import LocalComm, ShardedEmbeddingCollection, plan
    >>> config = EmbeddingConfig(
    ...     name="words", num_embeddings=1000, embedding_dim=4, feature_names=["query", "title"]
    ... )
    >>> collection = ShardedEmbeddingCollection(
    ...     [config], plan([config], world_size=1), LocalComm(), optimizer=("sgd", {"lr": 0.1})
    ... )
    >>> out = collection.forward(["query", "title"], [5, 6, 7, 6, 9], lengths=[1, 1, 2, 1])
    >>> out["title"].shape
    (3, 4)
    >>> collection.backward(out)
    """

    def __init__(
        self,
        configs: Sequence[EmbeddingConfig],
        plan: Plan,
        comm: Comm,
        *,
        seed: int = 0,
        optimizer: Optimizer | Optimizers | None = None,
        wire_dtype: Element | None = None,
        deduplicate: bool = True,
        sum_gradients: bool = False,
        groups: int = 1,
    ) -> None:
        """Draws the tables as one process would draw them, each rank its shards.

        Args:
            configs: The tables.
            plan: What lands where.
            comm: What carries the messages.
            seed: The tables are those of `hotrow.EmbeddingCollection(configs, seed=seed)`.
            optimizer: A rule and its hyperparameters for all tables, or one for each by the table's name.
            wire_dtype: What vectors and gradients are rounded to on their way; by default they are not.
            deduplicate: Whether ids that come often in a batch travel once.
            sum_gradients: Whether the gradients of ids that travel once are summed, and travel once.
            groups: In how many groups the tables are exchanged: messages of one travel while the next is computed.

        Raises:
            ValueError: The ranks do not have the same, the plan does not fit the tables, or an optimizer needs what no
                rank has.
        """
        plain = [_unpooled(config) for config in configs]
        super().__init__(
            _native.EmbeddingCollection,
            plain,
            plan,
            comm,
            seed=seed,
            optimizer=optimizer,
            wire_dtype=wire_dtype,
            deduplicate=deduplicate,
            groups=groups,
            pooled=False,
            sum_gradients=sum_gradients,
        )
        self._summed = sum_gradients
        self._last: _Batch | None = None

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs: features, or `feature@table` where several tables look one up."""
        return self._model.outputs

    def forward(
        self,
        keys: Sequence[str],
        values: Ids,
        *,
        lengths: ArrayLike | None = None,
        offsets: ArrayLike | None = None,
        policy: Policy = "strict",
    ) -> dict[str, NDArray[np.float32]]:
        """Looks up every id of every feature of this rank's batch: `[ids, dim]` by the name of the output.

        The arguments are those of `hotrow.EmbeddingCollection.forward`.
        """
        self._last = None
        self.traffic.last.clear()

        def route(part: Part[_native.EmbeddingCollection]) -> tuple[_native.RoutedIds, list[Message]]:
            return part.routes.route_ids(
                keys, values, lengths=lengths, offsets=offsets, policy=policy, deduplicate=self._deduplicate
            )

        with self._conversation(2 * len(self._groups)) as conversation:
            self._check_loaded()
            routed = [route(group) for group in self._groups]
            own, (own_ids,) = route(self._replicas)
            asked = [conversation.send("ids", messages) for _, messages in routed]
            received, answers = [], []
            for group, reply in zip(self._groups, asked, strict=True):
                of_group, outputs = self._gathered(group, reply())
                received.append(of_group)
                answers.append(conversation.send("vectors", of_group.pack(outputs)))
            alone, outputs = self._gathered(self._replicas, [own_ids])
            rows = self._split(self._replicas, own, own.unpack(alone.pack(outputs)))
            for group, (ids, _), reply in zip(self._groups, routed, answers, strict=True):
                rows |= self._split(group, ids, ids.unpack(reply()))
        self._last = _Batch([ids for ids, _ in routed], received, own, own_ids)
        return {name: rows[name] for _, _, name in self._lookups()}

    def backward(self, grads: Mapping[str, ArrayLike]) -> None:
        """Steps every table by the gradients of all ranks; `grads` are those of this rank's last output, by name."""
        with self._conversation(len(self._groups) + bool(self._replicas.shards)) as conversation:
            self._check_trained(self._last)
            assert self._last is not None
            # All is packed before anything is sent, so that what a rank refuses no rank has stepped by.
            pairs = zip(self._groups, self._last.routed, strict=True)
            messages = [self._packed(group, routed, grads) for group, routed in pairs]
            own = framed([self._last.own_ids, *self._packed(self._replicas, self._last.own, grads)])
            replies = [conversation.send("gradients", of_group) for of_group in messages]
            if self._replicas.shards:
                replies.append(conversation.send("gradients", [own] * self._comm.size))
            for group, received, reply in zip(self._groups, self._last.received, replies, strict=False):
                _step(group, received, received.unpack_gradient(reply()))
            if self._replicas.shards:
                ids, of_ids = zip(*(unframed(frame, rank) for rank, frame in enumerate(replies[-1]())), strict=True)
                everybodys, _ = self._gathered(self._replicas, ids)
                _step(self._replicas, everybodys, everybodys.unpack_gradient(of_ids))

    def _gathered(
        self, part: Part[_native.EmbeddingCollection], messages: Sequence[Message]
    ) -> tuple[_native.ReceivedIds, list[NDArray[np.float32]]]:
        """Looks up what all ranks ask for."""
        received = part.routes.receive_ids(part.rank, messages, summed=self._summed)
        if not part.shards:
            return received, []
        outputs = part.collection.forward(part.keys, received.values, lengths=received.lengths)
        return received, list(outputs.values())

    def _split(
        self, part: Part[_native.EmbeddingCollection], routed: _native.RoutedIds, flat: NDArray[np.float32]
    ) -> dict[str, NDArray[np.float32]]:
        """The rows of each feature of a part, of those that lie one behind the other."""
        rows, start = {}, 0
        for (table, _, name), ids in zip(self._lookups(), routed.ids, strict=True):
            dim = self._configs[table].embedding_dim
            if table in part.tables:
                rows[name] = flat[start : start + ids * dim].reshape(ids, dim)
            start += ids * dim
        return rows

    def _packed(
        self, part: Part[_native.EmbeddingCollection], routed: _native.RoutedIds, grads: Mapping[str, ArrayLike]
    ) -> list[Message]:
        """The gradients of a part's features as messages; of other features it takes none."""
        found = []
        for (table, _, name), count in zip(self._lookups(), routed.ids, strict=True):
            dim = self._configs[table].embedding_dim
            if table not in part.tables:
                found.append(np.empty((0, dim), np.float32))
                continue
            grad = np.ascontiguousarray(grads[name], np.float32)
            if grad.shape != (count, dim):
                raise ValueError(f"the gradient of {name!r} must have the shape {(count, dim)}, and has {grad.shape}")
            found.append(grad)
        return routed.pack_gradient(found, summed=self._summed)


def _step(part: Part[_native.EmbeddingCollection], received: _native.ReceivedIds, flat: NDArray[np.float32]) -> None:
    """Steps this rank's shards, if it has any; the gradients of its outputs lie one behind the other."""
    if not part.shards:
        return
    grads, start = {}, 0
    lengths = received.lengths.reshape(len(part.keys), -1).sum(1)
    rows = dict(zip(part.keys, lengths.tolist(), strict=True))
    shards = zip(part.gradient_dims, part.collection.configs, strict=True)
    features = [(dim, key) for dim, config in shards for key in config.feature_names]
    for name, (dim, key) in zip(part.collection.outputs, features, strict=True):
        end = start + rows[key] * dim
        grads[name] = flat[start:end].reshape(-1, dim)
        start = end
    part.collection.backward(grads)


def _unpooled(config: EmbeddingConfig) -> EmbeddingConfig:
    """The same without a pooling."""
    return EmbeddingConfig(
        name=config.name,
        num_embeddings=config.num_embeddings,
        embedding_dim=config.embedding_dim,
        feature_names=config.feature_names,
        dtype=config.dtype,
        initializer=config.initializer,
    )
