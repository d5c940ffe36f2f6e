"""The DLRM, in which rank 1 is killed once, when it asks for its share of a batch: `marker batch arguments...`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from hotrow.distributed import Comm
from hotrow.examples import dlrm
from hotrow.examples.clicks import Clicks

own = dlrm.own


def main(marker: Path, batch: int, arguments: list[str]) -> None:
    """Trains; the shares of batches are counted."""
    shares = 0

    def counted(whole: Clicks, comm: Comm) -> Clicks:
        nonlocal shares
        shares += 1
        if shares == batch and comm.rank == 1 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return own(whole, comm)

    dlrm.own = counted
    dlrm.main(arguments)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
