"""Training steps of a collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from acrossranks.batches import Batches, Share


def stepper(collection: Any, batches: Batches, share: Share) -> Callable[[int], None]:
    """Makes the step of a number: forward, and backward by the gradient that is given."""
    keys, every, grad = batches.keys, batches.batches(share), batches.grad_of(share)

    def step(number: int) -> None:
        batch = every[number % len(every)]
        collection.forward(keys, batch.values, lengths=batch.lengths)
        collection.backward(grad)

    return step
