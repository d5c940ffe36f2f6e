"""Runs the cases under each backend of Keras, each in a process of its own: a process has one backend."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow", "numpy"])
def test_cases(backend: str) -> None:
    # Keras's NumPy backend borrows from its JAX backend.
    for module in ("keras", "jax" if backend == "numpy" else backend):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "HOTROW_KERAS_CASES": "1",
        "JAX_PLATFORMS": "cpu",
        "KERAS_TORCH_DEVICE": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout[-6000:]}\n{run.stderr[-2000:]}"
