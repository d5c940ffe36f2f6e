"""Training steps of hotrow and of TorchRec, in the same processes, as modules of PyTorch with the same input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from hotrow.distributed import Comm, Kind, ShardedEmbeddingBagCollection, Sharding, plan
from hotrow.distributed.torch import ShardedModule
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from acrossranks import torchrec_module
from acrossranks.batches import EPS, LR, Batches, Share, workload
from acrossranks.plainly import Expected, require_close
from acrossranks.turns import Contender, measure

Output = Callable[[KeyedJaggedTensor], torch.Tensor]


def run(comm: Comm, name: str, kind: Kind, rule: str, quick: bool) -> list[dict[str, Any]]:
    """Every rank has an equal share of the bags, and a thread."""
    batches = Batches(replace(workload(name, quick), optimizer=rule))
    own = Share(comm.rank, comm.size)
    configs = batches.configs()
    every = list(range(comm.size))
    wishes: dict[str, Kind | Sharding] = {
        config.name: Sharding(kind, ranks=every if kind == "column_wise" else every[number % comm.size :][:1])
        for number, config in enumerate(configs)
    }
    placement = plan(configs, world_size=comm.size, constraints=wishes)
    ours = ShardedEmbeddingBagCollection(configs, placement, comm, seed=1, optimizer=(rule, {"lr": LR, "eps": EPS}))
    theirs = torchrec_module.sharded(batches, placement)
    torchrec_module.fill(theirs, ours)
    wanted = Expected(batches, own, ours)
    module, columns = ShardedModule(ours, average=False), ours.columns

    grad = torch.from_numpy(batches.grad_of(own))
    found = module(_features(batches, own, 0))
    require_close(found.detach().numpy(), wanted.output, "hotrow's output")
    found.backward(grad)

    def their_output(features: KeyedJaggedTensor) -> torch.Tensor:
        values: torch.Tensor = theirs(features).values()
        return values

    keyed = theirs(_features(batches, own, 0))
    # It puts the features of a rank's tables side by side.
    order = np.concatenate([np.arange(batches.work.dim) + columns[key].start for key in list(keyed.keys())])
    their_grad = grad[:, order].contiguous()
    require_close(keyed.values().detach().numpy(), wanted.output[:, order], "TorchRec's output")
    keyed.values().backward(their_grad)
    _check_tables(ours, theirs, wanted, placement.tables[0].shards)
    given = [_features(batches, own, number) for number in range(len(batches.ids))]
    contenders = [
        Contender("hotrow", partial(_step, module, given, grad)),
        Contender("TorchRec", partial(_step, their_output, given, their_grad)),
    ]
    return [asdict(times) for times in measure(comm, contenders, quick=quick)]


def _features(batches: Batches, share: Share, number: int) -> KeyedJaggedTensor:
    batch = batches.batch(number, share)
    return KeyedJaggedTensor(batches.keys, torch.from_numpy(batch.values), lengths=torch.from_numpy(batch.lengths))


def _step(output: Output, given: list[KeyedJaggedTensor], grad: torch.Tensor, number: int) -> None:
    # A new one each time: it keeps what it has computed once.
    batch = given[number % len(given)]
    features = KeyedJaggedTensor(batch.keys(), batch.values(), lengths=batch.lengths())
    output(features).backward(grad)


def _check_tables(ours: ShardedEmbeddingBagCollection, theirs: Any, wanted: Expected, shards: Any) -> None:
    """The rows that the step touched, ours whole and theirs by shard."""
    whole = slice(0, ours.configs[0].embedding_dim)
    # Where columns are at several ranks, TorchRec takes a row's statistic over those of each rank. Ours is the row's.
    cuts = [slice(shard.columns.start, shard.columns.stop) for shard in shards]
    for table, (name, rows) in enumerate(zip(ours.table_names, wanted.rows, strict=True)):
        require_close(ours.gather_table(name)[rows], wanted.stepped(table, whole, [whole]), f"hotrow's {name}")
        for columns, values in torchrec_module.shards(theirs, name):
            require_close(values.numpy()[rows], wanted.stepped(table, columns, cuts), f"TorchRec's {name}")
