"""The DLRM under Ray Train: the same training as under torchrun, also when a worker is killed."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hotrow.distributed import Comm
from ranks import HERE, on_ranks

pytestmark = pytest.mark.thread_unsafe
# Nothing of it is imported here: that takes seconds.
if not all(map(importlib.util.find_spec, ("ray", "pyarrow", "pandas", "torch"))):
    pytest.skip("there is no ray[train]", allow_module_level=True)

SECONDS = 300.0
"""After which Ray is ended."""
TRAINING = ["--examples", "1500", "--rows", "50", "--dim", "8", "--batch", "100", "--epochs", "1"]
STEPS = 12


def trained(comm: Comm) -> float:
    """Without Ray."""
    from hotrow.examples import dlrm  # noqa: PLC0415

    return dlrm.main(TRAINING)


def on_ray(folder: Path, *arguments: str) -> str:
    """What a driver prints that runs `killed_once` in two workers."""
    program = (
        "import sys; from hotrow.examples import on_ray; print('AUC', on_ray.run('killed_once', sys.argv[1:], 2, 1))"
    )
    environment = {
        **os.environ,
        "HOME": str(folder),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]),
    }
    environment.pop("RAY_ADDRESS", None)
    with (folder / "said").open("w+") as said:
        driver = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdout=said,
            stderr=said,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            driver.wait(SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Ray's own processes end with it.
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGKILL)
                driver.wait()
        said.seek(0)
        text = said.read()
    assert driver.returncode == 0, text
    return text


def test_a_training_whose_worker_is_killed_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    log = tmp_path / "steps"
    said = on_ray(tmp_path, str(log), "5", *TRAINING, "--checkpoint", "saved", "--every", "3")
    assert log.read_text().split() == ["done"] * 4 + ["killed"] + ["done"] * (STEPS - 3)
    (line,) = [line for line in said.splitlines() if line.startswith("AUC ")]
    assert [float(line.split()[1])] * 2 == on_ranks("torch", 2, trained)
