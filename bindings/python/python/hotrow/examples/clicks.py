"""Who clicked on what: from files of libFM's format, or made up in the likeness of Criteo's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]

#: How many values each of Criteo's 26 features has in the Kaggle data set.
CRITEO = (
    *(1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194),
    *(27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572),
)
#: How many numbers each of its examples has.
NUMBERS = 13


@dataclass(frozen=True)
class Clicks:
    """Examples in the order in which they are trained; each feature of an example is a bag of ids.

    >>> data = synthetic(examples=100, rows=50, seed=0)
    >>> len(data), len(data.rows), data.rows["f2"]
    (100, 26, 50)
    >>> part = data.part(10, 14)
    >>> part.numbers.shape, part.lengths["f0"].tolist(), len(part.ids["f0"])
    ((4, 13), [1, 1, 1, 1], 4)
    """

    #: The rows of each feature's table.
    rows: dict[str, int]
    numbers: Floats
    #: By feature: the ids of all examples.
    ids: dict[str, Ids]
    #: By feature: how many of the ids are each example's.
    lengths: dict[str, Ids]
    #: 1 where there was a click.
    labels: Floats
    #: The scores that nobody can better: what the clicks were drawn by, where that is known.
    planted: Floats | None = None

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self.labels)

    def part(self, start: int, stop: int) -> Clicks:
        """Some examples in a row."""
        ids, lengths = {}, {}
        for name, each in self.lengths.items():
            first = int(each[:start].sum())
            lengths[name] = each[start:stop]
            ids[name] = self.ids[name][first : first + int(lengths[name].sum())]
        planted = None if self.planted is None else self.planted[start:stop]
        return Clicks(self.rows, self.numbers[start:stop], ids, lengths, self.labels[start:stop], planted)

    def parts(self, size: int) -> list[Clicks]:
        """All examples, `size` at a time."""
        return [self.part(start, min(start + size, len(self))) for start in range(0, len(self), size)]

    def split(self, share: float) -> tuple[Clicks, Clicks]:
        """The first examples, and this share of all that come last."""
        cut = len(self) - round(len(self) * share)
        return self.part(0, cut), self.part(cut, len(self))


def synthetic(examples: int = 200_000, rows: int = 2_000, seed: int = 0) -> Clicks:
    """13 numbers and 26 features like Criteo's, with at most `rows` values each.

    Popular values come up often, as one over their rank. The last four features are bags of up to four ids, some empty.
    A factorization machine is planted: each value and each number has a vector, and an example's score is that of their
    inner products.
    """
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal((examples, NUMBERS), dtype=np.float32)
    names = [f"f{place}" for place in range(len(CRITEO))]
    sizes = dict(zip(names, (min(count, rows) for count in CRITEO), strict=True))
    ids, lengths = {}, {}
    linear = numbers @ rng.standard_normal(NUMBERS)
    total, squares = np.zeros((examples, 4)), np.zeros((examples, 4))
    for place, (name, size) in enumerate(sizes.items()):
        bags = place >= len(names) - 4
        lengths[name] = rng.integers(0, 5, examples, dtype=np.int32) if bags else np.ones(examples, np.int32)
        chance = rng.random(int(lengths[name].sum()))
        ids[name] = (np.exp(chance * np.log(size + 1)) - 1).astype(np.int32).clip(0, size - 1)
        # What each id has to say, added up by example.
        vectors = rng.standard_normal((size, 5))[ids[name]]
        added = np.zeros((examples, 5))
        np.add.at(added, np.repeat(np.arange(examples), lengths[name]), vectors)
        linear += added[:, 0]
        total += added[:, 1:]
        squares += added[:, 1:] ** 2
    pairs = (total**2 - squares).sum(axis=1)
    score = linear / linear.std() + pairs / pairs.std() / 4
    # About a quarter of the examples are clicks.
    score = 2.5 * (score - score.mean()) - 2
    labels = (rng.random(examples) < 1 / (1 + np.exp(-score))).astype(np.float32)
    return Clicks(sizes, numbers, ids, lengths, labels, score.astype(np.float32))


def read(paths: Sequence[str | Path], seed: int = 0) -> Clicks:
    """Reads lines of a label (1 or -1) and as many `feature:1` each, such as Frappe's, and shuffles them.

    Each column of features has a table of its own. There are no numbers in the place of which there is a 1.
    """
    lines = [line.split() for path in paths for line in Path(path).read_text(encoding="ascii").splitlines()]
    if not lines or any(len(line) != len(lines[0]) for line in lines):
        raise ValueError("the files have lines, and each has as many features as the first one")
    order = np.random.default_rng(seed).permutation(len(lines))
    labels = np.array([float(line[0]) > 0 for line in lines], np.float32)[order]
    rows, ids = {}, {}
    for column in range(1, len(lines[0])):
        known, numbered = np.unique([int(line[column].partition(":")[0]) for line in lines], return_inverse=True)
        rows[f"f{column - 1}"] = len(known)
        ids[f"f{column - 1}"] = numbered.astype(np.int32)[order]
    one = np.ones(len(lines), np.int32)
    return Clicks(rows, np.ones((len(lines), 1), np.float32), ids, dict.fromkeys(rows, one), labels)


def auc(labels: Floats, scores: Floats) -> float:
    """How often an example with a click scores higher than one without: equal scores count half.

    >>> auc(np.float32([0, 1, 1, 0]), np.float32([0.1, 0.9, 0.4, 0.4]))
    0.875
    """
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    clicks = int(labels.sum())
    others = len(labels) - clicks
    if not clicks or not others:
        return float("nan")
    return float((ranks[labels == 1].sum() - clicks * (clicks + 1) / 2) / (clicks * others))
