"""The command line that both programs have."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from hotrow.examples.interactions import Interactions, read, synthetic


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    embedding: str
    fused: str | None
    data: Interactions
    dim: int
    epochs: int
    batch: int
    lr: float
    l2: float
    seed: int


def parse(framework: str, arguments: Sequence[str] | None = None) -> Options:
    """Reads the command line; `framework` names the embedding that hotrow's replaces."""
    parser = argparse.ArgumentParser(description=f"A two-tower recommender in {framework}, with either embedding.")
    parser.add_argument("--embedding", choices=["hotrow", framework], default="hotrow")
    parser.add_argument("--fused", default="adagrad", help="hotrow's optimizer, or none for the framework's")
    parser.add_argument("--data", help="tab-separated, as RecBole's ml-100k.inter; made up without")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--l2", type=float, default=0.01, help="how much long vectors cost")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    return Options(
        embedding=given.embedding,
        fused=None if given.fused == "none" or given.embedding != "hotrow" else given.fused,
        data=read(given.data) if given.data else synthetic(),
        dim=given.dim,
        epochs=given.epochs,
        batch=given.batch,
        lr=given.lr,
        l2=given.l2,
        seed=given.seed,
    )
