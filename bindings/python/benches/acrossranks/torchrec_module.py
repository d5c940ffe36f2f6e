"""TorchRec's sharded collection on CPUs, with FBGEMM's fused optimizers."""

from __future__ import annotations

from typing import Any

import fbgemm_gpu  # noqa: F401  (registers the operations)
import torch
import torch.distributed as dist
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from hotrow.distributed import Plan, ShardedEmbeddingBagCollection
from torchrec.distributed.comm_ops import set_gradient_division
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.sharding_plan import column_wise, construct_module_sharding_plan, table_wise
from torchrec.distributed.types import ShardingEnv
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection

from acrossranks.batches import EPS, LR, Batches

# "Exact": gradients of equal ids are summed first, as in hotrow.
_OPTIMIZERS = {
    "adagrad": EmbOptimType.EXACT_ADAGRAD,
    "rowwise_adagrad": EmbOptimType.EXACT_ROWWISE_ADAGRAD,
}


def sharded(batches: Batches, placement: Plan) -> Any:
    """The same tables at the same ranks; what they hold is not set yet."""
    # Gradients are summed over ranks, as hotrow's are, and not averaged.
    set_gradient_division(False)
    work = batches.work
    tables = [
        EmbeddingBagConfig(
            name=config.name,
            num_embeddings=config.num_embeddings,
            embedding_dim=config.embedding_dim,
            feature_names=list(config.feature_names),
        )
        for config in batches.configs()
    ]
    collection = EmbeddingBagCollection(tables=tables, device=torch.device("meta"))
    sharder: Any = EmbeddingBagCollectionSharder(
        fused_params={"optimizer": _OPTIMIZERS[work.optimizer], "learning_rate": LR, "eps": EPS}
    )
    # Without its name the kernel would be the dense one on CPUs; given a device, a plan would have all at rank 0.
    wishes = {}
    for table in placement.tables:
        owners = [shard.owner for shard in table.shards]
        if table.kind == "column_wise":
            wishes[table.name] = column_wise(ranks=owners, compute_kernel="fused")
        else:
            wishes[table.name] = table_wise(rank=owners[0], compute_kernel="fused")
    size = placement.world_size
    theirs = construct_module_sharding_plan(
        collection, wishes, sharder=sharder, local_size=size, world_size=size, device_type="cpu"
    )
    world = dist.group.WORLD
    assert world is not None
    return sharder.shard(collection, theirs, ShardingEnv.from_process_group(world), device=torch.device("cpu"))


def shards(module: Any, table: str) -> list[tuple[slice, torch.Tensor]]:
    """This rank's shards of a table: their columns, and their memory."""
    found = []
    for shard in module.state_dict()[f"embedding_bags.{table}.weight"].local_shards():
        start, width = shard.metadata.shard_offsets[1], shard.metadata.shard_sizes[1]
        found.append((slice(start, start + width), shard.tensor))
    return found


def fill(module: Any, tables: ShardedEmbeddingBagCollection) -> None:
    """Copies all tables; every rank has to call it."""
    for name in tables.table_names:
        values = torch.from_numpy(tables.gather_table(name))
        for columns, shard in shards(module, name):
            shard.copy_(values[:, columns])
