"""Fixtures for all tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.studio import Studio, start_studio


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    """The real program with the settings that tests use; see tests/support/studio.py."""
    async with start_studio(tmp_path) as running:
        yield running
