"""The program that trains a DLRM: its data are as said, and it learns what was planted."""

from __future__ import annotations

import doctest
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hotrow.examples import clicks, dlrm
from hotrow.examples.clicks import Clicks

SMALL = ["--examples", "20000", "--rows", "100", "--dim", "4", "--epochs", "1", "--batch", "256", "--lr", "0.05"]
QUICK = [*SMALL, "--examples", "4000"]


def test_docstrings() -> None:
    failed, attempted = doctest.testmod(clicks)
    assert attempted
    assert not failed


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.libfm"
    path.write_text("1 3:1 10:1\n-1 4:1 10:1\n-1 3:1 12:1\n1 9:1 10:1\n")
    data = clicks.read([path, path])
    assert data.rows == {"f0": 3, "f1": 2}
    assert sorted(zip(data.labels.tolist(), data.ids["f0"].tolist(), data.ids["f1"].tolist(), strict=True)) == [
        *[(0.0, 0, 1)] * 2,
        *[(0.0, 1, 0)] * 2,
        *[(1.0, 0, 0)] * 2,
        *[(1.0, 2, 0)] * 2,
    ]
    path.write_text("1 3:1 10:1\n-1 4:1\n")
    with pytest.raises(ValueError, match="as many features"):
        clicks.read([path])


def test_parts_make_up_the_whole() -> None:
    data = clicks.synthetic(examples=100, rows=30, seed=1)
    parts = data.parts(33)
    assert [len(part) for part in parts] == [33, 33, 33, 1]
    for name in data.rows:
        assert np.array_equal(np.concatenate([part.ids[name] for part in parts]), data.ids[name])
        assert [part.lengths[name].sum() for part in parts] == [len(part.ids[name]) for part in parts]
        assert data.ids[name].max() < data.rows[name]
    train, test = data.split(0.25)
    assert (len(train), len(test)) == (75, 25)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_of_ranks_make_up_a_batch(size: int) -> None:
    class _Rank:
        def __init__(self, rank: int) -> None:
            self.rank, self.size = rank, size

    data = clicks.synthetic(examples=5, rows=30)
    shares: list[Clicks] = [dlrm.own(data, _Rank(rank)) for rank in range(size)]  # type: ignore[arg-type]
    assert np.array_equal(np.concatenate([share.labels for share in shares]), data.labels)


def test_auc() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 50).astype(np.float32)
    scores = rng.integers(0, 9, 50).astype(np.float32)
    apart = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    assert clicks.auc(labels, scores) == pytest.approx(np.mean((apart > 0) + 0.5 * (apart == 0)))
    assert np.isnan(clicks.auc(np.ones(3, np.float32), scores[:3]))


def test_it_learns_and_its_tables_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = dlrm.main(SMALL)
    said = capsys.readouterr().out
    assert f"AUC {found:.4f}" in said
    assert "samples/s" in said
    assert "MB exchanged" in said
    assert found > dlrm.main([*SMALL, "--lr", "0"]) + 0.05


def run(*command: str) -> str:
    """What a program with processes of its own prints. They end with it, or when it has taken too long."""
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as program:
        try:
            said, _ = program.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            raise
    assert program.returncode == 0, said
    return said


@pytest.mark.parametrize("transport", ["torch", "mpi"])
def test_two_processes_learn_what_one_does(transport: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = ["-m", "hotrow.examples.dlrm", *QUICK, "--comm", transport]
    if transport == "torch":
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *program]
    else:
        pytest.importorskip("mpi4py")
        command = [str(Path(sys.executable).with_name("mpiexec")), "-n", "2", sys.executable, "-m", "mpi4py", *program]
    said = run(*command)
    alone = dlrm.main(QUICK)
    expected = re.search(r"loss (\S+),", capsys.readouterr().out)
    found = re.search(r"loss (\S+), AUC (\S+), .* (\S+) MB exchanged", said)
    assert expected is not None
    assert found is not None, said
    # Sums of dense gradients are in another order.
    assert float(found[1]) == pytest.approx(float(expected[1]), abs=1e-3)
    assert float(found[2]) == pytest.approx(alone, abs=1e-3)
    assert float(found[3]) > 0
