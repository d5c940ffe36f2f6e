"""Runs a function at several ranks, each a process, and brings back what became of each.

Processes that hang are ended, and say where they were.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest

Transport: TypeAlias = Literal["torch", "mpi"]
"""How the ranks are connected."""
HERE = Path(__file__).parent
SECONDS = 120.0
"""After which ranks that are still there are ended."""
# mpiexec ends all ranks when one is killed. Here it sees shells only, and those leave when all ranks have ended.
TOGETHER = """
folder=$0 size=$1; shift
"$@"
touch "$folder/ended-$$"
while set -- "$folder"/ended-*; [ $# -lt "$size" ] && [ -d "$folder" ]; do sleep 0.05; done
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a rank."""

    value: Any = None
    """What the function returned."""
    error: Exception | None = None
    """What it raised, if that can be pickled."""
    trace: str | None = "it ended without a word"
    """Where it raised that; `None` if it returned."""


def on_ranks(transport: Transport, size: int, body: Callable[..., Any], *args: object) -> list[Any]:
    """Calls `body(comm, *args)` at every rank and returns their values; an error at any of them fails the test."""
    found, log = outcomes(transport, size, body, *args)
    wrong = [f"rank {rank}: {one.trace}" for rank, one in enumerate(found) if one.trace is not None]
    if wrong:
        pytest.fail("\n".join([*wrong, log]), pytrace=False)
    return [one.value for one in found]


def outcomes(
    transport: Transport, size: int, body: Callable[..., Any], *args: object, comm_timeout: float = 60.0
) -> tuple[list[Outcome], str]:
    """Calls `body(comm, *args)` at every rank; what became of each, and what they printed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "call").write_bytes(pickle.dumps((body.__module__, body.__qualname__, args)))
        with (folder / "log").open("ab") as log:
            run([[*command, str(comm_timeout)] for command in commands(transport, size, folder)], log.fileno())
        texts = [folder / f"outcome-{rank}" for rank in range(size)]
        found = [pickle.loads(text.read_bytes()) if text.exists() else Outcome() for text in texts]
        return found, (folder / "log").read_text(errors="replace")


def commands(transport: Transport, size: int, folder: Path) -> list[list[str]]:
    """What to start: `mpiexec` starts all ranks, without it each is started by itself."""
    program = [sys.executable, str(HERE / "rank.py"), transport, str(folder)]
    if transport == "torch":
        return [[*program, str(size), str(rank)] for rank in range(size)]
    launcher = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if launcher is None:
        pytest.skip("there is no mpiexec")
    shells = [launcher, "-launcher", "fork", "-n", str(size), "sh", "-c", TOGETHER, str(folder), str(size)]
    return [[*shells, *program, str(size), "-1"]]


def run(commands: Sequence[Sequence[str]], log: int) -> None:
    """Waits for all of them, and ends those that take too long."""
    environment = {
        **os.environ,
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]),
    }
    started = [
        subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        for command in commands
    ]
    end = time.monotonic() + SECONDS
    try:
        for process in started:
            process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
