"""Checkpoints of a model whose tables are sharded: its dense layers beside them, and how far its training has come."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hotrow.distributed import Comm, ShardedEmbeddingBagCollection, ShardedEmbeddingCollection

__all__ = ["Keeper"]


@dataclass
class Keeper:
    """Saves every so many batches, and goes on from what was saved last.

    The dense layers and their optimizer are alike at every rank: rank 0 writes them into a file of their own, before
    the checkpoint that they belong to is there. All ranks see the folder.
    """

    #: Made by the first save if it is not there.
    folder: str | os.PathLike[str]
    collection: ShardedEmbeddingBagCollection | ShardedEmbeddingCollection
    dense: torch.nn.Module
    optimizer: torch.optim.Optimizer
    #: Batches between checkpoints.
    every: int
    #: How many checkpoints are kept; all, without.
    keep: int | None = None
    #: Whatever JSON can hold: a training with others is not gone on with.
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def comm(self) -> Comm:
        """The ranks."""
        return self.collection.comm

    def resume(self) -> int:
        """Goes on from the newest checkpoint; how many batches it has behind it, 0 if there is none.

        Raises:
            ValueError: It is of a training with other settings, or of other tables.
        """
        loaded = self.collection.load(self.folder)
        if loaded is None:
            return 0
        there = loaded.config["settings"]
        for name, value in self.settings.items():
            if there.get(name) != value:
                raise ValueError(
                    f"{self.folder} is of another training: {name} is {value} here and {there.get(name)} there"
                )
        found = torch.load(self._dense(loaded.step), weights_only=True)
        self.dense.load_state_dict(found["dense"])
        self.optimizer.load_state_dict(found["optimizer"])
        return loaded.step

    def after(self, batches: int, *, last: bool = False) -> None:
        """Saves after so many batches of the whole training, if that is due."""
        if not last and batches % self.every:
            return
        if self.comm.rank == 0:
            self._write_dense(batches)
        self.collection.save(self.folder, batches, keep_last=self.keep, config={"settings": self.settings})
        if self.comm.rank == 0:
            self._sweep()

    def _dense(self, step: int) -> Path:
        return Path(self.folder) / f"dense-{step}.pt"

    def _write_dense(self, step: int) -> None:
        """Under another name first, so that the file is there as a whole or not at all."""
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        # One that a crash leaves behind is removed by the next save, like all files that are named so.
        temporary = Path(self.folder) / f".hotrow-dense-{step}.tmp"
        with temporary.open("wb") as file:
            torch.save({"dense": self.dense.state_dict(), "optimizer": self.optimizer.state_dict()}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._dense(step))

    def _sweep(self) -> None:
        """Removes the dense layers of checkpoints that are not there, or not any more."""
        for path in Path(self.folder).glob("dense-*.pt"):
            step = re.fullmatch(r"dense-(\d+)\.pt", path.name)
            if step is not None and not (Path(self.folder) / f"step-{step[1]}.json").exists():
                path.unlink()
