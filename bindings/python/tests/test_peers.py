"""The benchmark: what it draws, what it refuses, and that it runs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

BENCHES = Path(__file__).resolve().parents[1] / "benches"

SMALL = [
    {"name": "gather-small", "op": "gather", "rows": 500, "dim": 8, "dtype": "f32", "ids": 40},
    {"name": "gather-bits", "op": "gather", "rows": 500, "dim": 8, "dtype": "f16", "out_dtype": "f32", "ids": 40},
    {"name": "bag-small", "op": "bag", "rows": 500, "dim": 8, "dtype": "f32", "bags": 10, "bag_len": 4, "padding": 0.3},
    {"name": "bags", "op": "bag", "tables": 2, "rows": 90, "dim": 4, "dtype": "f32", "bags": 9, "bag_len": [1, 3]},
    {"name": "scatter", "op": "scatter_add", "rows": 50, "dim": 8, "dtype": "f32", "ids": 200, "dist": {"hot": 0.5}},
    {"name": "train-bags", "op": "train_step", "rows": 50, "dim": 8, "dtype": "f32", "bags": 9, "bag_len": 4,
     "pooling": "sum", "optimizer": "adam", "dist": {"zipf": 1.1}},
    {"name": "train-rows", "op": "train_step", "rows": 50, "dim": 8, "dtype": "f32", "ids": 60, "optimizer": "adagrad"},
]  # fmt: skip


@pytest.fixture
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))


def _peers(*arguments: str) -> str:
    command = [sys.executable, str(BENCHES / "peers.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_run_checks_times_and_keeps(tmp_path: Path) -> None:
    workloads, kept = tmp_path / "small.json", tmp_path / "run.json"
    workloads.write_text(json.dumps({"schema": 1, "workloads": SMALL}))
    # What is between NumPy and PyTorch knows bfloat16.
    peers = "numpy,torch" if all(map(importlib.util.find_spec, ("torch", "ml_dtypes"))) else "numpy"
    shown = _peers("--workloads", str(workloads), "--peers", peers, "--threads", "1", "--quick", "--json", str(kept))
    run = json.loads(kept.read_text())
    assert run["left_out"] == []
    assert {each["workload"] for each in run["results"]} == {each["name"] for each in SMALL}
    assert all(0 < each["ms_min"] <= each["ms_median"] <= each["ms_max"] for each in run["results"])
    contenders = Counter((each["workload"], each["variant"]) for each in run["results"])
    assert contenders["gather-small", "allocated"] >= 2
    assert contenders["gather-small", "out"] >= 2
    assert "gather-small, allocated" in shown
    again = _peers("--from", str(kept))
    assert "gather-small, out" in again
    assert run["machine"]["cpu"] in again


def test_help_teaches_by_example() -> None:
    assert "examples:\n  peers.py" in _peers("--help")


@pytest.mark.usefixtures("_importable")
def test_draws_are_of_their_distributions() -> None:
    from sidebyside.draw import drawer  # noqa: PLC0415

    rng = np.random.default_rng(3)
    hot = Counter(drawer({"hot": 0.5}, 1000, rng)(10_000).tolist()).most_common(2)
    assert 4500 < hot[0][1] < 5500
    assert hot[1][1] < 50
    zipf = Counter(drawer({"zipf": 1.05}, 1000, rng)(50_000).tolist()).most_common(2)
    assert 1.7 < zipf[0][1] / zipf[1][1] < 2.5
    production = drawer("production", 100_000, rng)(49_152)
    assert production.size == 49_152
    # On average a row is touched some ten times, and some only once.
    touched = np.unique(production, return_counts=True)[1]
    assert 8 < touched.mean() < 18
    assert 0.02 < (touched == 1).sum() / production.size < 0.035


@pytest.mark.usefixtures("_importable")
def test_wrong_results_are_told() -> None:
    from sidebyside.check import difference, expected  # noqa: PLC0415
    from sidebyside.data import Data  # noqa: PLC0415
    from sidebyside.workloads import Workload  # noqa: PLC0415

    data = Data(Workload("g", "gather", 100, 4, "f32", ids=10))
    wanted = expected(data)
    assert difference(data, wanted, wanted.copy()) is None
    assert difference(data, wanted, np.nextafter(wanted, np.float32(1))) == "differs in bits"
    bags = Data(Workload("b", "bag", 100, 4, "f32", bags=5, bag_len=(3,), pooling="sum"))
    sums = expected(bags).astype(np.float32)
    assert difference(bags, expected(bags), sums) is None
    assert difference(bags, expected(bags), sums * np.float32(1.001)) is not None
    assert difference(bags, expected(bags), sums[:-1]) == "has the shape (4, 4), not (5, 4)"


def test_workloads_are_those_of_the_command() -> None:
    """Its list has some more, of operations that the peers do not have."""
    theirs = json.loads((BENCHES.parents[2] / "cli/src/bench/standard.json").read_text())["workloads"]
    assert all(each in theirs for each in json.loads((BENCHES / "standard.json").read_text())["workloads"])


@pytest.mark.usefixtures("_importable")
def test_figures_are_of_workloads_that_exist() -> None:
    from sidebyside.figures import FIGURES  # noqa: PLC0415
    from sidebyside.workloads import load  # noqa: PLC0415

    names = {each.name for each in load((BENCHES / "standard.json", BENCHES / "more.json"))}
    assert {figure.workload for figure in FIGURES} <= names
