"""Several threads: Python's, and the engine's own."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import hotrow
import numpy as np
import pytest
from plain import draw, same

# These make threads of their own, and change how many the engine has.
pytestmark = pytest.mark.thread_unsafe

SECONDS = float(os.environ.get("HOTROW_MUTATION_SECONDS", "2"))


def test_results_do_not_depend_on_threads(rng: np.random.Generator, restored: None) -> None:
    table = draw(rng, 3000, 48)
    ids = rng.zipf(1.2, (700, 30)) % 3000
    source = rng.standard_normal((700, 30, 48)).astype(np.float32)
    results = []
    for threads in (1, 2, 3, 7):
        hotrow.set_num_threads(threads)
        assert hotrow.get_num_threads() == threads
        changed = table.copy()
        hotrow.scatter_add(changed, ids, source, alpha=0.1)
        results.append((hotrow.gather(table, ids), hotrow.embedding_bag(table, ids, mode="mean"), changed))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            same(a, b)
    hotrow.set_num_threads(0)
    assert hotrow.get_num_threads() >= 1


def test_the_level_has_a_name() -> None:
    assert hotrow.level() in ("portable", "avx2", "avx512")


def test_ids_written_by_another_thread_do_no_harm(rng: np.random.Generator) -> None:
    """Ids are read once. Whatever they become between two reads, rows of the table come out, or an error."""
    table = hotrow.Table(np.repeat(np.arange(100, dtype=np.float32)[:, None], 24, 1))
    ids = rng.integers(0, 100, 20_000)
    wild = rng.integers(-(2**63), 2**63 - 1, 20_000)
    stop = threading.Event()

    def mutate() -> None:
        while not stop.is_set():
            ids[::7] = wild[::7]
            ids[::7] %= 100

    thread = threading.Thread(target=mutate)
    thread.start()
    refused = 0
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                rows = table.gather(ids)
                assert (rows == rows[:, :1]).all()
                assert 0 <= rows.min() <= rows.max() < 100
                table.embedding_bag(ids, [0, 5000, 5000])
                table.scatter_add(ids, rows, alpha=0.0)
            except IndexError:
                refused += 1
    finally:
        stop.set()
        thread.join()
    assert (table.array == np.arange(100, dtype=np.float32)[:, None]).all()


def test_offsets_written_by_another_thread_do_no_harm(rng: np.random.Generator) -> None:
    table = hotrow.Table(np.ones((50, 8), np.float32))
    ids = rng.integers(0, 50, 30_000)
    good = np.arange(0, 30_000, 3)
    offsets = good.copy()
    stop = threading.Event()

    def mutate() -> None:
        while not stop.is_set():
            offsets[5000:] = 2**62
            offsets[:] = good

    thread = threading.Thread(target=mutate)
    thread.start()
    try:
        end = time.monotonic() + SECONDS / 4
        while time.monotonic() < end:
            with contextlib.suppress(ValueError):
                assert table.embedding_bag(ids, offsets).sum() == 30_000 * 8
    finally:
        stop.set()
        thread.join()


def test_python_runs_meanwhile(rng: np.random.Generator) -> None:
    table = hotrow.Table.init(50_000, 128)
    ids = rng.integers(0, 50_000, 400_000)
    out = np.empty((400_000, 128), np.float32)
    stamps: list[float] = []
    stop = threading.Event()

    def stamp() -> None:
        while not stop.is_set():
            stamps.append(time.perf_counter())
            time.sleep(0.0005)

    thread = threading.Thread(target=stamp)
    thread.start()
    try:
        for _ in range(10):
            start = time.perf_counter()
            table.gather(ids, out=out)
            end = time.perf_counter()
            inside = [start, *(at for at in stamps if start < at < end), end]
            # Of a call that kept the interpreter to itself there would be no stamp but near its ends.
            if max(np.diff(inside)) < (end - start) / 2:
                break
        else:
            pytest.fail("no other thread ran during a long call")
    finally:
        stop.set()
        thread.join()


def test_one_table_in_many_threads(rng: np.random.Generator) -> None:
    table = hotrow.Table.zeros(100, 40)
    ids = rng.integers(0, 100, (8, 3000))
    ones = np.ones((3000, 40), np.float32)

    def work(k: int) -> None:
        for _ in range(3):
            table.scatter_add(ids[k], ones)
            rows = table.gather(ids[k])
            # A lookup sees whole updates: all columns of a row are the same.
            assert (rows == rows[:, :1]).all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    same(table.array, np.repeat(3 * np.bincount(ids.ravel(), minlength=100).astype(np.float32)[:, None], 40, 1))


def test_threads_are_set_while_calls_run(rng: np.random.Generator, restored: None) -> None:
    table = hotrow.Table(draw(rng, 500, 64))
    ids = rng.integers(0, 500, 20_000)
    expected = table.array[ids]

    def work(k: int) -> None:
        for at in range(10):
            if k == 0:
                hotrow.set_num_threads(1 + at % 3)
            same(table.gather(ids), expected)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
