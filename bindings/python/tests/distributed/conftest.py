"""What the tests between processes share."""

from __future__ import annotations

import pytest
from ranks import Transport


@pytest.fixture(params=["torch", "mpi"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Both adapters, where there is what they need."""
    found: Transport = request.param
    pytest.importorskip("torch" if found == "torch" else "mpi4py")
    return found
