"""Files of tables."""

from __future__ import annotations

import gc
import os
import warnings
from pathlib import Path
from typing import Any

import hotrow
import numpy as np
import pytest
from plain import ELEMENTS, draw, same


@pytest.fixture
def some(rng: np.random.Generator) -> dict[str, Any]:
    """Tables of every kind."""
    wide = draw(rng, 70, 20)
    return {
        "plain": draw(rng, 50, 9),
        "columns": wide[:, 4:11],
        "half": hotrow.Table(draw(rng, 5000, 33, "float16")),
        "brain": hotrow.Table(draw(rng, 3, 5, "bfloat16")),
        "bits": hotrow.Table(np.arange(12, dtype=np.uint16).reshape(3, 4), dtype="bfloat16"),
        "none": np.zeros((0, 4), np.float32),
        "flat": hotrow.Table.zeros(4, 0),
        "padded": hotrow.Table.init(40, 127),
        'odd "name" \u00fc\n': np.ones((1, 1), np.float32),
    }


def test_what_is_saved_is_loaded(tmp_path: Path, some: dict[str, Any]) -> None:
    path = tmp_path / "some.safetensors"
    hotrow.save(path, some)
    assert set(hotrow.tables(path)) == set(some)
    everything = hotrow.load_all(str(path))
    assert set(everything) == set(some)
    for name, given in some.items():
        table = given if isinstance(given, hotrow.Table) else hotrow.Table(given)
        assert hotrow.tables(path)[name] == table.shape
        for loaded in (everything[name], hotrow.load(path, name), hotrow.mmap(path, table=name)):
            assert loaded.dtype == table.dtype
            same(np.ascontiguousarray(loaded.array).view(np.uint8), np.ascontiguousarray(table.array).view(np.uint8))


def test_the_package_safetensors_reads_it(tmp_path: Path, some: dict[str, Any]) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "some.safetensors"
    half = {name: table for name, table in some.items() if name not in ("brain", "bits")}
    hotrow.save(path, half)
    for name, array in numpy.load_file(path).items():
        if not name.startswith("__padding__."):
            same(array, np.ascontiguousarray(np.asarray(half[name])))
    numpy.save_file({"a": np.ones((3, 2), np.float32)}, path)
    assert hotrow.load(path).array.tolist() == [[1, 1]] * 3


@pytest.mark.parametrize("dtype", list(ELEMENTS))
def test_one_table(tmp_path: Path, rng: np.random.Generator, dtype: str) -> None:
    path = tmp_path / "one.safetensors"
    array = draw(rng, 100, 16, dtype)
    hotrow.Table(array).save(path)
    assert hotrow.tables(path) == {"embeddings": (100, 16)}
    loaded = hotrow.load(path)
    assert loaded.writable
    same(loaded.array, array)


def test_a_mapped_table_is_read_only_and_outlives_everything(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "one.safetensors"
    array = draw(rng, 300, 16)
    hotrow.Table(array).save(path)
    table = hotrow.mmap(path)
    assert not table.writable
    with pytest.raises(ValueError, match="the table is read-only"):
        table.scatter_add([0], np.ones((1, 16), np.float32))
    with pytest.raises(ValueError, match="read-only"):
        table.array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        table.array.flags.writeable = True
    rows = table.array[5:9]
    same(table.gather([5, 6, 7, 8]), array[5:9])
    # A new file takes the name; the old one stays where it is mapped.
    hotrow.Table.zeros(2, 2).save(path)
    path.unlink()
    del table
    gc.collect()
    same(rows.copy(), array[5:9])


def test_the_old_file_stays_when_the_new_one_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    hotrow.Table.init(5, 5, "ones").save(path)
    before = path.read_bytes()
    for wrong in ({"__metadata__": np.ones((1, 1), np.float32)}, {"a": np.ones(3, np.float32)}, {"a": None}):
        with pytest.raises((TypeError, ValueError)):
            hotrow.save(path, wrong)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["one.safetensors"]


def test_the_same_table_by_two_names(tmp_path: Path) -> None:
    table = hotrow.Table.init(10, 3)
    hotrow.save(tmp_path / "tied.safetensors", {"a": table, "b": table})
    assert list(hotrow.tables(tmp_path / "tied.safetensors")) == ["a", "b"]


def test_other_formats(tmp_path: Path, rng: np.random.Generator) -> None:
    array = draw(rng, 30, 4)
    np.save(tmp_path / "a.npy", array)
    same(hotrow.load(tmp_path / "a.npy").array, array)
    same(hotrow.mmap(tmp_path / "a.npy").array, array)
    assert hotrow.tables(tmp_path / "a.npy") == {"embeddings": (30, 4)}
    same(hotrow.load_all(tmp_path / "a.npy")["embeddings"].array, array)
    np.savez(tmp_path / "a.npz", first=array, second=array[:3])
    assert hotrow.tables(tmp_path / "a.npz") == {"first": (30, 4), "second": (3, 4)}
    same(hotrow.load_all(tmp_path / "a.npz")["second"].array, array[:3])
    (tmp_path / "glove.txt").write_text("cat 1 2\ndog 3 4\n")
    assert hotrow.load(tmp_path / "glove.txt").array.tolist() == [[1, 2], [3, 4]]


def test_rounding_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    with pytest.warns(UserWarning, match="f64 values are rounded to f32"):
        table = hotrow.load(tmp_path / "a.npy")
    assert table.dtype == "float32"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            hotrow.load(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="have to be converted; reading the table works"):
        hotrow.mmap(tmp_path / "a.npy")


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        hotrow.load(tmp_path / "none.safetensors")
    for function in (hotrow.mmap, hotrow.load_all, hotrow.tables):
        with pytest.raises(FileNotFoundError):
            function(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError):
        hotrow.Table.zeros(1, 1).save(tmp_path / "no folder" / "a.safetensors")
    path = tmp_path / "a.safetensors"
    hotrow.save(path, {"a": np.ones((30, 30), np.float32), "b": np.ones((30, 30), np.float32)})
    with pytest.raises(ValueError, match="it holds several tables, so say which; its tables are"):
        hotrow.load(path)
    with pytest.raises(ValueError, match="it has no tensor `c`"):
        hotrow.load(path, "c")
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        hotrow.load(path, "a")
    changed = bytearray(whole)
    changed[-1] ^= 1
    path.write_bytes(changed)
    with pytest.raises(ValueError, match=r"(?i)checksum|crc"):
        hotrow.load(path, "b")
    hotrow.load(path, "a")
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        hotrow.load(path)
    with pytest.raises(TypeError):
        hotrow.load(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tables must be a mapping of names to tables, and is a"):
        hotrow.save(path, [1])  # type: ignore[arg-type]
