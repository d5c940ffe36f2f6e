"""Messages, and what ranks tell each other beside them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from hotrow.distributed.comm import Comm

__all__ = ["Message", "framed", "together", "unframed"]

Message = NDArray[np.uint8]

LENGTH = 8
"""Bytes of a length in a frame."""


@contextmanager
def together(comm: Comm) -> Iterator[None]:
    """What every rank does for itself: where one fails, its error goes on, and the others raise, too.

    Raises:
        ValueError: Another rank has failed.
    """
    try:
        yield
    except Exception as error:
        comm.all_gather(f"{type(error).__name__}: {error}")
        raise
    for rank, reason in enumerate(comm.all_gather(None)):
        if reason is not None:
            raise ValueError(f"rank {rank} could not make its shards: {reason}")


def framed(messages: Sequence[Message]) -> Message:
    """Messages one behind the other, each after its length."""
    parts = []
    for message in messages:
        parts += [np.frombuffer(message.nbytes.to_bytes(LENGTH, "little"), np.uint8), message]
    return np.concatenate(parts) if parts else np.empty(0, np.uint8)


def unframed(frame: Message, rank: int) -> list[Message]:
    """The messages of a frame, which came from this rank."""
    messages, start = [], 0
    while start < len(frame):
        end = start + LENGTH
        length = int.from_bytes(frame[start:end].tobytes(), "little")
        if end > len(frame) or length > len(frame) - end:
            raise ValueError(f"the message of rank {rank} cannot be read: it ends too early")
        messages.append(frame[end : end + length])
        start = end + length
    return messages
