"""The exchanges of one call, each of which any rank may refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from types import TracebackType
from typing import Any, TypeAlias

from hotrow import _native
from hotrow.distributed.comm import Comm, RankError
from hotrow.distributed.messages import Message
from hotrow.distributed.traffic import Traffic, What

__all__ = ["Conversation", "Reply"]

Reply: TypeAlias = Callable[[], list[Message]]
"""Waits for what the ranks have sent, and returns it."""


class Conversation:
    """So many exchanges, which all ranks have in the same order.

    A rank that fails before it has sent all of its messages tells every other rank so, in place of the next ones. No
    exchange follows one that was refused: so all ranks leave the conversation together.

    With a carrier, which has one thread, messages travel there while the caller goes on.
    """

    def __init__(self, comm: Comm, traffic: Traffic, exchanges: int, carrier: Executor | None = None) -> None:
        """Nothing is sent yet."""
        self._comm = comm
        self._traffic = traffic
        self._left = exchanges
        self._carrier = carrier
        self._failed: Exception | None = None
        self._started: list[Future[list[Message]]] = []

    def send(self, what: What, messages: Sequence[Message]) -> Reply:
        """Sends each rank its message; the reply is what the ranks have sent.

        Raises:
            RankError: By the reply: another rank has failed to prepare its messages.
            CommError: By the reply: the messages could not be carried.
        """
        self._left -= 1
        # What a rank sends itself needs no carrying.
        own = messages[self._comm.rank]
        parts = [message if rank != self._comm.rank else message[:0] for rank, message in enumerate(messages)]
        self._traffic.add(what, sum(part.nbytes for part in parts), self._comm.size - 1)
        reply = self._start(parts)

        def received() -> list[Message]:
            messages = reply.result()
            messages[self._comm.rank] = own
            return messages

        return received

    def __enter__(self) -> Conversation:
        """The conversation itself."""
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        """Tells the others of an error that they wait for, and leaves nothing under way."""
        if isinstance(error, Exception) and self._left:
            self._start([_native.refusal(f"{type(error).__name__}: {error}")] * self._comm.size)
        if isinstance(error, Exception) or error is None:
            wait(self._started)

    def _start(self, parts: list[Message]) -> Future[list[Message]]:
        if self._carrier is not None:
            started = self._carrier.submit(self._carry, parts)
        else:
            started = Future()
            try:
                started.set_result(self._carry(parts))
            except Exception as error:
                started.set_exception(error)
        self._started.append(started)
        return started

    def _carry(self, parts: list[Message]) -> list[Message]:
        if self._failed is not None:
            raise self._failed
        try:
            received = self._comm.all_to_all(parts)
            for rank, message in enumerate(received):
                reason = _native.refused(message)
                if reason is not None and rank != self._comm.rank:
                    raise RankError(rank, reason)
        except Exception as error:
            self._failed = error
            raise
        return received
