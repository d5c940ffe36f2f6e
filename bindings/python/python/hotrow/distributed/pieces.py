"""Tables cut into shards."""

from collections.abc import Callable, Sequence

from hotrow.config import EmbeddingConfig
from hotrow.distributed.sharding import Kind, Shard, TablePlan

__all__ = ["LINE", "cut", "cut_columns", "make_table"]

LINE = 16
"""Columns that stay together if they can: a cache line of float32."""


def make_table(
    config: EmbeddingConfig, kind: Kind, ranks: Sequence[int], row_bytes: Callable[[int], int], why: str = ""
) -> TablePlan:
    """A table cut into equal pieces for these ranks; ranks for which nothing remains have none."""
    name, rows, columns = config.name, range(config.num_embeddings), range(config.embedding_dim)
    if kind == "column_wise":
        pieces = [(f"{name}.c{i}", rows, piece) for i, piece in enumerate(cut_columns(len(columns), len(ranks)))]
    elif kind in ("row_wise", "table_row_wise"):
        pieces = [
            (f"{name}.r{i}", piece, columns) for i, piece in enumerate(cut(len(rows), -(-len(rows) // len(ranks))))
        ]
    else:
        pieces = [(name, rows, columns)] * len(ranks)
    shards = tuple(
        Shard(name, of_rows, of_columns, rank, own, len(of_rows) * row_bytes(len(of_columns)))
        for rank, (own, of_rows, of_columns) in zip(ranks, pieces, strict=False)
    )
    return TablePlan(name, kind, len(rows), len(columns), shards, why)


def cut_columns(columns: int, pieces: int) -> list[range]:
    """Pieces of whole cache lines, if there are as many then."""
    block = -(-columns // pieces)
    lines = cut(columns, -(-block // LINE) * LINE)
    return lines if len(lines) == pieces else cut(columns, block)


def cut(length: int, block: int) -> list[range]:
    """Ranges of this length, the last one shorter; none is empty unless `length` is 0."""
    starts = range(0, length, max(1, block))
    return [range(start, min(start + block, length)) for start in starts] or [range(0)]
