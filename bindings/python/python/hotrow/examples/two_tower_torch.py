"""A two-tower recommender in PyTorch, with its own embedding module or hotrow's.

python -m hotrow.examples.two_tower_torch --embedding hotrow
python -m hotrow.examples.two_tower_torch --embedding torch
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

import hotrow.torch
from hotrow.examples.options import Options, parse


def tower(options: Options, rows: int) -> torch.nn.Module:
    """From an id to a vector: an embedding here; more modules may follow it. The class is all that differs."""
    start = torch.randn(rows, options.dim) * 0.1
    if options.embedding == "torch":
        own: torch.nn.Module = torch.nn.Embedding.from_pretrained(start, freeze=False)
        return own
    if options.fused is None:
        dense: torch.nn.Module = hotrow.torch.Embedding.from_pretrained(start, freeze=False)
        return dense
    fused_options = {"lr": options.lr}
    return hotrow.torch.Embedding(rows, options.dim, _weight=start, fused=options.fused, fused_options=fused_options)


@torch.no_grad()
def vectors(side: torch.nn.Module, rows: int) -> NDArray[np.float32]:
    """All vectors of a tower."""
    return np.asarray(side(torch.arange(rows)))


def main(arguments: Sequence[str] | None = None) -> float:
    """Trains, prints an epoch a line, and returns the last hit rate."""
    options = parse("torch", arguments)
    data = options.data
    torch.manual_seed(options.seed)
    users, items = tower(options, data.users), tower(options, data.items)
    # What hotrow trains by itself has no gradient, and the optimizer leaves it alone.
    optimizer = torch.optim.Adagrad([*users.parameters(), *items.parameters()], lr=options.lr)

    rng = np.random.default_rng(options.seed)
    rate = 0.0
    for epoch in range(1, options.epochs + 1):
        triples = [torch.from_numpy(ids) for ids in data.triples(rng)]
        total = 0.0
        begin = time.perf_counter()
        for user, item, other in zip(*(ids.split(options.batch) for ids in triples), strict=True):
            optimizer.zero_grad()
            found = users(user), items(item), items(other)
            margin = (found[0] * (found[1] - found[2])).sum(dim=1)
            # That the user's own item scores higher: the logistic loss of the margin.
            loss = torch.nn.functional.softplus(-margin).mean()
            loss = loss + options.l2 * sum((rows**2).sum(dim=1).mean() for rows in found)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(user)
        seconds = time.perf_counter() - begin
        rate = data.hit_rate(vectors(users, data.users), vectors(items, data.items))
        print(f"epoch {epoch}: loss {total / len(triples[0]):.4f}, HR@10 {rate:.4f}, {seconds:.2f} s")
    return rate


if __name__ == "__main__":
    main()
