"""The command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from hotrow.config import EmbeddingBagConfig
from hotrow.distributed.sharding import Kind
from hotrow.distributed.simulate.cluster import Cluster
from hotrow.distributed.simulate.costs import Costs
from hotrow.distributed.simulate.recorded import RECORDED
from hotrow.distributed.simulate.workload import Workload

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    configs: list[EmbeddingBagConfig]
    workload: Workload
    cluster: Cluster
    costs: Costs
    ranks: list[int]
    kinds: list[Kind]
    #: Bytes that a rank has.
    memory: float
    parts: Kind | None
    plot: str | None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Reads the command line; measures, if it says so."""
    parser = argparse.ArgumentParser(
        prog="python -m hotrow.distributed.simulate",
        description="The time of a step and the memory of a rank, for tables of any size on any number of ranks.",
    )
    tables = parser.add_argument_group("tables")
    tables.add_argument("--tables", type=int, default=26)
    tables.add_argument("--parameters", type=float, default=1e12, help="of all tables together")
    tables.add_argument("--dim", type=int, default=128)
    tables.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    tables.add_argument("--optimizer", default="adagrad", help="its state takes memory, too")
    batch = parser.add_argument_group("a batch")
    batch.add_argument("--batch", type=int, default=512, help="examples of a rank")
    batch.add_argument("--global-batch", type=int, help="examples of all ranks together, instead")
    batch.add_argument("--lookups", type=float, default=20, help="ids of an example in each table")
    batch.add_argument("--skew", type=float, default=1.05, help="Zipf's exponent of the ids")
    batch.add_argument("--no-deduplicate", action="store_true", help="send ids that come often each time")
    batch.add_argument("--wire", choices=["float32", "bfloat16", "float16"], default="float32", help="of vectors")
    batch.add_argument("--dense", type=float, default=0.0, help="milliseconds of dense layers")
    cluster = parser.add_argument_group("a cluster")
    cluster.add_argument("--ranks", type=int, nargs="+", default=[1 << power for power in range(11)])
    cluster.add_argument("--per-node", type=int, default=Cluster.ranks_per_node, help="ranks of a node")
    cluster.add_argument("--memory", type=float, default=64, help="GiB of a rank")
    cluster.add_argument("--cores", type=int, help="of a node; without, as many as its ranks have threads")
    cluster.add_argument("--threads", type=int, default=0, help="of a rank; without, as the costs were measured")
    cluster.add_argument("--latency", type=float, default=Cluster.latency * 1e6, help="µs between nodes")
    cluster.add_argument("--local-latency", type=float, default=Cluster.local_latency * 1e6, help="µs in a node")
    cluster.add_argument("--overhead", type=float, default=Cluster.overhead * 1e6, help="µs of work for a message")
    cluster.add_argument("--bandwidth", type=float, default=Cluster.bandwidth * 8e-9, help="Gbit/s of a node")
    cluster.add_argument("--local-bandwidth", type=float, default=Cluster.local_bandwidth * 8e-9, help="in a node")
    costs = parser.add_argument_group("costs of the engine's work")
    costs.add_argument("--costs", metavar="FILE", help="costs that were saved; recorded ones without")
    costs.add_argument("--measure", metavar="FILE", help="measure them here, and save them")
    shown = parser.add_argument_group("what is shown")
    shown.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    shown.add_argument("--parts", choices=KINDS, help="also show how long each part of a step takes, for this kind")
    shown.add_argument("--plot", metavar="FILE", help="draw it as well, as .svg or .png: needs matplotlib")
    given = parser.parse_args(arguments)
    rows = max(1, round(given.parameters / given.tables / given.dim))
    names = [f"t{number}" for number in range(given.tables)]
    if given.global_batch:
        for ranks in given.ranks:
            if given.global_batch % ranks:
                parser.error(f"{given.global_batch} examples are not equally many for each of {ranks} ranks")
    return Options(
        configs=[
            EmbeddingBagConfig(
                name=name, num_embeddings=rows, embedding_dim=given.dim, feature_names=[name], dtype=given.dtype
            )
            for name in names
        ],
        workload=Workload(
            batch=given.batch,
            global_batch=given.global_batch,
            lookups=dict.fromkeys(names, given.lookups),
            skew=given.skew,
            optimizer=given.optimizer,
            wire_dtype=given.wire,
            deduplicate=not given.no_deduplicate,
            dense=given.dense * 1e-3,
        ),
        cluster=Cluster(
            ranks_per_node=given.per_node,
            latency=given.latency * 1e-6,
            local_latency=given.local_latency * 1e-6,
            overhead=given.overhead * 1e-6,
            bandwidth=given.bandwidth * 1e9 / 8,
            local_bandwidth=given.local_bandwidth * 1e9 / 8,
            threads_per_rank=given.threads,
            cores_per_node=given.cores,
        ),
        costs=_costs(given.costs, given.measure, given.optimizer),
        ranks=given.ranks,
        kinds=list(given.kinds),
        memory=given.memory * 2**30,
        parts=given.parts,
        plot=given.plot,
    )


def _costs(saved: str | None, measured: str | None, rule: str) -> Costs:
    if measured is not None:
        # It makes tables of hundreds of megabytes, which nobody else needs.
        from hotrow.distributed.simulate.measure import measure  # noqa: PLC0415

        found = measure(rule)
        found.save(measured)
        return found
    return RECORDED if saved is None else Costs.load(saved)
