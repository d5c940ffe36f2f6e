"""The examples in the docstrings of the sharded collections run."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

# A doctest replaces sys.stdout, which all threads have in common.
pytestmark = pytest.mark.thread_unsafe


@pytest.mark.parametrize("name", ["bags", "sequences"])
def test_examples(name: str) -> None:
    failed, attempted = doctest.testmod(import_module(f"hotrow.distributed.{name}"))
    assert failed == 0
    assert attempted > 0
