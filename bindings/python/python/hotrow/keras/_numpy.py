"""The NumPy backend: its variables are arrays."""

from __future__ import annotations

from typing import Any

import hotrow
from hotrow.typing import Policy


def lookup(table: Any, ids: Any, policy: Policy, _trainable: bool) -> Any:
    """Rows of `table`."""
    return hotrow.gather(table, ids, policy=policy)
