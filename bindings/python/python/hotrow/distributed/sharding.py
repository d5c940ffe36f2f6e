"""What lands where: the shards of tables, and the ranks that own them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from hotrow.config import EmbeddingConfig
from hotrow.distributed.show import plan_text

__all__ = ["Kind", "Plan", "Shard", "Sharding", "TablePlan"]

Kind: TypeAlias = Literal["data_parallel", "table_wise", "column_wise", "row_wise", "table_row_wise"]
"""How a table is cut, by TorchRec's names."""


@dataclass(frozen=True)
class Sharding:
    """A wish for one table."""

    kind: Kind
    """How the table is cut."""
    ranks: Sequence[int] | None = None
    """Its owners, in the order of the shards; by default the planner chooses."""

    def __post_init__(self) -> None:
        """Refuses what no table can have."""
        check_kind(self.kind)
        if self.ranks is not None:
            object.__setattr__(self, "ranks", tuple(self.ranks))
            if not self.ranks or len(set(self.ranks)) != len(self.ranks):
                raise ValueError(f"the ranks of a sharding are one or more and all differ, and are not {self.ranks}")
            if self.kind == "table_wise" and len(self.ranks) != 1:
                raise ValueError(f"a table that is sharded table_wise has one owner, not {self.ranks}")
            if self.kind == "data_parallel":
                raise ValueError("a table that is data_parallel is on every rank: it takes no ranks")


@dataclass(frozen=True)
class Shard:
    """Some rows and columns of a table, at one rank."""

    table: str
    """The table's name."""
    rows: range
    """Which of its rows."""
    columns: range
    """Which of its columns."""
    owner: int
    """The rank that has them."""
    name: str
    """The shard's own name, unique at its owner: `table`, `table.c0`, `table.r0`."""
    bytes: int | None = field(default=None, compare=False)
    """The memory of its weights and its optimizer's state, where the planner has estimated it."""

    def __post_init__(self) -> None:
        """Refuses ranges with gaps."""
        for what, part in (("rows", self.rows), ("columns", self.columns)):
            if part.step != 1 or part.start < 0 or part.stop < part.start:
                raise ValueError(f"the {what} of a shard of {self.table!r} are a range without gaps, not {part}")


@dataclass(frozen=True)
class TablePlan:
    """How one table is cut."""

    name: str
    """The table's name."""
    kind: Kind
    """How it is cut."""
    num_embeddings: int
    """Rows of the whole table."""
    embedding_dim: int
    """Columns of the whole table."""
    shards: tuple[Shard, ...]
    """Its shards in the order of their rows or columns; of a `data_parallel` table the whole one for each rank."""
    why: str = field(default="", compare=False)
    """Why it is cut so."""

    def __post_init__(self) -> None:
        """Refuses shards that do not make up the table."""
        check_kind(self.kind)
        object.__setattr__(self, "shards", tuple(self.shards))
        owners = [shard.owner for shard in self.shards]
        if not owners or len(set(owners)) != len(owners):
            raise ValueError(f"table {self.name!r}: a rank owns one shard of a table at most; the owners are {owners}")
        if self.kind == "table_wise" and len(owners) != 1:
            raise ValueError(f"table {self.name!r} is table_wise: it has one shard, not {len(owners)}")
        for shard in self.shards:
            if shard.table != self.name:
                raise ValueError(f"table {self.name!r}: shard {shard.name!r} is of table {shard.table!r}")
        by_rows, by_columns = self.kind in ("row_wise", "table_row_wise"), self.kind == "column_wise"
        self._check("rows", self.num_embeddings, [shard.rows for shard in self.shards], by_rows)
        self._check("columns", self.embedding_dim, [shard.columns for shard in self.shards], by_columns)

    def _check(self, what: str, length: int, parts: list[range], is_cut: bool) -> None:
        """Refuses parts that do not follow each other up to the length, or are not the whole length."""
        end = 0
        for part in parts:
            if not is_cut and (part.start, part.stop) != (0, length):
                raise ValueError(f"table {self.name!r} is {self.kind}: a shard has {what} 0 to {length}, not {part}")
            if is_cut and part.start != end:
                raise ValueError(f"table {self.name!r}: {what} of a shard start at {part.start}, and should at {end}")
            if is_cut and not part and len(parts) > 1:
                raise ValueError(f"table {self.name!r}: a shard has no {what}: {part}")
            end = part.stop
        if end != length:
            raise ValueError(f"table {self.name!r}: the shards have {what} up to {end}, and the table has {length}")


@dataclass(frozen=True)
class Plan:
    """Where the shards of all tables are; `print` shows it as a table."""

    world_size: int
    """The number of ranks."""
    local_world_size: int
    """The ranks of one node: `local_world_size` consecutive ones."""
    tables: tuple[TablePlan, ...]
    """The tables in the order of their configurations."""

    def __post_init__(self) -> None:
        """Refuses owners that do not exist, and names that come twice."""
        object.__setattr__(self, "tables", tuple(self.tables))
        check_world(self.world_size, self.local_world_size)
        names = [table.name for table in self.tables]
        if len(set(names)) != len(names):
            raise ValueError(f"the names of tables differ; of {names} some are equal")
        for table in self.tables:
            self._check_owners(table)
        named = Counter((shard.owner, shard.name) for table in self.tables for shard in table.shards)
        for (owner, name), count in named.items():
            if count > 1:
                raise ValueError(f"rank {owner} owns {count} shards of the name {name!r}: rename one of their tables")

    def _check_owners(self, table: TablePlan) -> None:
        owners = [shard.owner for shard in table.shards]
        for owner in owners:
            if not 0 <= owner < self.world_size:
                raise ValueError(f"table {table.name!r}: rank {owner} is not one of {self.world_size} ranks")
        if table.kind == "data_parallel" and owners != list(range(self.world_size)):
            raise ValueError(f"table {table.name!r} is data_parallel: every rank has it in order, and not {owners}")
        if table.kind == "table_row_wise" and len({owner // self.local_world_size for owner in owners}) != 1:
            raise ValueError(
                f"table {table.name!r} is table_row_wise: its owners {owners} are ranks of one node, which are "
                f"{self.local_world_size} consecutive ones"
            )

    def __str__(self) -> str:
        """A line for each table and each rank."""
        return plan_text(self)

    def table(self, name: str) -> TablePlan:
        """How one table is cut."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(f"the plan has no table {name!r}")

    def shards_of(self, rank: int) -> list[Shard]:
        """The shards that a rank has, in the order of the tables."""
        return [shard for table in self.tables for shard in table.shards if shard.owner == rank]

    def check(self, configs: Iterable[EmbeddingConfig]) -> None:
        """Refuses configurations that the plan was not made for."""
        found = {config.name: (config.num_embeddings, config.embedding_dim) for config in configs}
        planned = {table.name: (table.num_embeddings, table.embedding_dim) for table in self.tables}
        if missing := [name for name in found if name not in planned]:
            raise ValueError(f"the plan has no table {missing[0]!r}")
        if missing := [name for name in planned if name not in found]:
            raise ValueError(f"the plan has a table {missing[0]!r}, and the configurations have none")
        for name, shape in found.items():
            if planned[name] != shape:
                rows, dim = planned[name]
                raise ValueError(f"table {name!r} is {shape[0]} x {shape[1]}, and the plan is for {rows} x {dim}")


def check_kind(kind: str) -> None:
    """Refuses a kind that there is not."""
    if kind not in get_args(Kind):
        raise ValueError(f"{kind!r} is no kind of sharding; there are {', '.join(get_args(Kind))}")


def check_world(world_size: int, local_world_size: int) -> None:
    """Refuses nodes that do not make up the world."""
    if world_size < 1 or local_world_size < 1 or world_size % local_world_size:
        raise ValueError(f"{world_size} ranks are not nodes of {local_world_size} ranks each")
