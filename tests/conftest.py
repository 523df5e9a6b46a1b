"""Fixtures for all tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.settings import S3Settings
from tests.support.s3 import start_s3
from tests.support.studio import Studio, start_studio


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    """The real program with the settings that tests use; see tests/support/studio.py."""
    async with start_studio(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    """A running S3 server. Tests keep apart by `prefix` or `bucket`."""
    with start_s3(tmp_path_factory.mktemp("s3")) as settings:
        yield settings
