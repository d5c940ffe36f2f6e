"""Tests of hotrow.torch need PyTorch."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps these tests in one thread: PyTorch's compiler, its seed and its modes belong to the process."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.thread_unsafe)
