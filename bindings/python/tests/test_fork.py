"""A process that is forked after use: its child has none of the parent's threads, and must not wait for them."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import hotrow
import numpy as np
import pytest
from plain import draw

pytestmark = [
    pytest.mark.thread_unsafe,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork"),
    # Python warns of forks in a process with threads; that is what is tested.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
SECONDS = 60
TABLE = draw(np.random.default_rng(11), 2000, 64)
IDS = np.random.default_rng(12).integers(0, 2000, 20_000)


@pytest.fixture(autouse=True)
def used() -> None:
    """The parent's threads are there."""
    hotrow.gather(TABLE, IDS)


def right(_: int = 0) -> bool:
    """Does work for several threads, and memory out of the cache."""
    table = hotrow.Table(TABLE.copy())
    for _ in range(3):
        rows = table.gather(IDS)
        if rows.tobytes() != TABLE[IDS].tobytes():
            return False
        del rows
    table.scatter_add(IDS, np.zeros((len(IDS), 64), np.float32))
    return bool((table.array == TABLE).all()) and table.embedding_bag(IDS, [0, 5000]).shape == (2, 64)


def in_child(work: Callable[[], bool] = right) -> int:
    """Forks, does the work there, and gives the child's exit status; a child that hangs is ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


def test_a_child_works_and_so_does_the_parent() -> None:
    assert in_child() == 0
    assert right()
    assert in_child() == 0


def test_a_grandchild_works() -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        assert pool.map_async(right, range(4)).get(SECONDS) == [True] * 4
    assert right()


def test_a_child_sees_its_own_table_only() -> None:
    table = hotrow.Table(TABLE.copy())
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        table.scatter_add(IDS, np.ones((len(IDS), 64), np.float32))
        os.write(write, b"done")
        os._exit(0)
    assert os.read(read, 4) == b"done"
    os.waitpid(child, 0)
    assert (table.array == TABLE).all()


def test_threads_that_were_asked_for_are_had_in_the_child(restored: None) -> None:
    hotrow.set_num_threads(3)
    hotrow.gather(TABLE, IDS)
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        assert pool.apply_async(hotrow.get_num_threads).get(SECONDS) == 3


def test_a_spawned_process_has_tables_by_pickle() -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        found = pool.apply_async(hotrow.gather, (hotrow.Table(TABLE), IDS[:100])).get(SECONDS)
    assert (found == TABLE[IDS[:100]]).all()


def test_no_other_threads_are_made(restored: None, tmp_path: Path) -> None:
    """With one thread everything is done by that one; threads of anybody else would be missed in the child."""

    def everything() -> bool:
        table = hotrow.Table.init(5000, 70, dtype="float16")
        other = copy.deepcopy(table)
        other.save(tmp_path / f"{os.getpid()}.safetensors")
        loaded = hotrow.load(tmp_path / f"{os.getpid()}.safetensors")
        ids = IDS.reshape(-1, 4)
        grad = hotrow.embedding_bag(table, ids, mode="mean")
        hotrow.bag_weight_grad(table, ids, grad, mode="mean")
        hotrow.gather_dense_grad(IDS, hotrow.gather(table, IDS), 5000, 70, scale_grad_by_freq=True)
        hotrow.similar(table, np.ones((3, 70)))
        return bool((loaded.array == table.array).all()) and right()

    hotrow.set_num_threads(1)
    assert everything()
    assert in_child(everything) == 0
