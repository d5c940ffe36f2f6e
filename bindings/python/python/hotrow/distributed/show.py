"""Plans as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hotrow.distributed.sharding import Plan, TablePlan

__all__ = ["bytes_text", "plan_text", "ranks_text"]

SHOWN = 8
"""Numbers of a list that are shown, and ranks that have a line of their own."""
KIBI = 1024


def plan_text(plan: Plan) -> str:
    """A line for each table, with the reason, and one for each rank, with its memory."""
    head = ("table", "kind", "rows x dim", "shards", "at ranks", "bytes", "why")
    tables = [table_line(table) for table in plan.tables]
    held = [[shard.bytes for shard in plan.shards_of(rank)] for rank in range(plan.world_size)]
    ranks = [(f"rank {rank}", f"{len(sizes)} shards", total_text(sizes)) for rank, sizes in enumerate(held[:SHOWN])]
    if len(held) > SHOWN:
        most, least = (chosen(held, key=lambda sizes: sum(filter(None, sizes))) for chosen in (max, min))
        ranks = [("ranks", str(len(held)), f"{total_text(least)} to {total_text(most)} each")]
    return "\n".join([*aligned([head, *tables]), "", *aligned(ranks)])


def table_line(table: TablePlan) -> tuple[str, ...]:
    """A table's fields."""
    return (
        table.name,
        table.kind,
        f"{table.num_embeddings:,} x {table.embedding_dim}",
        str(len(table.shards)),
        ranks_text([shard.owner for shard in table.shards]),
        total_text([shard.bytes for shard in table.shards]),
        table.why,
    )


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """The fields under each other."""
    widths = [max(len(field) for field in column) for column in zip(*lines, strict=True)]
    return ["  ".join(field.ljust(width) for field, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def ranks_text(ranks: Sequence[int]) -> str:
    """Ranks in words: consecutive ones as `0..3`, many shortened."""
    first, last = ranks[0], ranks[-1]
    if last - first > 1 and list(ranks) == list(range(first, last + 1)):
        return f"{first}..{last}"
    shown = ", ".join(str(rank) for rank in ranks[:SHOWN])
    return shown if len(ranks) <= SHOWN else f"{shown} and {len(ranks) - SHOWN} more"


def total_text(sizes: Sequence[int | None]) -> str:
    """The sum, if all are known."""
    known = [size for size in sizes if size is not None]
    return bytes_text(sum(known)) if len(known) == len(sizes) else "unknown"


def bytes_text(size: float) -> str:
    """So many bytes, in the unit that leaves one to three digits before the point."""
    if size < KIBI or size == float("inf"):
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= KIBI
        if size < KIBI:
            return f"{size:.1f} {unit}"
    return f"{size / KIBI:,.1f} PiB"
