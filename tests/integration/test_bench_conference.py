"""The load of a conference works through the real program, here in its smallest form."""

import os

import pytest

from bench import conference


async def test_everybody_gets_the_layer_that_fits_and_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conference, "WARM_UP_S", 4.0)
    cores = os.sched_getaffinity(0)
    result = await conference.measure(3, 2.0, recording=True)
    assert (result["participants"], result["subscriptions"]) == (3, 12)
    assert result["layers"] == {"h": 3, "l": 3}
    assert (result["unrepaired"], result["dropped_by_recorder"]) == (0, 0)
    assert result["delivered_per_s"] > 0
    assert result["cpu_share"] > 0
    assert os.sched_getaffinity(0) == cores
