"""Fixtures for all tests. Those with a TURN server need coturn: without it they are left out in one line, in CI they
fail."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from storage.settings import S3Settings
from tests.support import coturn
from tests.support.s3 import start_s3
from tests.support.studio import Studio, start_studio


class Groups(LoadScopeScheduling):
    """Of two processes that run the tests (`make test`) one has those with a browser, which need most of the machine;
    of all others the tests of one file stay together, for what they share."""

    def _split_scope(self, nodeid: str) -> str:
        return "browser" if nodeid.startswith("tests/browser/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    return Groups(config, log)


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
