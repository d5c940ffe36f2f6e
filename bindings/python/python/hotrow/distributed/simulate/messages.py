"""How long messages are."""

from __future__ import annotations

#: Bytes of a message with nothing in it.
HEADER = 8
#: The same of what is sent for tables that all ranks have: ids and gradients, each behind its length.
COPIES = 2 * (8 + HEADER)

# A number that stands for all of a list, where all are equal: its width, itself, and their count.
_ONE = 9
_BYTE, _SHORT = 1 << 8, 1 << 16


def lengths(bags: float, alike: bool) -> float:
    """Bytes of the lengths of a feature's bags, none of which has more than 255 ids."""
    return _ONE if alike else 1 + bags


def ids(count: float, distinct: float | None) -> float:
    """Bytes of a feature's ids: as they are, or the distinct ones and an index, where that is shorter."""
    # A byte says which form it is, and one that there are no weights.
    plain = 2 + 4 * count
    if distinct is None or distinct > min(_SHORT, count / 2):
        return plain
    index = count * (1 if distinct <= _BYTE else 2)
    return min(plain, 2 + 4 + 4 * distinct + 1 + index)
