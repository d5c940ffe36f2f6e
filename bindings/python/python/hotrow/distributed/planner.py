"""Which kind of sharding each table gets, and which ranks."""

from collections.abc import Iterable, Mapping, Sequence

from hotrow.config import EmbeddingBagConfig, EmbeddingConfig
from hotrow.distributed.cost import TableCost
from hotrow.distributed.optimizers import Optimizer, Optimizers, by_table, check_table, refusal
from hotrow.distributed.pieces import LINE, cut_columns, make_table
from hotrow.distributed.sharding import Kind, Plan, Sharding, TablePlan, check_world
from hotrow.distributed.show import bytes_text

__all__ = ["plan"]

SMALL = 1 << 20
"""The bytes of a table that may be on every rank."""
SMALL_SHARE = 0.01
"""It is, if that is so little of what a rank has to do."""

COSTLY = 2.0
"""From so many shares on a table is cut for the work's sake where that has a price: by rows where sums are in another
order then, by columns where all gradients go to each owner."""


def plan(
    configs: Iterable[EmbeddingConfig],
    *,
    world_size: int,
    local_world_size: int | None = None,
    memory: int | Sequence[int] | None = None,
    lookups: Mapping[str, float] | None = None,
    batch: int = 4096,
    optimizer: Optimizer | Optimizers | None = None,
    constraints: Mapping[str, Kind | Sharding] | None = None,
) -> Plan:
    """Proposes which rank owns what; `print` shows the plan as a table, with the reasons.

    A table stays whole if a rank has the memory for it and it is no more than a rank's fair share of all work: then
    results are those of one process, bit for bit. Else it is cut by columns if the optimizer allows it, which is as
    exact, and by rows otherwise, within a node if one suffices. Bags that are cut by rows are summed in another order,
    and where the optimizer looks at whole rows, all gradients go to each owner of columns: where memory does not ask
    for such cuts, only those tables get them that are twice a fair share or more, and rows that are not pooled are cut
    by rows first. Tables that no rank can hold are placed first, then those with the most work, where there is the
    least. Every rank has small ones that are not worth an exchange.

    Args:
        configs: The tables.
        world_size: The number of ranks.
        local_world_size: The ranks of one node, consecutive ones; by default all ranks are one node.
        memory: The bytes of each rank for tables and the state of their optimizers: for all ranks, or a list.
        lookups: The expected ids of an example by table, all features together; by default one for each feature.
        batch: The examples of each rank in a step.
        optimizer: A rule and its hyperparameters for all tables, or one for each by the table's name.
        constraints: The kinds, or kinds and ranks, that tables are to have: these are kept.

    Raises:
        ValueError: A table does not fit, or a constraint is one that no plan can keep.
    """
    configs = list(configs)
    local_world_size = world_size if local_world_size is None else local_world_size
    check_world(world_size, local_world_size)
    wishes = {name: as_sharding(wish) for name, wish in (constraints or {}).items()}
    check_names("constraints", wishes, configs)
    check_names("lookups", lookups or {}, configs)
    optimizers = by_table(optimizer, configs)
    check_names("optimizers", optimizers, configs)
    costs = [
        TableCost(config, optimizers.get(config.name), expected_lookups(config, lookups or {}), batch, world_size)
        for config in configs
    ]
    places = Places(memory_of_ranks(memory, world_size), local_world_size, sum(cost.work(cost.dim) for cost in costs))
    planned: dict[str, TablePlan] = {}
    # What is asked for comes first, so that proposals go around it; then what no rank can hold, as it fits in few ways.
    most = max(places.left)
    for cost in sorted(costs, key=lambda one: (one.config.name not in wishes, one.whole <= most, -one.work(one.dim))):
        wish = wishes.get(cost.config.name)
        table = places.propose(cost) if wish is None else places.keep(cost, wish)
        places.take(cost, table)
        planned[table.name] = table
    return Plan(world_size, local_world_size, tuple(planned[config.name] for config in configs))


class Places:
    """Ranks with the memory that is left and the work that they have been given."""

    def __init__(self, memory: list[float], local_world_size: int, work: float) -> None:
        """Ranks without work; `work` is that of all tables."""
        self.left = memory
        """The bytes that each rank still has."""
        self._work = [0.0] * len(memory)
        self._local = local_world_size
        # Where nothing is ever looked up, every share is 0.
        self._fair = work / len(memory) or 1.0

    def keep(self, cost: TableCost, wish: Sharding) -> TablePlan:
        """The table as it was asked for, on ranks that are chosen if they were not named."""
        name, kind = cost.config.name, wish.kind
        ranks: Sequence[int]
        if wish.ranks is not None:
            ranks = wish.ranks
            for rank in ranks:
                if rank not in range(len(self.left)):
                    raise ValueError(f"table {name!r} cannot be at rank {rank}: there are {len(self.left)} ranks")
        elif kind == "table_wise":
            ranks = self._idle(1, cost.whole) or self._idle(1, 0)
        elif kind == "table_row_wise":
            ranks = min(self._nodes(), key=self._work_of)
        else:
            ranks = range(len(self.left))
        table = self._make(cost, kind, ranks, "asked for")
        if cost.optimizer is not None:
            check_table(cost.config, table, cost.optimizer)
        return table

    def propose(self, cost: TableCost) -> TablePlan:
        """The table as it is best."""
        whole, work = cost.whole, cost.work(cost.dim)
        everywhere = cost.work_everywhere() / self._fair
        if len(self.left) > 1 and whole <= min(SMALL, *self.left) and everywhere <= SMALL_SHARE:
            return self._make(
                cost, "data_parallel", range(len(self.left)), f"only {everywhere:.1%} of a rank's share of work"
            )
        owner = self._idle(1, whole)
        share = work / self._fair
        if owner and (share <= 1 or len(self.left) == 1):
            return self._make(cost, "table_wise", owner, f"{share:.0%} of a rank's share of work")
        why = f"{share:.1f} x a rank's share of work" if owner else f"{bytes_text(whole)} are too much for one rank"
        bags = isinstance(cost.config, EmbeddingBagConfig)
        costly = not owner or share >= COSTLY
        cuts = [(self._by_columns, costly or not cost.takes_whole_rows), (self._by_rows, costly or not bags)]
        if cost.takes_whole_rows and not bags:
            # Without sums rows are as exact as columns, and a gradient goes to one owner alone.
            cuts.reverse()
        for cut, allowed in cuts:
            found = cut(cost, why) if allowed else None
            if found is not None:
                return found
        if owner:
            return self._make(cost, "table_wise", owner, f"{why}, and no exact cut is worth it")
        raise ValueError(
            f"table {cost.config.name!r} needs {bytes_text(whole)}, and fits in no cut: "
            f"the ranks have {bytes_text(min(self.left))} to {bytes_text(max(self.left))} left"
        )

    def take(self, cost: TableCost, table: TablePlan) -> None:
        """Books memory and work of a table."""
        for shard in table.shards:
            if table.kind == "data_parallel":
                work = cost.work_everywhere()
            else:
                by_rows = table.kind in ("row_wise", "table_row_wise")
                work = cost.work(len(shard.columns), len(table.shards) if by_rows else 1)
            self._work[shard.owner] += work
            self.left[shard.owner] -= shard.bytes or 0
            if self.left[shard.owner] < 0:
                raise ValueError(
                    f"table {table.name!r}, {table.kind} as asked for, needs {bytes_text(shard.bytes or 0)} at rank "
                    f"{shard.owner}, which is {bytes_text(-self.left[shard.owner])} more than is left there"
                )

    def _make(self, cost: TableCost, kind: Kind, ranks: Sequence[int], why: str) -> TablePlan:
        return make_table(cost.config, kind, ranks, cost.row_bytes, why)

    def _by_columns(self, cost: TableCost, why: str) -> TablePlan | None:
        """As few pieces as make it a fair share, or as many as there can be."""
        found = None
        if can_be(cost, "column_wise"):
            for pieces in range(2, min(len(self.left), cost.dim // LINE) + 1):
                columns = len(cut_columns(cost.dim, pieces)[0])
                ranks = self._idle(pieces, cost.rows * cost.row_bytes(columns))
                found = self._make(cost, "column_wise", ranks, why) if ranks else found
                if ranks and cost.work(columns) <= self._fair:
                    break
        return found

    def _by_rows(self, cost: TableCost, why: str) -> TablePlan | None:
        """Within a node if that makes it a fair share or nothing else is left, over all ranks otherwise."""
        everywhere = range(len(self.left))
        nodes = [] if self._local in (1, len(everywhere)) else sorted(self._nodes(), key=self._work_of)
        fair = [node for node in nodes if cost.work(cost.dim, len(node)) <= self._fair]
        for ranks in [*fair, everywhere, *nodes]:
            if self._room(cost, ranks) and can_be(cost, "row_wise"):
                return self._make(cost, "row_wise" if ranks is everywhere else "table_row_wise", ranks, why)
        return None

    def _room(self, cost: TableCost, ranks: Sequence[int]) -> bool:
        """Whether each of the ranks has memory for its rows."""
        need = -(-cost.rows // len(ranks)) * cost.row_bytes(cost.dim)
        return all(self.left[rank] >= need for rank in ranks)

    def _idle(self, count: int, need: float) -> list[int]:
        """The ranks with the least work of those that have this memory left, in order; none if they are too few."""
        ranks = [rank for rank, left in enumerate(self.left) if left >= need]
        ranks = sorted(sorted(ranks, key=lambda rank: (self._work[rank], -self.left[rank]))[:count])
        return ranks if len(ranks) == count else []

    def _nodes(self) -> list[range]:
        ranks = range(len(self.left))
        return [ranks[first : first + self._local] for first in range(0, len(ranks), self._local)]

    def _work_of(self, ranks: Sequence[int]) -> float:
        return sum(self._work[rank] for rank in ranks)


def can_be(cost: TableCost, kind: Kind) -> bool:
    """Whether several shards of this kind can be trained."""
    return cost.optimizer is None or refusal(cost.config, kind, cost.optimizer) is None


def as_sharding(wish: Kind | Sharding) -> Sharding:
    """The wish, where only its kind was given."""
    return wish if isinstance(wish, Sharding) else Sharding(wish)


def check_names(what: str, given: Iterable[str], configs: Sequence[EmbeddingConfig]) -> None:
    """Refuses names that no table has, or several have."""
    names = [config.name for config in configs]
    if len(set(names)) != len(names):
        raise ValueError(f"the names of tables differ; of {names} some are equal")
    for name in given:
        if name not in names:
            raise ValueError(f"{what} name a table {name!r}, and the tables are {names}")


def expected_lookups(config: EmbeddingConfig, lookups: Mapping[str, float]) -> float:
    """The ids of an example."""
    expected = lookups.get(config.name, max(1, len(config.feature_names)))
    if not 0 <= expected < float("inf"):
        raise ValueError(f"the lookups of table {config.name!r} are a number from 0, not {expected}")
    return expected


def memory_of_ranks(memory: int | Sequence[int] | None, world_size: int) -> list[float]:
    """The bytes of each rank."""
    if memory is None:
        return [float("inf")] * world_size
    if isinstance(memory, int):
        return [float(memory)] * world_size
    if len(memory) != world_size:
        raise ValueError(f"memory has {len(memory)} numbers for {world_size} ranks")
    return [float(bytes_) for bytes_ in memory]
