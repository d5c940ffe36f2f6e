"""What is refused, how, and in which words. Nothing ends in a panic."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import hotrow
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

T = np.arange(40, dtype=np.float32).reshape(10, 4)
READ_ONLY = T.copy()
READ_ONLY.flags.writeable = False


def nowhere(*shape: int, dtype: Any = np.float32) -> Any:
    """An array to write to."""
    return np.zeros(shape, dtype)


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # Ids.
    (
        lambda: hotrow.gather(T, 10),
        IndexError,
        "id 10 at position [] is out of range: the table has 10 rows, so ids must be in 0..10",
    ),
    (lambda: hotrow.gather(T, [[1, 2], [3, -1]]), IndexError, "id -1 at position [1, 1] is out of range"),
    (
        lambda: hotrow.gather(T, np.array([0, 2**63], np.uint64)),
        ValueError,
        "id 9223372036854775808 (uint64) at position [1] cannot be",
    ),
    (
        lambda: hotrow.gather(T, [0.0, np.nan]),
        ValueError,
        "id NaN (float64) at position [1] cannot be cast to a row number",
    ),
    (lambda: hotrow.gather(T, -11, policy="keras3_numpy"), IndexError, "id -11 at position [] is out of range"),
    (lambda: hotrow.gather(T, 1.0, policy="torch"), TypeError, "ids of type float64 are refused"),
    (lambda: hotrow.gather(T, "a"), TypeError, "ids must be integers or floats, and are of <U1"),
    (lambda: hotrow.gather(T, None), TypeError, "ids must be integers or floats, and are of object"),
    (lambda: hotrow.gather(T, [1j]), TypeError, "ids must be integers or floats, and are of complex128"),
    (
        lambda: hotrow.gather(T, [1, 2], policy="x"),
        ValueError,
        'policy "x" is not known: expected one of strict, keras_call',
    ),
    (lambda: hotrow.gather(T, [[1], [1, 2]]), ValueError, "inhomogeneous"),
    # Tables.
    (
        lambda: hotrow.gather(T[0], 1),
        ValueError,
        "the table must have two dimensions, [rows, dim], and has the shape [4]",
    ),
    (
        lambda: hotrow.gather(T.astype(float), 1),
        TypeError,
        "the table must be of float32, float16 or bfloat16, and is of float64",
    ),
    (lambda: hotrow.gather(T.astype(">f4"), 1), TypeError, "and is of >f4"),
    (lambda: hotrow.gather(T[:, ::2], 1), ValueError, "numpy.ascontiguousarray makes such a copy"),
    (lambda: hotrow.gather([[1.0]], 0), TypeError, "a Table or a NumPy array is needed, not <class 'list'>"),
    (lambda: hotrow.Table([[1.0]]), TypeError, "'list' object"),
    (lambda: hotrow.Table(T, dtype="float16"), TypeError, "the array is of float32, not of float16"),
    (
        lambda: hotrow.Table(T, dtype="int8"),
        ValueError,
        'dtype "int8" is not known: expected one of float32, float16, bfloat16',
    ),
    (lambda: hotrow.Table.zeros(2**32, 1), ValueError, "a table of 4294967296 rows: at most 4294967295 are possible"),
    (lambda: hotrow.Table.zeros(-1, 1), OverflowError, "negative"),
    (lambda: hotrow.Table.init(2, 2, "x"), ValueError, 'initializer "x" is not known: expected one of zeros, ones'),
    # Outputs.
    (lambda: hotrow.gather(T, [1], out=nowhere(2, 4)), ValueError, "out must have the shape [1, 4], and has [2, 4]"),
    (
        lambda: hotrow.gather(T, [1], out=nowhere(1, 4, dtype="f2")),
        TypeError,
        "out must be of float32, and is of float16",
    ),
    (lambda: hotrow.gather(T, [1], out=nowhere(1, 8)[:, ::2]), ValueError, "out must be C-contiguous and aligned"),
    (lambda: hotrow.gather(T, [1], out=READ_ONLY[:1]), ValueError, "out is read-only"),
    (lambda: hotrow.gather(T, [1], out=T[:1]), ValueError, "out shares memory with the table"),
    (lambda: hotrow.gather(T, [1], out=[1]), TypeError, "'list' object"),
    (lambda: hotrow.gather(T, [1], dtype="float16"), TypeError, "rows of float32 can be had as they are or as float32"),
    (
        lambda: hotrow.embedding_bag(T, [[1]], out=nowhere(1, 3)),
        ValueError,
        "out must have the shape [1, 4], and has [1, 3]",
    ),
    (
        lambda: hotrow.embedding_bag(T, [[1]], out=nowhere(1, 4, dtype="f2")),
        TypeError,
        "out must be of float32, and is of float16",
    ),
    (
        lambda: hotrow.embedding_bag(T, [[1]], dtype="float16"),
        TypeError,
        "rows of float32 can be had as they are or as float32, not as float16",
    ),
    (lambda: hotrow.embedding_bag(T, [[1]], out=READ_ONLY[:1]), ValueError, "out is read-only"),
    (lambda: hotrow.embedding_bag(T, [[1]], out=T[3:4]), ValueError, "out shares memory with the table"),
    # Bags.
    (lambda: hotrow.embedding_bag(T, [1]), ValueError, "ids without offsets or lengths must have two dimensions"),
    (lambda: hotrow.embedding_bag(T, [[1]], [0]), ValueError, "ids that are cut by offsets must have one dimension"),
    (lambda: hotrow.embedding_bag(T, [1], [0], lengths=[1]), ValueError, "by offsets or by lengths, not by both"),
    (
        lambda: hotrow.embedding_bag(T, [1, 2], [1]),
        ValueError,
        "offset 1 of bag 0 is out of range: the first must be 0",
    ),
    (lambda: hotrow.embedding_bag(T, [1, 2], [0, 2, 1]), ValueError, "offset 1 of bag 2 is below offset 2"),
    (lambda: hotrow.embedding_bag(T, [1, 2], [0, 3]), ValueError, "offset 3 of bag 1 is out of range"),
    (lambda: hotrow.embedding_bag(T, [1, 2], [0.0]), TypeError, "offsets must be of int32 or int64"),
    (lambda: hotrow.embedding_bag(T, [1, 2], np.zeros(1, np.int16)), TypeError, "offsets must be of int32 or int64"),
    (lambda: hotrow.embedding_bag(T, [1, 2], [[0]]), ValueError, "offsets must have one dimension"),
    (lambda: hotrow.embedding_bag(T, [1, 2], lengths=[1]), ValueError, "the bags end at 1, but there are 2 ids"),
    (lambda: hotrow.embedding_bag(T, [1, 2], lengths=[3, -1]), ValueError, "length 3 of bag 0 is out of range"),
    (
        lambda: hotrow.embedding_bag(T, [1], np.zeros(0, int), include_last_offset=True),
        ValueError,
        "the splits of bags are empty",
    ),
    (
        lambda: hotrow.embedding_bag(T, [[1]], mode="min"),
        ValueError,
        'pooling "min" is not known: expected one of sum, mean, max, sqrtn',
    ),
    (
        lambda: hotrow.embedding_bag(T, [[1]], mode="max", per_sample_weights=[[1.0]]),
        ValueError,
        "max pooling takes no weights",
    ),
    (
        lambda: hotrow.embedding_bag(T, [[1]], per_sample_weights=[1.0]),
        ValueError,
        "per_sample_weights must have the shape [1, 1], and has [1]",
    ),
    (
        lambda: hotrow.embedding_bag(T, [[1]], per_sample_weights=[["a"]]),
        TypeError,
        "per_sample_weights must be of float32, and is of <U1",
    ),
    (
        lambda: hotrow.embedding_bag(T, [[1]], padding_idx=10),
        ValueError,
        "padding_idx 10 is out of range: the table has 10 rows",
    ),
    (lambda: hotrow.embedding_bag(T, [[1]], default_row=-11), ValueError, "default_row -11 is out of range"),
    (lambda: hotrow.embedding_bag(T, [[10]]), IndexError, "id 10 at position [0, 0] is out of range"),
    (
        lambda: hotrow.bag_weight_grad(T, [[1]], nowhere(2, 4)),
        ValueError,
        "grad must have the shape [1, 4], and has [2, 4]",
    ),
    (lambda: hotrow.bag_weight_grad(T, [[1]], nowhere(1, 4), mode="max"), ValueError, "max pooling takes no weights"),
    # Additions.
    (
        lambda: hotrow.scatter_add(T, [1], nowhere(1, 3)),
        ValueError,
        "source must have the shape [1, 4], and has [1, 3]",
    ),
    (lambda: hotrow.scatter_add(T, [1], np.array([["a"] * 4])), TypeError, "source must be of float32, and is of <U1"),
    (lambda: hotrow.scatter_add(T, [1], T[2:3]), ValueError, "the table shares memory with source"),
    (
        lambda: hotrow.scatter_add(T, T.view(np.int32)[0, :1], nowhere(1, 4)),
        ValueError,
        "the table shares memory with the ids",
    ),
    (lambda: hotrow.scatter_add(READ_ONLY, [1], nowhere(1, 4)), ValueError, "the table is read-only"),
    (
        lambda: hotrow.gather_dense_grad([1], nowhere(1, 4), 10, 3),
        ValueError,
        "grad must have the shape [1, 3], and has [1, 4]",
    ),
    (lambda: hotrow.gather_dense_grad([1], nowhere(1, 4), 1, 4), IndexError, "id 1 at position [0] is out of range"),
    (
        lambda: hotrow.gather_dense_grad([0], nowhere(1, 4), 1, 4, padding_idx=1),
        ValueError,
        "padding_idx 1 is out of range",
    ),
    # Settings.
    (lambda: hotrow.set_num_threads(10**6), ValueError, "1000000 threads are too many: at most 1024 are started"),
    (lambda: hotrow.set_num_threads(-1), OverflowError, "negative"),
    (lambda: hotrow.set_memory_cache(-1), OverflowError, "negative"),
    # Searches.
    (lambda: hotrow.similar(T, T[0, :3]), ValueError, "queries must have the shape [4] or [n, 4], and have [3]"),
    (lambda: hotrow.similar(T, T[0], metric="l2"), ValueError, 'metric "l2" is not known: expected one of cosine, dot'),
    (lambda: hotrow.similar(T, T[0], exclude=[10]), IndexError, "id 10 at position [0] is out of range"),
    (lambda: hotrow.similar(T, T[:2], exclude=[[0], [-1]]), IndexError, "id -1 at position [1, 0] is out of range"),
    (
        lambda: hotrow.similar(T, T[:2], exclude=[[0]]),
        ValueError,
        "exclude must have the shape [n] or [2, n], and has [1, 1]",
    ),
    (lambda: hotrow.similar(T, T[0], exclude=[0.5]), TypeError, "exclude must be integers"),
    (lambda: hotrow.similar(T, T[0], k=-1), OverflowError, "negative"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED, ids=[words for _, _, words in REFUSED])
def test_refused(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    before = T.copy()
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error or error is not ValueError
    assert words in str(caught.value)
    assert (before == T).all()


class Odd:
    """An object that fails in Python's own way when it is looked at."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("odd")

    def __float__(self) -> float:
        raise RuntimeError("odd")


ODD = st.sampled_from(
    [
        None, True, -1, 0, 3, 2**70, -(2**70), 1.5, float("nan"), "", "sum", b"x", (), [], [[]], {}, object(), Odd(),
        int, ...,
        np.float32(1), np.int64(-1), np.array(2), np.array([]), np.zeros((0, 0)), np.ones((2, 2), np.float32), T,
        T[0], T.T, T[::-1],
        np.array(["a"]), np.array([None]), np.array([1j]), np.array([1], "M8[s]"), np.zeros(2, [("a", "i4")]),
        np.ma.ones(3),
        np.ones((1,) * 40), np.longdouble([1, 2]), np.broadcast_to(np.int32(0), (3, 2**40)), hotrow.Table(T),
    ]
)  # fmt: skip
ARGUMENTS = [
    "offsets",
    "lengths",
    "mode",
    "per_sample_weights",
    "include_last_offset",
    "padding_idx",
    "default_row",
    "out",
    "policy",
]
ARGUMENTS += [
    "dtype",
    "alpha",
    "k",
    "metric",
    "exclude",
    "copy",
    "seed",
    "initializer",
    "scale_grad_by_freq",
    "table",
    "tables",
]
CALLS = [
    hotrow.gather, hotrow.embedding_bag, hotrow.embedding_bag_max, hotrow.bag_weight_grad, hotrow.scatter_add,
    hotrow.similar,
    hotrow.gather_dense_grad, hotrow.Table, hotrow.Table(T).gather, hotrow.Table(T).embedding_bag,
    hotrow.Table(T).similar,
    hotrow.load, hotrow.mmap, hotrow.tables, hotrow.load_all, hotrow.Table(T).__array__, hotrow.Table(T).__dlpack__,
    hotrow.Table(T).scatter_add,
]  # fmt: skip


@given(
    call=st.sampled_from(CALLS),
    given_arguments=st.lists(ODD, min_size=1, max_size=4),
    named=st.dictionaries(st.sampled_from(ARGUMENTS), ODD, max_size=2),
)
def test_nothing_panics(call: Callable[..., Any], given_arguments: list[Any], named: dict[str, Any]) -> None:
    # A panic is no Exception but a BaseException: it would pass this.
    with contextlib.suppress(Exception):
        call(*given_arguments, **named)
