"""Whether a call may go to the engine directly, or has to go through PyTorch's dispatcher.

A call through a registered operator takes 16 µs here, mostly in PyTorch's Python wrappers, and a lookup of one row half
a microsecond. So ordinary eager calls skip the dispatcher. Whatever changes what an operation means (compilation,
tracing, functorch's transforms, modes, subclasses of tensors, forward-mode differentiation) is told apart here and goes
the long way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

_is_compiling = torch.compiler.is_compiling
_transforms_active = torch._C._are_functorch_transforms_active
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_unpack: Any = forward_ad.unpack_dual
_tracing_state = torch._C._get_tracing_state


def is_plain(first: Tensor, second: Tensor) -> bool:
    """Whether these are ordinary tensors of the CPU, and nothing listens to what is done with them."""
    if _is_compiling():
        return False
    kind, other = type(first), type(second)
    return (
        (kind is Tensor or kind is Parameter)
        and (other is Tensor or other is Parameter)
        and first.is_cpu
        and second.is_cpu
        and not _transforms_active()
        and not _dispatch_modes()
        and not _function_modes()
        and _tracing_state() is None
        and forward_ad._current_level < 0
    )


def check_transforms(*tensors: Tensor | None) -> None:
    """Refuses functorch's transforms, and tensors with a tangent, which PyTorch would drop without a word."""
    if _is_compiling():
        return
    if _transforms_active():
        raise NotImplementedError("hotrow's lookups do not go through torch.func and torch.vmap: use torch.nn there")
    if forward_ad._current_level < 0:
        return
    for tensor in tensors:
        if tensor is not None and _unpack(tensor).tangent is not None:
            raise NotImplementedError("hotrow's lookups have no derivative in forward mode: use torch.nn there")
