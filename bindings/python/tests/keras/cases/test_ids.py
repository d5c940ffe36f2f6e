"""Ids are read as the backend reads them: as recorded, and as the installed Keras does now."""

import json
import re
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import hotrow
import hotrow.keras
import keras
import numpy as np
import pytest
from common import outcome, to_numpy

CASES = json.loads((Path(__file__).parents[2] / "fixtures" / "ids.json").read_text())["cases"]
BY_DTYPE = {
    dtype: list(cases)
    for dtype, cases in groupby(sorted(CASES, key=lambda case: case["dtype"]), lambda case: case["dtype"])
}
BACKEND = keras.config.backend()


@cache
def numbered(rows: int, of: Any = hotrow.keras.Embedding, strict: bool = False) -> Any:
    """A layer whose rows hold their numbers."""
    options = {"strict": True} if strict else {}
    return of(rows, 1, weights=np.arange(rows, dtype="float32")[:, None], **options)


def ids_of(case: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(case["hex"]), dtype=np.dtype(case["dtype"]).newbyteorder("<")).reshape(
        case["shape"]
    )


@pytest.mark.parametrize("dtype", BY_DTYPE)
def test_recorded_and_live(dtype: str) -> None:
    for case in BY_DTYPE[dtype]:
        ids = ids_of(case)
        found = outcome(numbered(case["rows"]), ids)
        recorded = case["expect"][f"keras3-{BACKEND}"]
        assert found == (recorded if recorded == "error" else [-1 if row is None else row for row in recorded]), case[
            "name"
        ]
        assert found == outcome(numbered(case["rows"], keras.layers.Embedding), ids), case["name"]


@pytest.mark.parametrize("dtype", BY_DTYPE)
def test_strict(dtype: str) -> None:
    for case in BY_DTYPE[dtype]:
        layer = numbered(case["rows"], strict=True)
        try:
            ids = ids_of(case)
            ids = ids if keras.ops.is_tensor(ids) else keras.ops.convert_to_tensor(ids)
            given = np.asarray(keras.ops.convert_to_numpy(ids))
        except Exception:
            pytest.skip(f"{BACKEND} has no tensors of {dtype}")
        try:
            want = hotrow.gather(np.arange(case["rows"], dtype="float32")[:, None], given)
        except (IndexError, ValueError) as error:
            with pytest.raises(type(error), match=re.escape(str(error))):
                layer(ids)
        else:
            np.testing.assert_array_equal(to_numpy(layer(ids)), want, err_msg=case["name"])


def test_strict_says_which_id() -> None:
    with pytest.raises(IndexError, match="7"):
        numbered(4, strict=True)(np.array([[0, 1], [7, 2]]))
