"""Browser tests need Chromium: without it they are left out in one line, in CI they fail."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import chromium

FOLDER = Path(__file__).parent
LEFT_OUT = "No chromium: the browser tests are left out (set CHROMIUM or install it)."


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if chromium.executable() is not None or os.environ.get("CI"):
        return
    mine = [item for item in items if FOLDER in item.path.parents]
    if mine:
        config.hook.pytest_deselected(items=mine)
        items[:] = [item for item in items if item not in mine]
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(LEFT_OUT)


@pytest.fixture
async def rooms() -> AsyncIterator[chromium.Rooms]:
    """A browser for one test."""
    async with chromium.chromium() as running:
        yield running
