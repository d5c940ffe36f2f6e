"""What the tests of hotrow.torch share: random lookups, and comparison with torch.nn.functional in float64."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as theirs
from hypothesis import strategies as st
from torch import Tensor

RULES = ["sgd", "adagrad", "rowwise_adagrad", "adam", "adamw", "partial_rowwise_adam", "rmsprop", "ftrl"]
TYPES = [torch.float32, torch.float16, torch.bfloat16]
# One rounding of a result, and of the products and sums before it in float32.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


@dataclasses.dataclass
class Case:
    """Bags of ids, and a table to look them up in."""

    weight: Tensor
    ids: Tensor
    offsets: Tensor | None
    include_last_offset: bool

    @property
    def cut(self) -> dict[str, Any]:
        """How the ids are cut, by PyTorch's names."""
        return {"offsets": self.offsets, "include_last_offset": self.include_last_offset}


def ids_like(generator: torch.Generator, rows: int, shape: tuple[int, ...], dtype: torch.dtype = torch.int64) -> Tensor:
    return torch.randint(0, rows, shape, generator=generator).to(dtype)


@st.composite
def cases(draw: st.DrawFn, dtypes: list[torch.dtype] = TYPES) -> Case:
    """Tables of any small shape and bags of any lengths, empty ones included."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    rows, dim = draw(st.integers(1, 30)), draw(st.sampled_from([1, 2, 3, 7, 8, 15, 16, 17, 33]))
    weight = torch.randn(rows, dim, generator=generator).to(draw(st.sampled_from(dtypes)))
    whole = draw(st.sampled_from([torch.int64, torch.int32]))
    if draw(st.booleans()):
        shape = (draw(st.integers(0, 6)), draw(st.integers(1, 6)))
        return Case(weight, ids_like(generator, rows, shape, whole), None, False)
    lengths = torch.tensor(draw(st.lists(st.integers(0, 5), min_size=1, max_size=8)))
    ends = lengths.cumsum(0)
    ids = ids_like(generator, rows, (int(ends[-1]),), whole)
    bounds = torch.cat([torch.zeros(1, dtype=torch.int64), ends]).to(whole)
    last = draw(st.booleans())
    return Case(weight, ids, bounds if last else bounds[:-1], last)


def assert_close(ours: Tensor, exact: Tensor, dtype: torch.dtype = torch.float32) -> None:
    """Ours equals what was computed in float64, but for rounding."""
    tolerance = TOLERANCE[dtype]
    scale = exact.abs().max().item() if exact.numel() else 0.0
    torch.testing.assert_close(
        ours.to(torch.float64), exact.to(torch.float64), rtol=tolerance, atol=tolerance * max(scale, 1e-6)
    )


def double(tensor: Tensor) -> Tensor:
    """The same numbers in float64, to be differentiated."""
    return tensor.detach().double().requires_grad_()


__all__ = ["RULES", "TOLERANCE", "TYPES", "Case", "assert_close", "cases", "double", "ids_like", "theirs"]
