"""Fixtures for all tests. Those with a TURN server need coturn: without it they are left out in one line, in CI they
fail."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.settings import S3Settings
from tests.support import coturn
from tests.support.s3 import start_s3
from tests.support.studio import Studio, start_studio


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if coturn.executable() is not None or os.environ.get("CI"):
        return
    mine = [item for item in items if item.path.name == "test_turn.py"]
    if mine:
        config.hook.pytest_deselected(items=mine)
        items[:] = [item for item in items if item not in mine]
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(coturn.LEFT_OUT)


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
