"""What holds for all tests."""

import os

import pytest
from hypothesis import settings
from network.storing import callers

# A shell may say how wide its terminal is. Tests have none.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# How long an example takes depends on who else uses the machine; each test has its bound from pytest-timeout.
settings.register_profile("simlab", deadline=None)
settings.load_profile("simlab")


@pytest.fixture
def call():
    """Starts callers of a node that listens."""
    with callers() as start:
        yield start
