"""The DLRM, whose rank 1 is killed once in the midst of its training."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from hotrow.distributed import ShardedEmbeddingBagCollection
from hotrow.examples import dlrm
from numpy.typing import ArrayLike


def main(arguments: Sequence[str]) -> float:
    """The first argument is a file that rank 1 adds a line to in each step, the second is the step that kills it."""
    log, last = Path(arguments[0]), int(arguments[1])
    was_killed = log.exists()
    step = ShardedEmbeddingBagCollection.backward
    steps = 0

    def backward(collection: ShardedEmbeddingBagCollection, grad: ArrayLike) -> None:
        nonlocal steps
        if collection.comm.rank == 1:
            steps += 1
            with log.open("a") as lines:
                lines.write("killed\n" if steps == last and not was_killed else "done\n")
            if steps == last and not was_killed:
                os.kill(os.getpid(), signal.SIGKILL)
        step(collection, grad)

    setattr(ShardedEmbeddingBagCollection, "backward", backward)  # noqa: B010
    return dlrm.main(arguments[2:])


if __name__ == "__main__":
    main(sys.argv[1:])
