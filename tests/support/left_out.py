"""Tests that need what this machine may not have: left out in one line of the output, but never in CI."""

import os
from collections.abc import Callable

import pytest


def leave_out(config: pytest.Config, items: list[pytest.Item], mine: Callable[[pytest.Item], bool], why: str) -> None:
    """Deselect the items for which `mine` is true, and say why."""
    found = [] if os.environ.get("CI") else [item for item in items if mine(item)]
    if found:
        config.hook.pytest_deselected(items=found)
        items[:] = [item for item in items if item not in found]
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(why)
