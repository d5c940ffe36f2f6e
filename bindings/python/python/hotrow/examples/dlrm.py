"""A deep recommender (DLRM) in PyTorch: its tables over all processes, its dense layers in each.

In one process, in several, in several whose lookups go over MPI, and in workers of Ray Train:

    python -m hotrow.examples.dlrm
    torchrun --standalone --nproc-per-node 4 -m hotrow.examples.dlrm
    mpiexec -n 4 python -m mpi4py -m hotrow.examples.dlrm --comm mpi
    python -m hotrow.examples.dlrm --ray 4

Whatever the number of processes, all of them together go through the same examples in the same batches. With
checkpoints a training that was interrupted goes on when the same command is given again, which torchrun does by itself:

    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1  # or those that are started again may look for those before them
    torchrun --standalone --nproc-per-node 4 --max-restarts 3 -m hotrow.examples.dlrm --checkpoint run --every 100
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from hotrow import EmbeddingBagConfig
from hotrow.distributed import Comm, Kind, ShardedEmbeddingBagCollection, plan
from hotrow.distributed.torch import ShardedModule
from hotrow.examples import on_ray, world
from hotrow.examples.clicks import Clicks, auc, read, synthetic
from hotrow.examples.keeper import Keeper
from hotrow.torch import KeyedJaggedTensor
from hotrow.typing import Element


class Dlrm(torch.nn.Module):
    """A vector from the numbers and one from each feature; their products, and a score from those."""

    def __init__(self, numbers: int, features: int, dim: int, embeddings: torch.nn.Module) -> None:
        """`embeddings` gives the features' vectors side by side."""
        super().__init__()
        self.bottom = layers(numbers, 64, dim)
        self.embeddings = embeddings
        self.top = layers(dim + features * (features + 1) // 2, 64, 1)

    def forward(self, numbers: Tensor, features: KeyedJaggedTensor) -> Tensor:
        """The logits of clicks."""
        dense = self.bottom(numbers)
        pooled: Tensor = self.embeddings(features)
        vectors = torch.cat([dense, pooled], dim=1).unflatten(1, (-1, dense.shape[1]))
        products = vectors @ vectors.transpose(1, 2)
        down, across = torch.tril_indices(vectors.shape[1], vectors.shape[1], offset=-1)
        logits: Tensor = self.top(torch.cat([dense, products[:, down, across]], dim=1)).squeeze(1)
        return logits


def layers(*widths: int) -> torch.nn.Sequential:
    """Linear layers of these widths, with rectifiers between them."""
    each = [[torch.nn.Linear(*pair), torch.nn.ReLU()] for pair in itertools.pairwise(widths)]
    return torch.nn.Sequential(*itertools.chain(*each))[:-1]


def features_of(part: Clicks) -> KeyedJaggedTensor:
    """The bags of ids as a collection takes them."""
    names = list(part.rows)
    ids, lengths = (np.concatenate([each[name] for name in names]) for each in (part.ids, part.lengths))
    return KeyedJaggedTensor(names, torch.from_numpy(ids), lengths=torch.from_numpy(lengths))


def own(batch: Clicks, comm: Comm) -> Clicks:
    """This rank's share of a batch, which may be empty."""
    return batch.part(len(batch) * comm.rank // comm.size, len(batch) * (comm.rank + 1) // comm.size)


@torch.no_grad()
def quality(model: torch.nn.Module, batches: Sequence[Clicks], comm: Comm) -> float:
    """The AUC over the shares of all ranks."""
    labels, scores = [], []
    for batch in batches:
        part = own(batch, comm)
        labels.append(part.labels)
        scores.append(model(torch.from_numpy(part.numbers), features_of(part)).numpy())
    every = comm.all_gather((np.concatenate(labels), np.concatenate(scores)))
    return auc(*(np.concatenate(each) for each in zip(*every, strict=True)))


def epoch(
    model: torch.nn.Module,
    batches: Sequence[Clicks],
    comm: Comm,
    optimizer: torch.optim.Optimizer,
    after: Callable[[int], None],
) -> tuple[float, float]:
    """Trains on all batches, with a call after each; returns the mean loss over all ranks, and the seconds."""
    total = 0.0
    begin = time.perf_counter()
    for number, batch in enumerate(batches):
        part = own(batch, comm)
        optimizer.zero_grad()
        logits = model(torch.from_numpy(part.numbers), features_of(part))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.from_numpy(part.labels), reduction="sum"
        )
        # Gradients are averaged over ranks: so they are those of the mean over the batch, however it is shared out.
        (loss * (comm.size / len(batch))).backward()
        optimizer.step()
        total += loss.item()
        after(number + 1)
    seconds = time.perf_counter() - begin
    return sum(comm.all_gather(total)) / sum(map(len, batches)), seconds


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    data: Clicks
    comm: str
    sharding: Kind | None
    fused: str
    wire: Element | None
    deduplicate: bool
    dim: int
    epochs: int
    batch: int
    lr: float
    dense_lr: float
    seed: int
    checkpoint: str | None
    every: int
    keep: int | None

    def settings(self) -> dict[str, float | str]:
        """What another training differs in."""
        same = {name: getattr(self, name) for name in ("fused", "dim", "batch", "lr", "dense_lr", "seed")}
        return {"examples": len(self.data), **same}


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="A deep recommender whose tables are shared out over processes.", parents=[on_ray.options()]
    )
    parser.add_argument("--frappe", nargs="+", metavar="FILE", help="files of libFM's format; made up without")
    parser.add_argument("--examples", type=int, default=200_000, help="how many are made up")
    parser.add_argument("--rows", type=int, default=2_000, help="the most rows of a table that is made up")
    parser.add_argument("--comm", choices=["torch", "mpi"], default="torch", help="what lookups travel over")
    parser.add_argument("--sharding", choices=get_args(Kind), help="how all tables are cut; planned without")
    parser.add_argument("--fused", default="adagrad", help="hotrow's optimizer of the tables")
    parser.add_argument("--wire", choices=["bfloat16", "float16"], help="what vectors travel as; float32 without")
    parser.add_argument("--no-deduplicate", action="store_true", help="send ids that come often each time")
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1024, help="examples of all ranks together")
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--dense-lr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", metavar="FOLDER", help="save there, and go on from what was saved there")
    parser.add_argument("--every", type=int, default=100, metavar="STEPS", help="batches between checkpoints")
    parser.add_argument("--keep", type=int, metavar="N", help="how many checkpoints are kept; all without")
    given = parser.parse_args(arguments)
    if given.every < 1:
        parser.error(f"argument --every: it is at least 1, and is {given.every}")
    return Options(
        data=read(given.frappe, given.seed) if given.frappe else synthetic(given.examples, given.rows, given.seed),
        comm=given.comm,
        sharding=given.sharding,
        fused=given.fused,
        wire=given.wire,
        deduplicate=not given.no_deduplicate,
        dim=given.dim,
        epochs=given.epochs,
        batch=given.batch,
        lr=given.lr,
        dense_lr=given.dense_lr,
        seed=given.seed,
        checkpoint=given.checkpoint,
        every=given.every,
        keep=given.keep,
    )


def embeddings(options: Options, comm: Comm) -> ShardedEmbeddingBagCollection:
    """A table for each feature, over all ranks."""
    data = options.data
    configs = [
        EmbeddingBagConfig(
            name=name, num_embeddings=rows, embedding_dim=options.dim, feature_names=[name], initializer=(-0.05, 0.05)
        )
        for name, rows in data.rows.items()
    ]
    placement = plan(
        configs,
        world_size=comm.size,
        local_world_size=world.local_size(comm),
        lookups={name: len(ids) / len(data) for name, ids in data.ids.items()},
        batch=max(1, options.batch // comm.size),
        constraints=dict.fromkeys(data.rows, options.sharding) if options.sharding else None,
    )
    if comm.rank == 0:
        print(placement)
    return ShardedEmbeddingBagCollection(
        configs,
        placement,
        comm,
        seed=options.seed,
        optimizer=(options.fused, {"lr": options.lr}),
        wire_dtype=options.wire,
        deduplicate=options.deduplicate,
    )


def kept(
    options: Options,
    collection: ShardedEmbeddingBagCollection,
    dense: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
) -> Keeper | None:
    """The checkpoints, if there are to be any."""
    if options.checkpoint is None:
        return None
    settings = options.settings()
    return Keeper(options.checkpoint, collection, dense, optimizer, options.every, options.keep, settings)


def main(arguments: Sequence[str] | None = None) -> float:
    """Trains, prints an epoch a line, and returns the last AUC."""
    launch, rest = on_ray.options().parse_known_args(arguments)
    if launch.ray is not None:
        # Under its own name: this module may be the one that is run.
        return float(on_ray.run("hotrow.examples.dlrm", rest, launch.ray, launch.max_failures))
    options = parse(arguments)
    train, test = (part.parts(options.batch) for part in options.data.split(0.2))
    with world.joined(options.comm) as comm:
        torch.manual_seed(options.seed)
        collection = embeddings(options, comm)
        dense = Dlrm(options.data.numbers.shape[1], len(options.data.rows), options.dim, ShardedModule(collection))
        model: torch.nn.Module = DistributedDataParallel(dense) if comm.size > 1 else dense
        optimizer = torch.optim.Adagrad(model.parameters(), lr=options.dense_lr)
        keeper = kept(options, collection, dense, optimizer)
        done, whole = 0 if keeper is None else keeper.resume(), options.epochs * len(train)
        if comm.rank == 0 and done:
            print(f"going on with {options.checkpoint}, which has {done} of {whole} batches behind it")

        def after(first: int, batches: int) -> None:
            if keeper is not None:
                keeper.after(first + batches, last=first + batches == whole)

        found = quality(model, test, comm) if done >= whole else 0.0
        for number in range(done // len(train), options.epochs):
            before, start = collection.traffic.total.bytes, number * len(train)
            left = train[max(0, done - start) :]
            first = start + len(train) - len(left)
            loss, seconds = epoch(model, left, comm, optimizer, partial(after, first))
            sent = sum(comm.all_gather(collection.traffic.total.bytes - before))
            found = quality(model, test, comm)
            if comm.rank == 0:
                print(
                    f"epoch {number + 1}: loss {loss:.4f}, AUC {found:.4f}, "
                    f"{sum(map(len, left)) / seconds:,.0f} samples/s, {sent / 1e6:,.1f} MB exchanged"
                )
        if comm.rank == 0 and options.data.planted is not None:
            best = auc(*(np.concatenate([getattr(part, name) for part in test]) for name in ("labels", "planted")))
            print(f"AUC of what was planted: {best:.4f}")
        return found


if __name__ == "__main__":
    main()
