"""The JAX backend: arrays are read where they lie; inside of a trace the host is called back."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import JAXSparse

import hotrow
from hotrow.keras._backend import no_sparse_ids, no_training
from hotrow.typing import Policy

_INT32 = np.iinfo(np.int32)


def lookup(table: Any, ids: Any, policy: Policy, _trainable: bool) -> Any:
    """Rows of `table`."""
    if isinstance(ids, JAXSparse):
        raise no_sparse_ids()
    if isinstance(table, jax.core.Tracer) or isinstance(ids, jax.core.Tracer):
        return _traced(policy)(table, ids)
    devices = table.devices()
    if len(devices) > 1 or next(iter(devices)).platform != "cpu":
        raise ValueError(f"hotrow.keras.Embedding reads tables in the memory of one CPU, and this one is on {devices}")
    return jnp.asarray(_rows(table, ids, policy))


def _rows(table: Any, ids: Any, policy: Policy) -> Any:
    numbers = np.asarray(ids)
    if policy == "keras3_jax" and numbers.dtype == np.int64:
        # With jax_enable_x64, Keras keeps int64 as it is. The policy was recorded without and wraps to int32.
        numbers = np.clip(numbers, _INT32.min, _INT32.max)
    return hotrow.gather(np.asarray(table), numbers, policy=policy)


@cache
def _traced(policy: Policy) -> Any:
    """The lookup as a function that can be traced, and says that it has no gradient when one is asked for."""

    def host(table: Any, ids: Any) -> Any:
        return _rows(table, ids, policy)

    @jax.custom_vjp  # type: ignore[untyped-decorator, unused-ignore]
    def rows(table: Any, ids: Any) -> Any:
        shape = jax.ShapeDtypeStruct((*ids.shape, table.shape[1]), table.dtype)
        return jax.pure_callback(host, shape, table, ids, vmap_method="sequential")

    def forward(_table: Any, _ids: Any) -> Any:
        raise no_training()

    def backward(_saved: Any, _grad: Any) -> Any:
        raise no_training()

    rows.defvjp(forward, backward)
    return rows
