"""An exchange of messages in which any rank may refuse."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hotrow import _native
from hotrow.distributed.comm import Comm, RankError
from hotrow.distributed.traffic import Traffic, What

__all__ = ["Message", "exchange", "framed", "together", "unframed"]

Message = NDArray[np.uint8]

Kept = TypeVar("Kept")

LENGTH = 8
"""Bytes of a length in a frame."""


def exchange(
    comm: Comm, traffic: Traffic, what: What, prepare: Callable[[], tuple[Kept, Sequence[Message]]]
) -> tuple[Kept, list[Message]]:
    """Sends each rank the message that `prepare` has for it; returns what else that has, and what the ranks sent.

    Where `prepare` fails, every other rank is told so in place of its message, and the error goes on. So all ranks
    leave this together: either all have their messages, or none has.

    Raises:
        RankError: Another rank has failed to prepare its messages.
        CommError: The messages could not be carried.
    """
    try:
        kept, messages = prepare()
    except Exception as error:
        comm.all_to_all([_native.refusal(f"{type(error).__name__}: {error}")] * comm.size)
        raise
    # What a rank sends itself needs no carrying.
    own = messages[comm.rank]
    parts = [message if rank != comm.rank else message[:0] for rank, message in enumerate(messages)]
    traffic.add(what, sum(part.nbytes for part in parts), comm.size - 1)
    received = comm.all_to_all(parts)
    received[comm.rank] = own
    for rank, message in enumerate(received):
        reason = _native.refused(message)
        if reason is not None:
            raise RankError(rank, reason)
    return kept, received


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
