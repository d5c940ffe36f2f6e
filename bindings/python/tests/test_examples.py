"""The examples in the stubs run, and say what happens."""

from __future__ import annotations

import ast
import doctest
from pathlib import Path

import hotrow
import pytest

# A doctest replaces sys.stdout, which all threads have in common.
pytestmark = pytest.mark.thread_unsafe

STUBS = Path(hotrow.__file__).with_name("_native.pyi")


def documented() -> dict[str, str]:
    """Every docstring of the stubs by the name that it belongs to."""
    found: dict[str, str] = {}

    def visit(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                own = f"{name}{child.name}"
                found[own] = ast.get_docstring(child) or ""
                visit(child, f"{own}.")

    visit(ast.parse(STUBS.read_text(encoding="utf-8")), "")
    return found


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, text in documented().items() if ">>>" in text])
def test_example(name: str, text: str) -> None:
    example = doctest.DocTestParser().get_doctest(text, {}, name, str(STUBS), 0)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert not said, "".join(said)


def test_everything_is_documented() -> None:
    undocumented = [
        name for name, text in documented().items() if not text and not name.split(".")[-1].startswith("__")
    ]
    assert undocumented == []


# What hotrow.distributed is made of, and what happens by itself.
INTERNAL = {
    "CheckpointPart",
    "CheckpointReader",
    "Checkpoints",
    "ReceivedBags",
    "ReceivedIds",
    "RoutedBags",
    "RoutedIds",
    "Routes",
    "after_fork",
    "draw_part",
    "refusal",
    "refused",
}


def test_everything_is_exported() -> None:
    public = {name for name in documented() if "." not in name} - INTERNAL
    assert public <= set(hotrow.__all__)
    assert sorted(hotrow.__all__) == list(hotrow.__all__)
