"""Tests with a full disk need a mount namespace: where the user may have none they are left out in one line."""

import tempfile
from pathlib import Path

import pytest

from tests.support import small_disk
from tests.support.left_out import leave_out

FULL_DISK = Path(__file__).parent / "test_disk_full.py"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if any(item.path == FULL_DISK for item in items):
        with tempfile.TemporaryDirectory() as folder:
            if not small_disk.available(Path(folder)):
                leave_out(config, items, lambda item: item.path == FULL_DISK, small_disk.NO_MOUNTS)
