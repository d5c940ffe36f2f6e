"""The examples in docstrings run, and the program that trains two towers learns with either embedding."""

import doctest
from pathlib import Path

import hotrow.keras.embedding
import pytest
from hotrow.examples import interactions


@pytest.mark.parametrize("module", [hotrow.keras.embedding, interactions])
def test_docstrings(module: object) -> None:
    failed, attempted = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert attempted
    assert not failed


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.inter"
    path.write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "7\ta\t3\t30\n7\tb\t3\t10\n9\ta\t1\t20\n7\tc\t5\t40\n9\tb\t2\t50\n"
    )
    data = interactions.read(path)
    # In the order of time: 7 b, 9 a, 7 a, 7 c, 9 b; the last of each user is held out.
    assert (data.users, data.items) == (2, 3)
    assert data.train.tolist() == [[0, 0], [1, 1], [0, 1]]
    assert data.held_out.tolist() == [2, 0]


def test_hit_rate() -> None:
    import numpy as np  # noqa: PLC0415

    data = interactions.Interactions(1, 4, np.array([[0, 3]], "int32"), np.array([1], "int32"))
    items = np.array([[1.0], [2.0], [3.0], [9.0]], "float32")
    user = np.ones((1, 1), "float32")
    assert data.hit_rate(user, items, k=1) == 0.0
    assert data.hit_rate(user, items, k=2) == 1.0


@pytest.mark.backends("torch")
@pytest.mark.parametrize("fused", ["adagrad", "none"])
def test_two_towers(fused: str) -> None:
    from hotrow.examples import two_tower_keras  # noqa: PLC0415

    arguments = ["--epochs", "2", "--dim", "16", "--batch", "4096"]
    ours = two_tower_keras.main([*arguments, "--embedding", "hotrow", "--fused", fused])
    theirs = two_tower_keras.main([*arguments, "--embedding", "keras"])
    assert ours == pytest.approx(theirs, abs=0.02)
