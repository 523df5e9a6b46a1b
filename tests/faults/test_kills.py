"""`kill -9` of the recorder and of the node in turns: all that is in the journals is in files or counted.

`make chaos` has it with 50 kills.
"""

from pathlib import Path

import pytest

from bench.kills import survive


@pytest.mark.pain("13")
@pytest.mark.pain("17")
async def test_four_kills_cost_nothing_that_was_journalled(tmp_path: Path) -> None:
    lives = await survive(tmp_path, kills=4, seed=1)
    assert [(life.recorder_kills, life.node_killed) for life in lives] == [(1, True), (1, True)]
    for life in lives:
        assert life.account.problems == [], life
        assert life.account.missing == 0
        assert life.account.in_files > 0
