"""Starts the ranks of a part, and ends them when they take too long."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_POLL = 0.05
_GRACE = 5.0
"""Seconds that ranks have to say why they fail, once one has."""


class PartError(RuntimeError):
    """A part that did not come to its end."""


def launch(part: str, ranks: int, timeout: float, **options: Any) -> Any:
    """What rank 0 of so many has found; all of them are gone afterwards.

    Raises:
        PartError: A rank failed, or not all came to an end in time.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        call = {"part": part, "ranks": ranks, "timeout": timeout, "options": options}
        (folder / "call.json").write_text(json.dumps(call))
        logs = [folder / f"log-{rank}" for rank in range(ranks)]
        started = []
        try:
            for rank, log in enumerate(logs):
                command = [sys.executable, "-m", "acrossranks.worker", name, str(rank)]
                with log.open("wb") as to:
                    started.append(
                        subprocess.Popen(command, stdout=to, stderr=to, env=_environment(), start_new_session=True)
                    )
            late = _wait(started, timeout)
        finally:
            for process in started:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        failed = [rank for rank, process in enumerate(started) if process.returncode]
        if failed:
            # Where all ranks refuse the same, once is enough.
            reasons = "; ".join(dict.fromkeys(_reason(logs[rank]) for rank in failed))
            raise PartError(f"not done after {timeout:.0f} s: {reasons}" if late else reasons)
        return json.loads((folder / "found.json").read_text())


def _wait(started: list[subprocess.Popen[bytes]], timeout: float) -> bool:
    """Returns when all have ended, or one has failed and the others had time to notice; whether it was too late."""
    end = time.monotonic() + timeout
    while any(process.poll() is None for process in started):
        now = time.monotonic()
        if now > end:
            return True
        if any(process.poll() for process in started):
            end = min(end, now + _GRACE)
        time.sleep(_POLL)
    return False


def _environment() -> dict[str, str]:
    """One thread for whatever asks the environment, the loopback interface, and the modules of this process."""
    here = str(Path(__file__).parents[1])
    return {
        **os.environ,
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": os.pathsep.join([here, *filter(None, sys.path)]),
    }


def _reason(log: Path) -> str:
    """The last line that says something, without PyTorch's mark of the rank."""
    lines = [re.sub(r"^\[rank\d+\]: ", "", line).strip() for line in log.read_text(errors="replace").splitlines()]
    said = [line for line in lines if line]
    return said[-1][:300] if said else "a rank ended without a word"
