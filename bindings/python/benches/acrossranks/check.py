"""Whether ranks have what one process has, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from hotrow.distributed import Comm, ShardedEmbeddingBagCollection

from acrossranks.batches import ALL, Batches, Share


def first_step(comm: Comm, plain: Any, sharded: ShardedEmbeddingBagCollection, batches: Batches, share: Share) -> None:
    """Makes the first step of both; `plain` is rank 0's, and the others have none.

    Raises:
        AssertionError: Outputs or tables differ.
    """
    batch = batches.batch(0, share)
    output = sharded.forward(batches.keys, batch.values, lengths=batch.lengths)
    sharded.backward(batches.grad_of(share))
    outputs = comm.all_gather(output)
    if plain is not None:
        batch = batches.batch(0, ALL)
        wanted = plain.forward(batches.keys, batch.values, lengths=batch.lengths)
        plain.backward(batches.grad)
        _same(np.concatenate(outputs), wanted, "the outputs")
    for config in batches.configs():
        table = sharded.gather_table(config.name)
        if plain is not None:
            _same(table, plain.table(config.name), f"the rows of {config.name} after a step")


def _same(got: Any, wanted: Any, what: str) -> None:
    if got.shape != wanted.shape or got.tobytes() != np.ascontiguousarray(wanted).tobytes():
        raise AssertionError(f"{what} are not those of one process")
