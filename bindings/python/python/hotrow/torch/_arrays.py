"""Tensors as the arrays that the engine reads and writes, and arrays as tensors: without a copy unless it is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hotrow import Table
from hotrow.typing import Element

_NATIVE = (torch.float32, torch.float16)
_ELEMENTS: dict[torch.dtype, Element] = {
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}
_IDS = (torch.int64, torch.int32)


def table_of(weight: Tensor) -> Any:
    """A weight as a table that shares its memory.

    A weight whose rows the engine cannot walk (a transposed one) is copied, so this is for reading: `table_to_write`
    refuses it.
    """
    dtype = weight.dtype
    if weight.requires_grad:
        weight = weight.detach()
    if dtype is torch.float32 or dtype is torch.float16:
        array = weight.numpy()
    elif dtype is torch.bfloat16:
        array = weight.view(torch.uint16).numpy()
    else:
        raise TypeError(f"weight must be of float32, float16 or bfloat16, and is of {dtype}: use torch.nn for it")
    # Asking for strides takes longer than asking this, which is nearly always so.
    if not weight.is_contiguous() or weight.dim() != 2:
        array = _walkable(array)
    # NumPy has no bfloat16 of its own, so its bits go by another name there.
    return Table(array, dtype="bfloat16") if dtype is torch.bfloat16 else array


def _walkable(array: Any) -> Any:
    if array.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    if array.strides[1] != array.itemsize or array.strides[0] < array.strides[1] * array.shape[1]:
        return np.ascontiguousarray(array)
    return array


def table_to_write(weight: Tensor) -> Any:
    """A weight as a table that shares its memory, or an error."""
    if weight.dim() == 2 and weight.numel() > 0:
        down, across = weight.stride()
        if across != 1 or down < weight.shape[1]:
            raise ValueError(
                "a fused update writes the weight in place, which needs each row's values side by side; "
                f"its strides are {tuple(weight.stride())}"
            )
    return table_of(weight)


def element_of(dtype: torch.dtype) -> Element:
    """The engine's name of a table's type."""
    return _ELEMENTS[dtype]


def rows_of(array: Any, dtype: torch.dtype) -> Tensor:
    """Rows of a table of this type as a tensor that shares their memory."""
    rows = torch.from_numpy(array)
    return rows.view(torch.bfloat16) if dtype is torch.bfloat16 else rows


def floats_of(numbers: Tensor) -> Any:
    """Numbers as an array. Those that NumPy or the engine have not are copied into float32: bfloat16 loses nothing."""
    numbers = numbers.detach()
    return (numbers if numbers.dtype in _NATIVE else numbers.float()).numpy()


def gradient_of(grad: Tensor) -> tuple[Any, str | None]:
    """A gradient as an array, and the name of its type where the array does not tell."""
    if grad.dtype is torch.bfloat16:
        return grad.detach().view(torch.uint16).numpy(), "bfloat16"
    return floats_of(grad), None


def check_cpu(*tensors: Tensor | None) -> None:
    """Refuses tensors that are not in the memory of the CPU: the engine cannot reach them."""
    for tensor in tensors:
        if tensor is not None and not (tensor.is_cpu and tensor.layout is torch.strided):
            raise RuntimeError(
                f"hotrow works on dense CPU tensors, and was given one on {tensor.device} of layout {tensor.layout}: "
                "move it with .cpu(), or use torch.nn there"
            )


def check_ids(ids: Tensor, what: str = "ids") -> None:
    """Refuses ids that are not whole numbers of 32 or 64 bits, as PyTorch does."""
    if ids.dtype not in _IDS:
        raise TypeError(f"{what} must be of int64 or int32, and are of {ids.dtype}")
