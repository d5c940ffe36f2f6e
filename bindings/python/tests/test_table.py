"""Tables: made, wrapped, copied, pickled, shown as arrays."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
from typing import Any

import hotrow
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain import ELEMENTS, draw, same

SHAPES = [(0, 0), (0, 4), (3, 0), (1, 1), (5, 7), (100, 64), (50, 127), (3000, 129)]


@pytest.mark.parametrize("dtype", list(ELEMENTS))
@pytest.mark.parametrize("shape", SHAPES)
def test_attributes(dtype: str, shape: tuple[int, int]) -> None:
    for table in (hotrow.Table(np.zeros(shape, ELEMENTS[dtype])), hotrow.Table.zeros(*shape, dtype)):
        assert table.shape == shape == (table.rows, table.dim)
        assert table.dtype == dtype
        assert len(table) == shape[0]
        assert table.nbytes == shape[0] * shape[1] * ELEMENTS[dtype].itemsize
        assert table.writable
        assert table.array.shape == shape
        assert table.array.dtype == ELEMENTS[dtype]
        assert not table.array.any()
        assert repr(table) == f"Table(shape=({shape[0]}, {shape[1]}), dtype='{dtype}')"
        if 0 not in shape:
            table.array[-1, -1] = 3
            assert table.gather(shape[0] - 1)[-1] == 3


def test_an_array_is_wrapped_without_a_copy() -> None:
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    references = sys.getrefcount(array)
    table = hotrow.Table(array)
    assert table.array is array
    array[2] = 9
    assert table.gather(2).tolist() == [9, 9, 9]
    del table
    assert sys.getrefcount(array) == references


def test_columns_of_an_array_are_a_table(rng: np.random.Generator) -> None:
    wide = draw(rng, 6, 20)
    table = hotrow.Table(wide[:, 3:8])
    assert table.shape == (6, 5)
    same(table.gather([5, 0]), wide[[5, 0], 3:8])
    table.scatter_add([1], np.ones((1, 5), np.float32))
    assert table.array.base is wide


@pytest.mark.parametrize("dtype", list(ELEMENTS))
def test_initializers_are_the_same_everywhere(dtype: str, restored: None) -> None:
    first = hotrow.Table.init(3000, 70, "glorot_uniform", seed=5, dtype=dtype)
    hotrow.set_num_threads(1)
    second = hotrow.Table.init(3000, 70, "GlorotUniform", seed=5, dtype=dtype)
    same(first.array, second.array)
    assert (first.array != hotrow.Table.init(3000, 70, "glorot_uniform", seed=6, dtype=dtype).array).any()
    bound = (6 / 3070) ** 0.5
    assert np.abs(first.array.astype(np.float32)).max() <= bound * 1.01
    assert (hotrow.Table.init(4, 4, "ones", dtype=dtype).array == 1).all()


@pytest.mark.parametrize("dtype", list(ELEMENTS))
@pytest.mark.parametrize("shape", SHAPES)
def test_copies_and_pickles(rng: np.random.Generator, dtype: str, shape: tuple[int, int]) -> None:
    table = hotrow.Table(draw(rng, *shape, dtype))
    expected = table.array.copy()
    made = [copy.deepcopy(table), hotrow.Table(table.array, copy=True)]
    made += [pickle.loads(pickle.dumps(table, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in made:
        assert other.dtype == dtype
        same(np.ascontiguousarray(other.array), expected)
        assert not np.shares_memory(other.array, table.array)
        assert other.writable
    shallow = copy.copy(table)
    assert shallow is not table
    assert shallow.array is table.array


def test_bits_stay_bits_of_bfloat16() -> None:
    array = np.arange(12, dtype=np.uint16).reshape(4, 3)
    table = hotrow.Table(array, dtype="bfloat16")
    for other in (copy.copy(table), copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        assert other.dtype == "bfloat16"
        same(np.ascontiguousarray(other.array), array)


def test_pickles_out_of_band() -> None:
    table = hotrow.Table.init(100, 8)
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(table, 5, buffer_callback=buffers.append)
    other = pickle.loads(data, buffers=buffers)
    assert np.shares_memory(other.array, table.array)


def test_what_lies_otherwise_is_copied(rng: np.random.Generator) -> None:
    array = draw(rng, 40, 12)
    for odd in (np.asfortranarray(array), array[:, ::2], array[::-1], np.broadcast_to(array[0], (5, 12))):
        with pytest.raises(ValueError, match=r"numpy\.ascontiguousarray makes such a copy"):
            hotrow.Table(odd)
        same(np.ascontiguousarray(hotrow.Table(odd, copy=True).array), np.ascontiguousarray(odd))
    room = np.zeros(array.nbytes + 1, np.uint8)
    misaligned = room[1:].view(np.float32).reshape(array.shape)
    misaligned[...] = array
    with pytest.raises(ValueError, match="not aligned"):
        hotrow.Table(misaligned)
    same(hotrow.Table(misaligned, copy=True).array, array)


@given(rows=st.integers(0, 5), dim=st.integers(0, 5), dtype=st.sampled_from(list(ELEMENTS)))
def test_as_an_array(rows: int, dim: int, dtype: str) -> None:
    table = hotrow.Table(draw(np.random.default_rng(1), rows, dim, dtype))
    assert np.asarray(table) is table.array
    same(np.array(table), table.array)
    assert np.array(table) is not table.array
    assert np.array(table, copy=None) is table.array
    wide: Any = np.asarray(table, np.float64)
    assert wide.dtype == np.float64
    assert (wide == table.array).all()


def test_dlpack() -> None:
    table = hotrow.Table.init(6, 5, dtype="float16")
    assert table.__dlpack_device__() == (1, 0)
    shared = np.from_dlpack(table)
    assert np.shares_memory(shared, table.array)
    same(np.ascontiguousarray(shared), np.ascontiguousarray(table.array))


def test_a_read_only_array_is_never_written(rng: np.random.Generator) -> None:
    array = draw(rng, 4, 3)
    array.flags.writeable = False
    table = hotrow.Table(array)
    assert not table.writable
    table.gather([1])
    with pytest.raises(ValueError, match="the table is read-only"):
        table.scatter_add([1], np.ones((1, 3), np.float32))
    assert copy.deepcopy(table).writable


def test_an_array_outlives_its_table() -> None:
    array = hotrow.Table.init(2000, 300, seed=3).array
    gc.collect()
    same(array, hotrow.Table.init(2000, 300, seed=3).array)


def test_the_class_is_final() -> None:
    with pytest.raises(TypeError):
        type("Mine", (hotrow.Table,), {})
    with pytest.raises(AttributeError):
        hotrow.Table.zeros(1, 1).array = None  # type: ignore[misc]


def test_ml_dtypes_is_used_where_it_is() -> None:
    assert hotrow.Table.zeros(1, 1, "bfloat16").array.dtype == ml_dtypes.bfloat16


def test_without_ml_dtypes_bfloat16_is_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    table = hotrow.Table.init(3, 4, "ones", dtype="bfloat16")
    assert table.dtype == "bfloat16"
    assert table.array.dtype == np.uint16
    assert table.gather(0).tolist() == [0x3F80] * 4
