"""What every rank has to have alike, and what differs."""

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

from hotrow.config import EmbeddingConfig
from hotrow.distributed.comm import Comm
from hotrow.distributed.sharding import Plan
from hotrow.distributed.show import ranks_text

__all__ = ["Description", "describe", "differences", "require_equal"]

Description: TypeAlias = Mapping[str, object]
"""Values by the name that a message gives them, all comparable and picklable."""

SHOWN = 4
"""How many differences a message has."""


def describe(
    configs: Sequence[EmbeddingConfig],
    plan: Plan,
    optimizers: Mapping[str, tuple[str, Mapping[str, Any]]],
    **options: object,
) -> dict[str, object]:
    """A collection as every rank has to have it: versions, tables, plan, optimizers by table, and further options."""
    description: dict[str, object] = {"version of hotrow": own_version(), **options}
    description["tables"] = [config.name for config in configs]
    for config in configs:
        table = f"table {config.name!r}"
        for field in ("num_embeddings", "embedding_dim", "dtype", "pooling", "initializer"):
            description[f"{field} of {table}"] = getattr(config, field, None)
        description[f"feature_names of {table}"] = list(config.feature_names)
        rule, hyperparameters = optimizers.get(config.name, (None, {}))
        description[f"optimizer of {table}"] = rule
        description.update((f"{name} of the optimizer of {table}", hyperparameters[name]) for name in hyperparameters)
    description["ranks of the plan"] = plan.world_size
    description["ranks of a node of the plan"] = plan.local_world_size
    for planned in plan.tables:
        description[f"plan of table {planned.name!r}"] = planned.kind
        description[f"shards of table {planned.name!r}"] = [
            f"rows {shard.rows.start}..{shard.rows.stop}, columns {shard.columns.start}..{shard.columns.stop} "
            f"at rank {shard.owner}"
            for shard in planned.shards
        ]
    return description


def own_version() -> str:
    """The version of this package."""
    try:
        return version("hotrow")
    except PackageNotFoundError:
        return "not installed"


def differences(descriptions: Sequence[Description]) -> list[str]:
    """One line for each value that is not the same at every rank; all ranks find the same lines."""
    lines = []
    for name in dict.fromkeys(name for description in descriptions for name in description):
        found: dict[str, list[int]] = {}
        for rank, description in enumerate(descriptions):
            shown = repr(description[name]) if name in description else "nothing"
            found.setdefault(shown, []).append(rank)
        if len(found) > 1:
            lines.append(
                f"{name}: " + "; ".join(f"{shown} at rank {ranks_text(ranks)}" for shown, ranks in found.items())
            )
    return lines


def require_equal(comm: Comm, description: Description) -> None:
    """Raises a `ValueError` at every rank if their descriptions are not all equal."""
    lines = differences(comm.all_gather(description))
    if lines:
        more = [f"and {len(lines) - SHOWN} more differences"] if len(lines) > SHOWN else []
        raise ValueError("the ranks do not agree:\n" + "\n".join(lines[:SHOWN] + more))
