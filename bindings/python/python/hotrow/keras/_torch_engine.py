"""What PyTorch's autograd engine says about a backward that is running, and what must be said to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from hotrow.keras._torch import table_of


def number() -> int:
    """The number of the backward that is running."""
    found: int = torch._C._current_graph_task_id()
    return found


def at_the_end(function: Callable[[], None]) -> None:
    """Calls `function` when all gradients of the running backward are there, before it returns."""
    torch.autograd.Variable._execution_engine.queue_callback(function)


def change(tensor: torch.Tensor, function: Callable[[Any], None]) -> None:
    """Changes a tensor's memory, and has PyTorch know, which then tells whoever saved the tensor for backward."""
    function(table_of(tensor))
    torch.autograd.graph.increment_version(tensor)
