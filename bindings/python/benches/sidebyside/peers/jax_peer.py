"""JAX, compiled."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sidebyside.contender import ALLOCATED, Contender
from sidebyside.data import Data

LIBRARY = "jax"


def start(threads: int) -> dict[str, str]:
    """Its threads were set by the environment."""
    del threads
    return {"jax": jax.__version__}


def contenders(data: Data) -> Iterator[Contender]:
    """Its gather."""
    if data.workload.op != "gather":
        return
    table, dtype = _table(data.table), data.out_dtype

    def gathered(table: Any, ids: Any) -> Any:
        return jnp.take(table, ids, axis=0).astype(dtype)

    take = jax.jit(gathered)

    def call(ids: Any) -> Any:
        return take(table, ids).block_until_ready()

    # Its integers have 32 bits unless it is told otherwise; what the conversion costs is not counted.
    calls = [partial(call, jnp.asarray(batch.ids.astype(np.int32))) for batch in data.batches]
    yield Contender(LIBRARY, "jnp.take", ALLOCATED, calls, np.asarray)


def _table(array: npt.NDArray[Any]) -> Any:
    """On the same memory if DLPack of NumPy knows the type, and a copy otherwise."""
    if array.dtype in (np.float32, np.float16):
        return jnp.from_dlpack(array)
    return jnp.asarray(array)
