"""Where results lie, and what becomes of their memory."""

from __future__ import annotations

import gc
from pathlib import Path

import hotrow
import numpy as np
import pytest
from plain import draw, same

# Memory of the whole process is measured, and its cache is looked at.
pytestmark = pytest.mark.thread_unsafe

MIB = 1 << 20
STATM = Path("/proc/self/statm")
needs_proc = pytest.mark.skipif(not STATM.exists(), reason="the system does not tell how much memory is resident")


def resident() -> int:
    """How many bytes of this process are in memory."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * 4096


def address(array: np.ndarray) -> int:
    """Where an array begins."""
    return array.__array_interface__["data"][0]


@pytest.fixture
def table(rng: np.random.Generator) -> hotrow.Table:
    """A table of which 4,096 rows make one MiB."""
    return hotrow.Table(draw(rng, 1000, 64))


def test_large_results_are_aligned(table: hotrow.Table, rng: np.random.Generator) -> None:
    for count in (4096, 8192, 100_000):
        out = table.gather(rng.integers(0, 1000, count))
        assert address(out) % (2 * MIB) == 0
        assert out.flags.c_contiguous
        assert out.flags.writeable
        assert out.flags.aligned


def test_memory_is_used_again(table: hotrow.Table, rng: np.random.Generator, restored: None) -> None:
    hotrow.set_memory_cache(0)
    hotrow.set_memory_cache(64 * MIB)
    ids = rng.integers(0, 1000, 10_000)
    first = table.gather(ids)
    at = address(first)
    first[:] = np.nan
    del first
    second = table.gather(ids)
    assert address(second) == at
    same(second, table.array[ids])
    # A little less fits there too, and what needs half of it does not take it.
    del second
    assert address(table.gather(ids[:9_000])) == at
    assert address(table.gather(ids[:5_000])) != at


def test_a_view_keeps_the_memory(table: hotrow.Table, rng: np.random.Generator) -> None:
    ids = rng.integers(0, 1000, 10_000)
    kept = table.gather(ids)[17:19]
    others = [table.gather(ids[::-1]) for _ in range(3)]
    same(kept.copy(), table.array[ids[17:19]])
    assert not any(np.shares_memory(kept, other) for other in others)


def test_results_alive_at_once_lie_apart(table: hotrow.Table, rng: np.random.Generator) -> None:
    lists = [rng.integers(0, 1000, 6_000) for _ in range(20)]
    results = [table.gather(ids) for ids in lists]
    for ids, result in zip(lists, results, strict=True):
        same(result, table.array[ids])


@needs_proc
def test_the_cache_has_a_limit(restored: None) -> None:
    table = hotrow.Table.init(1000, 256)
    ids = np.arange(100_000) % 1000
    hotrow.set_memory_cache(0)
    assert hotrow.memory_cache() == 0
    table.gather(ids[:10])
    before = resident()
    del_me = table.gather(ids)
    assert resident() - before > 90 * MIB
    del del_me
    assert resident() - before < 20 * MIB
    hotrow.set_memory_cache(200 * MIB)
    table.gather(ids)
    assert resident() - before > 90 * MIB
    hotrow.set_memory_cache(0)
    assert resident() - before < 20 * MIB


@needs_proc
def test_many_calls_leave_memory_flat(rng: np.random.Generator, restored: None) -> None:
    hotrow.set_memory_cache(16 * MIB)
    table = hotrow.Table.init(2000, 64)

    def calls() -> None:
        for count in rng.integers(1, 30_000, 40):
            ids = rng.integers(0, 2000, count)
            rows = table.gather(ids)
            table.scatter_add(ids, rows, alpha=0.001)
            table.embedding_bag(ids, [0, count // 2])
            hotrow.gather_dense_grad(ids, rows, 2000, 64)

    calls()
    before = resident()
    calls()
    assert resident() - before < 24 * MIB


def test_huge_results_cost_nothing_but_memory(rng: np.random.Generator) -> None:
    table = hotrow.Table.init(10, 1024, dtype="float16")
    ids = rng.integers(0, 10, 40_000)
    out = table.gather(ids, dtype="float32")
    assert out.nbytes == 40_000 * 4096
    for at in (0, 20_000, 39_999):
        same(out[at], table.array[ids[at]].astype(np.float32))


def test_memory_that_cannot_be_had() -> None:
    with pytest.raises(MemoryError, match=r"out of memory: .* bytes could not be had"):
        hotrow.Table.zeros(2**31, 2**20)
    wide = hotrow.Table.zeros(1, 2**24)
    with pytest.raises(MemoryError):
        wide.gather(np.zeros(2**24, np.int8))
    with pytest.raises(MemoryError):
        hotrow.gather_dense_grad([0], np.zeros((1, 2**20), np.float32), 2**31, 2**20)
    # NumPy's own error, a MemoryError too: these ids would have to be copied.
    with pytest.raises(MemoryError):
        hotrow.gather(np.zeros((1, 1), np.float32), np.broadcast_to(np.int8(0), (2**62,)))
