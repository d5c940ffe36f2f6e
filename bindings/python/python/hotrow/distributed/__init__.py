"""Embedding tables over many processes and machines: planned, sharded, looked up and trained."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hotrow.distributed.bags import ShardedEmbeddingBagCollection
from hotrow.distributed.checkpoint import LoadedCheckpoint, SavedCheckpoint
from hotrow.distributed.comm import Comm, CommError, LocalComm, RankError
from hotrow.distributed.planner import plan
from hotrow.distributed.sequences import ShardedEmbeddingCollection
from hotrow.distributed.sharding import Kind, Plan, Shard, Sharding, TablePlan
from hotrow.distributed.traffic import Counts, Traffic

if TYPE_CHECKING:
    from hotrow.distributed.mpi_comm import MpiComm
    from hotrow.distributed.torch_comm import TorchComm

__all__ = [
    "Comm",
    "CommError",
    "Counts",
    "Kind",
    "LoadedCheckpoint",
    "LocalComm",
    "MpiComm",
    "Plan",
    "RankError",
    "SavedCheckpoint",
    "Shard",
    "ShardedEmbeddingBagCollection",
    "ShardedEmbeddingCollection",
    "Sharding",
    "TablePlan",
    "TorchComm",
    "Traffic",
    "plan",
]

# Their modules need PyTorch and mpi4py: they are imported when somebody asks for them.
_ADAPTERS = {"MpiComm": "hotrow.distributed.mpi_comm", "TorchComm": "hotrow.distributed.torch_comm"}


def __getattr__(name: str) -> Any:
    """An adapter of a transport."""
    if name in _ADAPTERS:
        return getattr(import_module(_ADAPTERS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
