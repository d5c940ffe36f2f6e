"""TensorFlow, eager."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sidebyside.contender import ALLOCATED, Contender
from sidebyside.data import Data

LIBRARY = "tensorflow"


def start(threads: int) -> dict[str, str]:
    """Sets the threads."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return {"tensorflow": tf.__version__}


def contenders(data: Data) -> Iterator[Contender]:
    """Its gather."""
    if data.workload.op != "gather":
        return
    table = _table(data.table)
    ids = [tf.convert_to_tensor(batch.ids) for batch in data.batches]
    if data.out_dtype == data.table.dtype:
        yield Contender(LIBRARY, "tf.gather", ALLOCATED, [partial(tf.gather, table, each) for each in ids], _array)
    else:
        calls = [partial(_widened, table, each) for each in ids]
        yield Contender(LIBRARY, "tf.gather, cast", ALLOCATED, calls, _array)


def _table(array: npt.NDArray[Any]) -> Any:
    """On the same memory if DLPack of NumPy knows the type, and a copy otherwise."""
    if array.dtype in (np.float32, np.float16):
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.convert_to_tensor(array)


def _widened(table: Any, ids: Any) -> Any:
    return tf.cast(tf.gather(table, ids), tf.float32)


def _array(result: Any) -> npt.NDArray[Any]:
    return np.asarray(result.numpy())
