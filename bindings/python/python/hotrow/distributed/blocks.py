"""Which rank writes which rows of a table, and how rows that are cut by columns are put together for that."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from hotrow.distributed.comm import Comm
from hotrow.distributed.pieces import cut
from hotrow.distributed.sharding import TablePlan

__all__ = ["BLOCK_BYTES", "Cells", "assembled", "blocks", "exchange_columns", "writers"]

Cells = NDArray[np.uint8]
"""Rows as bytes."""

BLOCK_BYTES = 64 << 20
"""About the memory of the rows that a rank puts together at a time."""


def writers(table: TablePlan, number: int, ranks: int) -> dict[int, range]:
    """The rows of table `number` that each rank writes: every row once."""
    if table.kind == "data_parallel":
        # One of them all, and not the same one for every table.
        return {number % ranks: range(table.num_embeddings)}
    if table.kind == "column_wise":
        owners = [shard.owner for shard in table.shards]
        return dict(zip(owners, cut(table.num_embeddings, -(-table.num_embeddings // len(owners))), strict=False))
    return {shard.owner: shard.rows for shard in table.shards}


def blocks(rows: range, row_bytes: int, block_bytes: int) -> Iterator[range]:
    """The rows, some at a time."""
    step = max(1, block_bytes // max(1, row_bytes))
    for start in range(rows.start, rows.stop, step):
        yield range(start, min(start + step, rows.stop))


def exchange_columns(
    comm: Comm,
    table: TablePlan,
    writing: Mapping[int, range],
    *,
    cell_bytes: int,
    block_bytes: int,
    own: Callable[[range], Cells],
) -> Iterator[list[Cells]]:
    """Sends the ranks that write rows of a table that is cut by columns all columns of them, a block of rows at a time.

    Yields what every rank has sent for a block, at ranks that write it. All ranks call this, and go through it to the
    end. `own` gives this rank's columns of some rows; a rank that has none is not asked.
    """
    row_bytes = table.embedding_dim * cell_bytes
    steps = {rank: list(blocks(rows, row_bytes, block_bytes)) for rank, rows in writing.items()}
    owns = comm.rank in [shard.owner for shard in table.shards]
    empty = np.empty(0, np.uint8)
    for step in range(max(map(len, steps.values()), default=0)):
        now = {rank: each[step] for rank, each in steps.items() if step < len(each)}
        received = comm.all_to_all([own(now[rank]) if owns and rank in now else empty for rank in range(comm.size)])
        if comm.rank in now:
            yield received


def assembled(table: TablePlan, received: list[Cells], cell_bytes: int) -> Cells | None:
    """Whole rows, as bytes, of the columns that every rank has sent; `None` if one could not send its own."""
    first = table.shards[0]
    rows = received[first.owner].size // (len(first.columns) * cell_bytes)
    whole = np.empty((rows, table.embedding_dim * cell_bytes), np.uint8)
    for shard in table.shards:
        start, stop = shard.columns.start * cell_bytes, shard.columns.stop * cell_bytes
        if received[shard.owner].size != rows * (stop - start):
            return None
        whole[:, start:stop] = received[shard.owner].reshape(rows, -1)
    return whole
