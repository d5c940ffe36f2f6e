"""The examples in the docstrings run, and show what they say."""

import doctest
import importlib

import pytest

MODULES = ["", ".functional", ".embedding", ".embedding_bag", ".collection", ".keyed", ".fused", ".ops"]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(f"hotrow.torch{name}")
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0 or name in (".fused", ".ops")
