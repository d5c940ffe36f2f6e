"""The benchmark over processes: it runs, finds what is wrong, and ends what does not come to an end."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import hotrow
import numpy as np
import pytest
from hotrow.distributed import LocalComm, ShardedEmbeddingBagCollection, plan

BENCHES = Path(__file__).resolve().parents[1] / "benches"

pytestmark = pytest.mark.thread_unsafe
pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))


def _batches(optimizer: str = "rowwise_adagrad") -> Any:
    from acrossranks.batches import Batches  # noqa: PLC0415
    from sidebyside.workloads import Workload  # noqa: PLC0415

    given = Workload("small", "train_step", 40, 8, "f32", tables=3, bags=10, bag_len=(4, 2, 1), pooling="sum")
    return Batches(replace(given, optimizer=optimizer))


def _sharded(batches: Any, lr: float = 0.05) -> ShardedEmbeddingBagCollection:
    configs = batches.configs()
    optimizer = (batches.work.optimizer, {"lr": lr, "eps": 1e-8})
    return ShardedEmbeddingBagCollection(configs, plan(configs, world_size=1), LocalComm(), optimizer=optimizer)


def test_a_run_checks_times_and_keeps(tmp_path: Path) -> None:
    program, kept = str(BENCHES / "sharded.py"), str(tmp_path / "run.json")
    command = [sys.executable, program, "--quick", "--parts", "overhead", "--timeout", "120", "--json", kept]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads(Path(kept).read_text())
    (table,) = run["tables"]
    assert [row["contender"] for row in table["rows"]][::2] == ["1 process x 2 threads", "2 processes x 1 thread"]
    assert all(0 < row["ms_min"] <= row["ms_median"] <= row["ms_max"] for row in table["rows"])
    again = subprocess.run([sys.executable, program, "--from", kept], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-3:] == again.stdout.rstrip().splitlines()[-3:]


def test_ranks_that_fail_or_hang_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from acrossranks import launch  # noqa: PLC0415

    monkeypatch.setattr(launch, "_GRACE", 0.2)
    with pytest.raises(launch.PartError, match=r"No module named 'acrossranks\.parts\.none'"):
        launch.launch("none", 2, 60.0)
    # What every rank waits for will not happen: one rank of two is there.
    (tmp_path / "sitecustomize.py").write_text("import sys, time\nif sys.argv[-1:] == ['1']: time.sleep(600)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(launch.PartError, match=r"^not done after 3 s: "):
        launch.launch("costs", 2, 3.0, rule="sgd", quick=True)


def test_shares_make_up_the_batch() -> None:
    from acrossranks.batches import ALL, Share  # noqa: PLC0415

    batches = _batches()
    whole = batches.batch(1, ALL)
    parts = [batches.batch(1, Share(rank, 3)) for rank in range(3)]
    assert sum(len(part.values) for part in parts) == len(whole.values) == 70
    first = [part.values[: part.lengths[: len(part.lengths) // 3].sum()] for part in parts]
    np.testing.assert_array_equal(np.concatenate(first), whole.values[:40])
    grads = np.concatenate([batches.grad_of(Share(rank, 3)) for rank in range(3)])
    np.testing.assert_array_equal(grads, batches.grad_of(ALL))


def test_other_tables_than_those_of_one_process_are_told() -> None:
    from acrossranks import check  # noqa: PLC0415
    from acrossranks.batches import ALL  # noqa: PLC0415

    batches = _batches()
    for lr, matching in ((0.05, None), (0.0500001, "the rows of t0 after a step are not those of one process")):
        plain = hotrow.EmbeddingBagCollection(batches.configs()).with_optimizer("rowwise_adagrad", lr=lr, eps=1e-8)
        if matching is None:
            check.first_step(LocalComm(), plain, _sharded(batches), batches, ALL)
        else:
            with pytest.raises(AssertionError, match=matching):
                check.first_step(LocalComm(), plain, _sharded(batches), batches, ALL)


@pytest.mark.parametrize("rule", ["rowwise_adagrad", "adagrad"])
def test_a_plain_step_is_the_collections(rule: str) -> None:
    from acrossranks.batches import ALL  # noqa: PLC0415
    from acrossranks.plainly import Expected, require_close  # noqa: PLC0415

    batches, whole = _batches(rule), slice(0, 8)
    tables = _sharded(batches)
    expected = Expected(batches, ALL, tables)
    batch = batches.batch(0, ALL)
    require_close(tables.forward(batches.keys, batch.values, lengths=batch.lengths), expected.output, "the output")
    tables.backward(batches.grad)
    halves = [slice(0, 4), slice(4, 8)]
    for table, rows in enumerate(expected.rows):
        got = tables.gather_table(f"t{table}")[rows]
        require_close(got, expected.stepped(table, whole, [whole]), "the rows")
        cut = expected.stepped(table, whole, halves)
        if rule == "adagrad":
            require_close(got, cut, "the rows")
        else:
            with pytest.raises(AssertionError, match="it is off by"):
                require_close(got, cut, "the rows")
