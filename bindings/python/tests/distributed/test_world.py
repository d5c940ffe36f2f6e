"""Which processes an example finds itself among."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hotrow.distributed import Comm
from ranks import on_ranks

pytestmark = pytest.mark.thread_unsafe
pytest.importorskip("torch")


def joins(comm: Comm) -> tuple[int, int, bool]:
    """A group that is there already, as Ray Train makes it, is joined and left as it is."""
    import torch.distributed  # noqa: PLC0415
    from hotrow import get_num_threads  # noqa: PLC0415
    from hotrow.examples import world  # noqa: PLC0415

    with world.joined("torch") as found:
        ranks = found.all_gather(comm.rank)
        assert ranks == list(range(comm.size))
        threads = get_num_threads()
    return len(ranks), threads, torch.distributed.is_initialized()


def test_a_group_that_is_there_is_joined() -> None:
    # PyTorch's threads are those of OMP_NUM_THREADS, which is 1 there.
    assert on_ranks("torch", 2, joins) == [(2, 1, True)] * 2


def test_the_example_does_without_mpi_and_ray() -> None:
    without = "import sys; sys.modules.update(mpi4py=None, ray=None)"
    program = f"{without}; from hotrow.examples import dlrm; dlrm.parse(['--examples', '9'])"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
