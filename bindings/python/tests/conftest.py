"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hotrow
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    max_examples=int(os.environ.get("HOTROW_TEST_CASES", "60")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("default")


@pytest.fixture
def rng() -> np.random.Generator:
    """Numbers that are the same every time."""
    return np.random.default_rng(7)


@pytest.fixture
def restored() -> Iterator[None]:
    """Settings of the process are as they were when the test ends."""
    cache = hotrow.memory_cache()
    yield
    hotrow.set_memory_cache(cache)
    hotrow.set_num_threads(0)
