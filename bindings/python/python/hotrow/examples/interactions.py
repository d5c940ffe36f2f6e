"""Who watched what: from a file of RecBole's format, or made up."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Interactions:
    """Users and items by number, in the order of time; each user's last one is kept for the test.

    >>> data = synthetic(users=50, items=40, seed=0)
    >>> data.users, data.items, len(data.held_out)
    (50, 40, 50)
    >>> data.train.shape[1]
    2
    """

    users: int
    items: int
    #: Pairs of a user and an item.
    train: Ids
    #: The item that was left out, by user.
    held_out: Ids

    def triples(self, rng: np.random.Generator) -> tuple[Ids, Ids, Ids]:
        """The pairs in a new order, each with an item at random: users, their items, others."""
        pairs = self.train[rng.permutation(len(self.train))]
        others = rng.integers(0, self.items, len(pairs), dtype=np.int32)
        return pairs[:, 0].copy(), pairs[:, 1].copy(), others

    def hit_rate(self, users: NDArray[np.float32], items: NDArray[np.float32], k: int = 10) -> float:
        """How often the item that was left out is among the `k` best that the user has not seen, of all items."""
        scores = users @ items.T
        scores[self.train[:, 0], self.train[:, 1]] = -np.inf
        wanted = scores[np.arange(self.users), self.held_out]
        better = np.sum(scores > wanted[:, None], axis=1)
        return float(np.mean(better < k))


def read(path: str | Path) -> Interactions:
    """Reads a tab-separated file whose first line is `user_id:token item_id:token rating:float timestamp:float`."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file, delimiter="\t")
        columns = [column.partition(":")[0] for column in next(rows)]
        user, item, time = (columns.index(name) for name in ("user_id", "item_id", "timestamp"))
        events = sorted((float(row[time]), row[user], row[item]) for row in rows)
    return _numbered([(user, item) for _, user, item in events])


def synthetic(users: int = 600, items: int = 400, seed: int = 0) -> Interactions:
    """Users with tastes, items that some tastes like, and a few items that everyone knows."""
    rng = np.random.default_rng(seed)
    tastes = 8
    likes = rng.gumbel(size=(users, tastes)).argmax(axis=1)
    kinds = rng.integers(0, tastes, items)
    known = np.log1p(1.0 / (1.0 + np.arange(items)))[rng.permutation(items)]
    events: list[tuple[float, int, int]] = []
    for user in range(users):
        appeal = 3.0 * (kinds == likes[user]) + known + rng.gumbel(size=items)
        watched = np.argsort(-appeal)[: rng.integers(8, 40)]
        events += zip(rng.random(len(watched)).tolist(), [user] * len(watched), watched.tolist(), strict=True)
    return _numbered([(user, item) for _, user, item in sorted(events)])


def _numbered(events: Sequence[tuple[object, object]]) -> Interactions:
    numbers: tuple[dict[object, int], dict[object, int]] = ({}, {})
    pairs = np.array(
        [[seen.setdefault(name, len(seen)) for seen, name in zip(numbers, pair, strict=True)] for pair in events]
    )
    last = {int(user): place for place, user in enumerate(pairs[:, 0])}
    users, items = map(len, numbers)
    places = np.array([last[user] for user in range(users)])
    return Interactions(
        users, items, np.delete(pairs, places, axis=0).astype(np.int32), pairs[places, 1].astype(np.int32)
    )
