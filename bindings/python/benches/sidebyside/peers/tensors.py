"""Arrays and tensors of PyTorch that share memory."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import torch


def tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    """The tensor on an array's memory."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def array(given: torch.Tensor) -> npt.NDArray[Any]:
    """The array on a tensor's memory."""
    plain = given.detach()
    if plain.dtype == torch.bfloat16:
        return plain.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    result: npt.NDArray[Any] = plain.numpy()
    return result
