"""When a track on which the recorder hung is tried again, whatever the clock does and whatever is left of the notes."""

import pytest

from recorder.stuck_tracks import FIRST_S, LATER_S, StuckTrack, decode, encode

NOW = 1_700_000_000.0


@pytest.mark.parametrize(("times", "pause_s"), [(1, FIRST_S), (2, LATER_S), (9, LATER_S)])
def test_first_soon_then_every_hour(times: int, pause_s: float) -> None:
    stuck = StuckTrack(times=times, at_s=NOW)
    assert stuck.wait_s(NOW) == pause_s
    assert stuck.wait_s(NOW + pause_s - 1) == 1
    assert stuck.wait_s(NOW + pause_s + 1) == 0
    assert stuck.wait_s(NOW - 1e6) == pause_s, "the clock was set back"


def test_the_notes_go_round_and_damaged_ones_are_none() -> None:
    stuck = {"seg_a-1.journal": StuckTrack(times=2, at_s=NOW)}
    data = encode(stuck)
    assert decode(data) == stuck
    assert decode(b"") == decode(data[:-3]) == decode(b"[]") == {}
