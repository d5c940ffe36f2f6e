"""What a rank has sent."""

from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

__all__ = ["Counts", "Traffic"]

What: TypeAlias = Literal["ids", "vectors", "gradients"]
"""What a message is about: ids of a forward, vectors that answer them, gradients of a backward."""


@dataclass
class Counts:
    """Bytes sent to other ranks; what stays on the rank is not counted."""

    ids: int = 0
    """Bytes of ids, with lengths and weights."""
    vectors: int = 0
    """Bytes of vectors."""
    gradients: int = 0
    """Bytes of gradients; those of data_parallel tables come with their ids."""
    messages: int = 0
    """How many messages that were."""

    @property
    def bytes(self) -> int:
        """All bytes."""
        return self.ids + self.vectors + self.gradients

    def add(self, what: What, sent: int, messages: int) -> None:
        """Counts messages of so many bytes."""
        setattr(self, what, getattr(self, what) + sent)
        self.messages += messages

    def clear(self) -> None:
        """Counts from 0 again."""
        for each in fields(self):
            setattr(self, each.name, 0)


@dataclass
class Traffic:
    """What a sharded collection has sent from this rank."""

    last: Counts = field(default_factory=Counts)
    """In the last forward and the backward that followed it."""
    total: Counts = field(default_factory=Counts)
    """In all."""

    def add(self, what: What, sent: int, messages: int) -> None:
        """Counts messages of so many bytes."""
        self.last.add(what, sent, messages)
        self.total.add(what, sent, messages)
