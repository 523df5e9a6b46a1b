"""Browser tests need Chromium: without it they are left out in one line, in CI they fail."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import chromium, readers, whip_clients
from tests.support.left_out import leave_out

FOLDER = Path(__file__).parent
NO_CLIENTS = "No WHIP clients: their tests in the browser are left out (make whip-clients needs npm)."
NO_BROWSER = "No chromium: the browser tests are left out (set CHROMIUM or install it)."


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if chromium.executable() is None:
        leave_out(config, items, lambda item: FOLDER in item.path.parents, NO_BROWSER)
    if not whip_clients.INSTALLED.exists():
        leave_out(config, items, lambda item: item.path == FOLDER / "test_whip_clients.py", NO_CLIENTS)
    if readers.missing():
        leave_out(config, items, lambda item: item.path == FOLDER / "test_readers.py", readers.LEFT_OUT)


@pytest.fixture
async def rooms() -> AsyncIterator[chromium.Rooms]:
    """A browser for one test."""
    async with chromium.chromium() as running:
        yield running
