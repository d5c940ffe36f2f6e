"""Optimizers that backward passes find by a number: operators take tensors and numbers, and no other objects."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import hotrow

_numbers = itertools.count(1)


class Registered:
    """An optimizer of the engine and its number. A copy, or what a pickle is read into, has a number of its own."""

    __slots__ = ("__weakref__", "native", "number")

    def __init__(self, native: hotrow.Optimizer) -> None:
        self.native = native
        self.number = next(_numbers)
        _known[self.number] = self

    def __deepcopy__(self, memo: dict[int, Any]) -> Registered:
        return Registered(self.native.__deepcopy__(memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return Registered, (self.native,)


# Weak: an optimizer ends with the layer that has it.
_known: WeakValueDictionary[int, Registered] = WeakValueDictionary()


def register(rule: str, rows: int, dim: int, options: Mapping[str, Any] | None) -> Registered:
    """A new optimizer for a table of this shape."""
    return Registered(hotrow.Optimizer(rule, rows, dim, **(options or {})))


def of(number: int) -> Registered:
    """The optimizer that has this number."""
    found = _known.get(number)
    if found is None:
        raise RuntimeError("the layer whose fused optimizer this backward pass needs does not exist any more")
    return found
