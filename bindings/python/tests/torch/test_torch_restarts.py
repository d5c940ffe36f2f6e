"""The DLRM with checkpoints: whatever stops it, and whenever, it ends as if nothing had."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hotrow.examples import dlrm
from test_torch_dlrm import run

KILLED = Path(__file__).parent.parent / "distributed" / "killed_once.py"
# For training there are 3,200 examples: 13 batches, which are gone through twice.
OPTIONS = ["--examples", "4000", "--rows", "60", "--dim", "4", "--epochs", "2", "--batch", "256", "--lr", "0.05"]


def saved(folder: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The newest checkpoint: the bytes of its files, and the dense layers."""
    step = max(int(path.stem.split("-")[1]) for path in folder.glob("step-*.json"))
    files = {path.name: path.read_bytes() for path in folder.glob(f"step-{step}.*")}
    return files, torch.load(folder / f"dense-{step}.pt", weights_only=True)


def same(found: Any, expected: Any) -> None:
    """Equal to the bit, however it is nested."""
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            same(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for each in zip(found, expected, strict=True):
            same(*each)
    else:
        assert found == expected


def check(found: Path, expected: Path) -> None:
    """Two folders end with the same checkpoint."""
    (files, dense), (wanted_files, wanted_dense) = saved(found), saved(expected)
    assert files == wanted_files
    same(dense, wanted_dense)


def test_a_rank_that_is_killed_costs_time_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = [*OPTIONS, "--fused", "adam", "--every", "3", "--keep", "2", "--checkpoint"]
    run(*torchrun, "-m", "hotrow.examples.dlrm", *options, str(tmp_path / "whole"))
    # Restarted processes may find addresses of those before them in a store that lives on.
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    killed = [str(KILLED), str(tmp_path / "steps"), "9"]
    said = run(*torchrun, "--max-restarts", "1", *killed, *options, str(tmp_path / "killed"))
    assert (tmp_path / "steps").read_text().split() == ["done"] * 8 + ["killed"] + ["done"] * 20
    assert "which has 6 of 26 batches behind it" in said
    check(tmp_path / "killed", tmp_path / "whole")
    # The last two, each a manifest, dense layers and a file of each rank; and the lock.
    assert len(os.listdir(tmp_path / "killed")) == 2 * 4 + 1


def test_a_training_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*OPTIONS, "--every", "5", "--checkpoint"]
    found = dlrm.main([*options, str(tmp_path / "whole")])
    for epochs in ("1", "2"):
        last = dlrm.main([*options, str(tmp_path / "parts"), "--epochs", epochs])
    assert last == found
    check(tmp_path / "parts", tmp_path / "whole")
    assert "which has 13 of 26 batches behind it" in capsys.readouterr().out
    # There is nothing left.
    assert dlrm.main([*options, str(tmp_path / "parts")]) == found
    assert "which has 26 of 26 batches behind it" in capsys.readouterr().out
    # From within an epoch.
    for name in os.listdir(tmp_path / "parts"):
        step = re.search(r"-(\d+)", name)
        if step is not None and int(step[1]) > 20:
            (tmp_path / "parts" / name).unlink()
    dlrm.main([*options, str(tmp_path / "parts")])
    assert "which has 20 of 26 batches behind it" in capsys.readouterr().out
    check(tmp_path / "parts", tmp_path / "whole")


def test_another_training_is_refused(tmp_path: Path) -> None:
    options = [*OPTIONS, "--epochs", "1", "--checkpoint", str(tmp_path)]
    dlrm.main(options)
    with pytest.raises(ValueError, match="is of another training: seed is 1 here and 0 there"):
        dlrm.main([*options, "--seed", "1"])
    with pytest.raises(SystemExit):
        dlrm.main([*options, "--every", "0"])
