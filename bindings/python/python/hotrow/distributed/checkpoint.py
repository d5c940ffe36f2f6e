"""Checkpoints of sharded collections: every rank writes what it has, and reads what it is to have.

A checkpoint is a folder as `hotrow` itself makes them, of whole tables, and says nothing of the ranks that made it. So
it is loaded by any number of ranks and with any plan.
"""

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hotrow import _native
from hotrow.config import EmbeddingConfig
from hotrow.distributed.blocks import BLOCK_BYTES, Cells, assembled, blocks, exchange_columns, writers
from hotrow.distributed.comm import Comm, CommError
from hotrow.distributed.describe import SHOWN, require_equal
from hotrow.distributed.optimizers import Optimizer, check_optimizers
from hotrow.distributed.part import Owned, Part
from hotrow.distributed.sharding import Plan, TablePlan

__all__ = ["LoadedCheckpoint", "SavedCheckpoint", "Tables", "load", "save"]

Collection = _native.EmbeddingBagCollection | _native.EmbeddingCollection
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class SavedCheckpoint:
    """What a save did."""

    step: int
    """The step that was saved."""
    bytes: int
    """The bytes of its files."""
    removed: tuple[int, ...]
    """The steps that were removed, as `keep_last` has it."""


@dataclass(frozen=True)
class LoadedCheckpoint:
    """What was loaded beside the tables."""

    step: int
    """The step."""
    config: Any
    """What was saved as its configuration."""


@dataclass(frozen=True)
class Tables:
    """The tables of a sharded collection, as far as a checkpoint is concerned."""

    comm: Comm
    configs: Sequence[EmbeddingConfig]
    plan: Plan
    model: Collection
    """The tables with a row each: their elements, and what states their optimizers have."""
    parts: Sequence[Part[Any]]
    """This rank's shards, and the tables that every rank has."""
    trained: bool
    """Whether they have optimizers."""

    def own(self, table: int) -> tuple[Collection, Owned, str] | None:
        """This rank's shard of a table: where it is, which part of the table it is, and its name there."""
        for part in self.parts:
            for shard, name in zip(part.shards, part.names, strict=True):
                if shard[0] == table:
                    return part.collection, shard, name
        return None


def save(
    tables: Tables, folder: str | os.PathLike[str], step: int, keep_last: int | None, config: object
) -> SavedCheckpoint:
    """Saves everything; all ranks call it."""
    comm = tables.comm
    require_equal(comm, {"step": step, "keep_last": keep_last})
    own, _ = _agreed(comm, "save the checkpoint", lambda: _native.Checkpoints(folder, keep_last=keep_last), None)
    names = [config.name for config in tables.configs]
    try:
        _, begun = _agreed(comm, "begin the checkpoint", lambda: own.begin(step) if comm.rank == 0 else 0)
        _, records = _agreed(comm, "save its tables", lambda: _write(tables, own, step, begun[0]))

        def commit() -> tuple[int, list[int], str | None] | None:
            if comm.rank != 0:
                return None
            return own.commit(step, begun[0], names, [record for record in records if record], json.dumps(config))

        _, outcomes = _agreed(comm, "finish the checkpoint", commit)
    finally:
        own.release()
    size, removed, unswept = outcomes[0]
    if unswept is not None and comm.rank == 0:
        warnings.warn(f"the checkpoint is saved, but not all older files could be removed: {unswept}", stacklevel=3)
    return SavedCheckpoint(step, size, tuple(removed))


def load(
    tables: Tables,
    folder: str | os.PathLike[str],
    step: int | None,
    begin: Callable[[], None],
) -> LoadedCheckpoint | None:
    """Loads everything; all ranks call it. `begin` is called before the first table changes."""
    comm = tables.comm
    require_equal(comm, {"step": step})

    def newest() -> int | None:
        steps = _native.Checkpoints(folder).steps() if comm.rank == 0 and step is None else []
        return steps[-1] if steps else step

    _, (chosen, *_) = _agreed(comm, "find the newest checkpoint", newest)
    if chosen is None:
        return None

    def opened() -> _native.CheckpointReader:
        reader = _native.Checkpoints(folder).reader(chosen)
        _check_fit(tables, reader, folder)
        return reader

    reader, found = _agreed(comm, "load the checkpoint", opened, lambda reader: reader.crc32)
    if len(set(found)) > 1:
        raise ValueError(f"the ranks do not see one folder: each finds another checkpoint of step {chosen}")
    begin()
    _agreed(comm, "load its tables", partial(_read, tables, reader), None)
    return LoadedCheckpoint(reader.step, json.loads(reader.config))


def _same(kept: Any) -> Any:
    return kept


def _agreed(
    comm: Comm, what: str, work: Callable[[], Kept], tell: Callable[[Kept], Any] | None = _same
) -> tuple[Kept, list[Any]]:
    """Does something at every rank; returns what this one has of it, and what each tells the others.

    Raises:
        ValueError: Another rank has failed. Where one fails, its own error goes on.
    """
    try:
        kept = work()
    except CommError:
        # Nobody can be told.
        raise
    except Exception as error:
        comm.all_gather((f"{type(error).__name__}: {error}", None))
        raise
    every = comm.all_gather((None, None if tell is None else tell(kept)))
    for rank, (reason, _) in enumerate(every):
        if reason is not None:
            raise ValueError(f"rank {rank} could not {what}: {reason}")
    return kept, [told for _, told in every]


def _write(tables: Tables, folder: _native.Checkpoints, step: int, generation: int) -> str | None:
    """Writes this rank's rows of all tables; what the manifest has to know of them, if there are any."""
    comm, ranks = tables.comm, tables.comm.size
    writing = [writers(tables.plan.table(config.name), at, ranks) for at, config in enumerate(tables.configs)]
    files = [rank for rank in range(ranks) if any(rank in each for each in writing)]
    out = _Out()

    def begin() -> _native.CheckpointPart:
        announced = []
        for at, (config, each) in enumerate(zip(tables.configs, writing, strict=True)):
            if comm.rank in each:
                rows, shape = each[comm.rank], (config.num_embeddings, config.embedding_dim)
                announced.append((config.name, config.dtype, shape, (rows.start, rows.stop), _record(tables, at)))
        return folder.part(step, generation, files.index(comm.rank) + 1, len(files), announced)

    if comm.rank in files:
        out.begin(begin)
    try:
        for at, (config, each) in enumerate(zip(tables.configs, writing, strict=True)):
            _write_tensor(tables, at, None, each, out)
            for state in tables.model.state_dims(config.name):
                _write_tensor(tables, at, state, each, out)
        return out.finish()
    finally:
        out.close()


class _Out:
    """A file that may fail: all ranks take part in all exchanges, and only then say what went wrong."""

    def __init__(self) -> None:
        """A rank that writes nothing has no file."""
        self._part: _native.CheckpointPart | None = None
        self._error: Exception | None = None

    def attempt(self, work: Callable[[], Kept]) -> Kept | None:
        """What something returns, or `None` if it fails; the first error is kept."""
        try:
            return work()
        except Exception as error:
            self._error = self._error or error
            return None

    def begin(self, part: Callable[[], _native.CheckpointPart]) -> None:
        """Has a file from now on."""
        self._part = self.attempt(part)

    def write(self, table: str, rows: Callable[[], NDArray[Any] | None], state: str | None) -> None:
        """The next rows. Where another rank has failed to send its own there are none, and there will be no file."""
        part = self._part
        if part is None or self._error is not None:
            return

        def write() -> None:
            found = rows()
            if found is None:
                self.close()
            else:
                part.write(table, found, state=state)

        self.attempt(write)

    def finish(self) -> str | None:
        """Raises what went wrong, or finishes the file."""
        if self._error is not None:
            raise self._error
        return None if self._part is None else self._part.finish()

    def close(self) -> None:
        """Leaves no file that is not finished."""
        if self._part is not None:
            self._part.discard()
            self._part = None


def _record(tables: Tables, table: int) -> str | None:
    """The optimizer of a table that this rank writes rows of: it has a shard of it."""
    own = tables.own(table)
    return None if own is None else own[0].optimizer_record(own[2])


def _write_tensor(tables: Tables, table: int, state: str | None, writing: dict[int, range], out: _Out) -> None:
    """Writes a table, or a state of its optimizer."""
    config = tables.configs[table]
    planned = tables.plan.table(config.name)
    dtype = np.dtype(np.float32) if state is not None else tables.model.table(config.name).dtype
    one_a_row = state is not None and tables.model.state_dims(config.name)[state] == 1 != config.embedding_dim
    own = tables.own(table)

    def rows_of(rows: range) -> NDArray[Any]:
        assert own is not None
        collection, shard, name = own
        local = (rows.start - shard[2], rows.stop - shard[2])
        if state is not None:
            return collection.state_rows(name, state, local)
        return collection.table(name)[slice(*local)]

    if planned.kind == "column_wise" and not one_a_row:

        def cells_of(rows: range) -> Cells:
            found = out.attempt(lambda: np.ascontiguousarray(rows_of(rows)).reshape(-1).view(np.uint8))
            return np.empty(0, np.uint8) if found is None else found

        exchanged = exchange_columns(
            tables.comm, planned, writing, cell_bytes=dtype.itemsize, block_bytes=BLOCK_BYTES, own=cells_of
        )
        for received in exchanged:
            out.write(config.name, partial(_whole, planned, received, dtype), state)
    elif tables.comm.rank in writing:
        width = 1 if one_a_row else config.embedding_dim
        for rows in blocks(writing[tables.comm.rank], width * dtype.itemsize, BLOCK_BYTES):
            out.write(config.name, partial(rows_of, rows), state)


def _whole(planned: TablePlan, received: list[Cells], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    whole = assembled(planned, received, dtype.itemsize)
    return None if whole is None else whole.view(dtype)


def _check_fit(tables: Tables, reader: _native.CheckpointReader, folder: str | os.PathLike[str]) -> None:
    """Refuses a checkpoint of other tables."""
    found = {name: (dtype, shape, record) for name, dtype, shape, record in reader.tables}
    lines = list(_differences(tables, found))
    if lines:
        more = [f"and {len(lines) - SHOWN} more differences"] if len(lines) > SHOWN else []
        which = f"the checkpoint of step {reader.step} in {os.fspath(folder)}"
        raise ValueError("\n".join([f"{which} is of other tables:", *lines[:SHOWN], *more]))
    if tables.trained:
        # Its hyperparameters are taken over, and they may be such as no rank can follow.
        optimizers = {name: _options(record) for name, (_, _, record) in found.items() if record is not None}
        check_optimizers(optimizers, tables.configs, tables.plan)


def _differences(tables: Tables, found: Mapping[str, tuple[str, tuple[int, int], str | None]]) -> Iterator[str]:
    """A line for each difference."""
    names = [config.name for config in tables.configs]
    yield from (f"table {name!r}: it is only in the checkpoint" for name in found if name not in names)
    for at, config in enumerate(tables.configs):
        table = f"table {config.name!r}"
        if config.name not in found:
            yield f"{table}: it is not in the checkpoint"
            continue
        dtype, shape, record = found[config.name]
        own = (config.num_embeddings, config.embedding_dim)
        if own != shape:
            yield f"{table}: {own[0]} x {own[1]} here, {shape[0]} x {shape[1]} in the checkpoint"
        if config.dtype != dtype:
            yield f"{table}: {config.dtype} here, {dtype} in the checkpoint"
        rule = tables.model.optimizer_record(tables.configs[at].name)
        if rule is not None:
            here, there = _options(rule)[0], "no optimizer" if record is None else _options(record)[0]
            if here != there:
                yield f"{table}: {here} here, {there} in the checkpoint"


def _options(record: str) -> Optimizer:
    """The rule of a record, and those of its options that may not be followed everywhere."""
    found = json.loads(record)
    rounding, decay = found["rounding"], found["weight_decay"]
    options = {name: found[name] for name in ("clip_norm", "max_row_norm", "finite_check")}
    options["stochastic_rounding"] = rounding["stochastic"]["seed"] if isinstance(rounding, dict) else None
    for mode, value in decay.items() if isinstance(decay, dict) else ():
        options["weight_decay"], options["weight_decay_mode"] = value, mode
    return found["rule"], options


def _read(tables: Tables, reader: _native.CheckpointReader) -> None:
    """Reads this rank's shards."""
    records = {name: record for name, _, _, record in reader.tables}
    for at, config in enumerate(tables.configs):
        own = tables.own(at)
        if own is None:
            continue
        collection, (_, _, row, row_end, column, column_end), name = own
        rows, columns = (row, row_end), (column, column_end)
        reader.read(config.name, rows, columns, collection.table(name))
        record = records[config.name]
        if not tables.trained or record is None:
            continue
        collection.set_optimizer_record(name, record)
        for state, width in tables.model.state_dims(config.name).items():
            one_a_row = width == 1 != config.embedding_dim
            collection.read_state(name, state, reader, config.name, rows, (0, 1) if one_a_row else columns)
