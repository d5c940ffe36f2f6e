"""The cases run in processes of `test_backends.py`, and by hand with HOTROW_KERAS_CASES=1 KERAS_BACKEND=torch."""

import os

import pytest

collect_ignore_glob = [] if "HOTROW_KERAS_CASES" in os.environ else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what is marked for other backends."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    for item in items:
        for mark in item.iter_markers("backends"):
            if backend not in mark.args:
                item.add_marker(pytest.mark.skip(reason=f"of {', '.join(mark.args)}"))


def pytest_configure(config: pytest.Config) -> None:
    """Declares the mark."""
    config.addinivalue_line("markers", "backends(*names): the case is of these backends alone")
