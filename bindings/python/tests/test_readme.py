"""The README's examples run as they stand there, and what it links to exists."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"

# Each section runs in a process of its own: Keras's backend is set once for all, and one's settings are not to reach
# another.
_RUN = """
import doctest, sys
blocks = doctest.DocTestParser().get_doctest(sys.stdin.read(), {}, "README", None, None)
sys.exit(doctest.DocTestRunner().run(blocks).failed != 0)
"""
_NEEDS = {"PyTorch": ["torch"], "Keras": ["keras", "torch"]}


def _sections() -> dict[str, str]:
    """The examples of each section that has some."""
    found = {}
    for section in README.read_text().split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        blocks = re.findall(r"^```pycon\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
        if blocks:
            found[title] = "\n".join(blocks)
    return found


def _python(code: str, given: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, "-c", code],
        input=given,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("title", _sections())
def test_examples_of_sections(title: str, tmp_path: Path) -> None:
    for module in _NEEDS.get(title, []):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    done = _python(_RUN, _sections()[title], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_first_example_prints_what_is_said(tmp_path: Path) -> None:
    code, said = re.findall(r"^```(?:python|text)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)[:2]
    assert len([line for line in code.splitlines() if line]) <= 10
    done = _python(code, "", tmp_path)
    assert (done.returncode, done.stdout) == (0, said), done.stderr


def test_links_lead_somewhere() -> None:
    text = README.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if not link.startswith("http"):
            assert (README.parent / link).exists(), link
    chart = "benches/record/peers.svg"
    assert (chart in text) == (README.parent / chart).exists(), "a recorded chart is shown, and no other"
