"""Optimizers of tables that are cut into shards."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from hotrow import _native
from hotrow.config import EmbeddingConfig
from hotrow.distributed.sharding import Kind, Plan, TablePlan

__all__ = [
    "Optimizer",
    "Optimizers",
    "by_table",
    "check_optimizers",
    "check_table",
    "for_shard",
    "refusal",
    "state_bytes",
    "takes_whole_rows",
]

Optimizer: TypeAlias = tuple[str, Mapping[str, Any]]
"""A rule and its hyperparameters, as `hotrow.Optimizer` takes them."""

Optimizers: TypeAlias = Mapping[str, Optimizer]
"""An optimizer for each table that is trained."""

WHOLE_ROW_RULES = ("rowwise_adagrad", "partial_rowwise_adam")
"""Rules whose state of a row depends on the gradient of all of its columns."""


def by_table(optimizer: Optimizer | Optimizers | None, configs: Sequence[EmbeddingConfig]) -> dict[str, Optimizer]:
    """One optimizer for all tables, or one for each, by the names of the tables."""
    if optimizer is None:
        return {}
    if isinstance(optimizer, Mapping):
        return {name: (rule, dict(options)) for name, (rule, options) in optimizer.items()}
    rule, options = optimizer
    return {config.name: (rule, dict(options)) for config in configs}


def check_optimizers(optimizers: Optimizers, configs: Sequence[EmbeddingConfig], plan: Plan) -> None:
    """Refuses what could not be done as one process would do it.

    Raises:
        ValueError: A table's optimizer needs what no rank has: the rest of a row, or the gradient of all of its rows.
    """
    names = [config.name for config in configs]
    for name in optimizers:
        if name not in names:
            raise ValueError(f"there is an optimizer for table {name!r}, and the tables are {', '.join(names)}")
    if optimizers and (missing := [name for name in names if name not in optimizers]):
        raise ValueError(f"table {missing[0]!r} has no optimizer, and others have one")
    for config in configs:
        if config.name in optimizers:
            check_table(config, plan.table(config.name), optimizers[config.name])
            if _is_given(optimizers[config.name], "columns"):
                raise ValueError(f"table {config.name!r}: which columns an optimizer has is said by the plan")
            if plan.world_size > 1 and _is_given(optimizers[config.name], "finite_check"):
                raise ValueError(
                    f"table {config.name!r}: finite_check could refuse a step at one rank "
                    "when others have made it already"
                )


def check_table(config: EmbeddingConfig, table: TablePlan, optimizer: Optimizer) -> None:
    """Refuses an optimizer that cannot train the shards of a table."""
    reason = refusal(config, table.kind, optimizer) if len(table.shards) > 1 else None
    if reason is not None:
        raise ValueError(f"table {config.name!r} is {table.kind}, and {reason}")


def refusal(config: EmbeddingConfig, kind: Kind, optimizer: Optimizer) -> str | None:
    """Why several shards of this kind could not be trained as the whole table is; `None` if they can."""
    rule, _ = optimizer
    if kind in ("table_wise", "data_parallel"):
        return None
    if kind == "column_wise" and rule in WHOLE_ROW_RULES and _has_l2(optimizer):
        return (
            f"weight_decay of {rule} needs the weights of a whole row, which no rank has, "
            'unless weight_decay_mode is "decoupled"'
        )
    if kind == "column_wise" and _is_given(optimizer, "max_row_norm"):
        return "max_row_norm needs a whole row, which no rank has"
    if _is_given(optimizer, "clip_norm") and not (kind == "column_wise" and rule in WHOLE_ROW_RULES):
        return "clip_norm needs the gradient of the whole table, which no rank has"
    if _is_given(optimizer, "stochastic_rounding") and config.dtype != "float32":
        return "stochastic_rounding draws its numbers by the rows and columns of the whole table, which no rank has"
    return None


def takes_whole_rows(table: TablePlan, optimizer: Optimizer | None) -> bool:
    """Whether each owner of columns gets the gradient of all columns, to make the state of a row from."""
    return (
        optimizer is not None
        and optimizer[0] in WHOLE_ROW_RULES
        and table.kind == "column_wise"
        and len(table.shards) > 1
    )


def state_bytes(optimizer: Optimizer | None, dim: int) -> int:
    """The memory of the optimizer's state for one row of `dim` values."""
    if optimizer is None:
        return 0
    rule, options = optimizer
    return sum(state.nbytes for state in _native.Optimizer(rule, 1, dim, **options).state().values())


def _is_given(optimizer: Optimizer, option: str) -> bool:
    """Whether an option is there and does anything; the seed 0 is a seed."""
    value = optimizer[1].get(option)
    return value is not None and value is not False


def _has_l2(optimizer: Optimizer) -> bool:
    """Whether weights are added to the gradient; a decay of 0 is none."""
    options = optimizer[1]
    return options.get("weight_decay") not in (None, 0) and options.get("weight_decay_mode") in (None, "l2")


def for_shard(
    options: Mapping[str, Any], table: int, local: int, columns: tuple[int, int] | None = None
) -> dict[str, Any]:
    """The hyperparameters of table number `table` where its shard has number `local` at its owner.

    Where the shard gets gradients of whole rows, `columns` are its first one and how many these have.
    """
    own = dict(options)
    if columns is not None:
        own["columns"] = columns
    if own.get("stochastic_rounding") is not None:
        # A collection adds the table's number to the seed, and should add that among all tables.
        own["stochastic_rounding"] = (own["stochastic_rounding"] + table - local) % 2**64
    return own
