"""The program on pion is built by make where there is Go; without it its tests are left out in one line."""

from pathlib import Path

import pytest

from tests.support import whip_clients
from tests.support.left_out import leave_out

NO_PION = "No client on pion: its tests are left out (make whip-clients needs Go and its module proxy)."


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not whip_clients.PION.exists():
        mine = Path(__file__).parent / "test_whip_with_pion.py"
        leave_out(config, items, lambda item: item.path == mine, NO_PION)
