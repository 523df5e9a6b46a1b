"""Boots and steps of the wall clock, out of what journals note."""

from msgspec.structs import replace

from recorder.events import ClockNoted
from recorder.journal import FileHeader
from recorder.manifest import Boot, WallStep
from recorder.recording_state import RecordingState
from recorder.wall_clock import STEP_NS, WallClock
from tests.support.journals import RECORDING, SESSION, ZERO_NS, S, file_header

WALL_NS = 1_800_000_000 * S
"""At the session's zero."""
HOUR_NS = 3_600 * S


def header(at_s: float, boot: str = "boot", moved_ns: int = 0) -> FileHeader:
    """Of a journal of events that was begun at this session time."""
    plain = file_header()
    at_ns = round(at_s * S)
    recording = replace(plain.recording, boot_id=boot, zero_wall_ns=WALL_NS)
    return replace(
        plain,
        recording=recording,
        opened_monotonic_ns=ZERO_NS + at_ns,
        opened_wall_ns=WALL_NS + at_ns + moved_ns,
    )


def noted(wall: WallClock, *notes: tuple[int, int], boot: str = "boot") -> None:
    """Session times, and by how much the wall clock was moved since its zero."""
    for at_s, moved_ns in notes:
        wall.noted(boot, at_s * S, WALL_NS + at_s * S + moved_ns)


def test_a_clock_that_runs_on_has_no_steps() -> None:
    wall = WallClock()
    wall.opened(header(1.0))
    noted(wall, (10, 0), (20, 5_000_000), (30, 9_000_000))
    clock = wall.clock()
    assert (clock.zero_wall_ns, clock.boots, clock.wall_steps) == (WALL_NS, [Boot("boot", S)], [])


def test_steps_of_an_hour_forward_and_back_are_told_where_they_are_seen() -> None:
    wall = WallClock()
    wall.opened(header(1.0))
    noted(wall, (10, 0), (20, HOUR_NS), (30, HOUR_NS), (40, 0), (50, -STEP_NS))
    assert wall.clock().wall_steps == [
        WallStep(20 * S, HOUR_NS),
        WallStep(40 * S, -HOUR_NS),
        WallStep(50 * S, -STEP_NS),
    ]


def test_a_step_before_the_first_note_shows_against_the_journals_header() -> None:
    wall = WallClock()
    wall.opened(header(1.0))
    noted(wall, (5, -HOUR_NS))
    assert wall.clock().wall_steps == [WallStep(5 * S, -HOUR_NS)]


def test_another_boot_is_told_and_its_clock_is_no_step() -> None:
    wall = WallClock()
    wall.opened(header(1.0))
    noted(wall, (10, 0))
    wall.opened(header(100.0, "later", moved_ns=5 * S))
    wall.opened(header(200.0, "later", moved_ns=5 * S))
    clock = wall.clock()
    assert clock.boots == [Boot("boot", S), Boot("later", 100 * S)]
    assert clock.wall_steps == []


def test_what_is_told_twice_or_in_another_order_changes_nothing() -> None:
    notes = [(10, 0), (20, HOUR_NS), (30, HOUR_NS)]
    one, other = WallClock(), WallClock()
    for wall, order in ((one, notes), (other, [*reversed(notes), *notes])):
        wall.opened(header(1.0))
        noted(wall, *order)
    assert one.clock() == other.clock()


def test_the_manifest_has_it() -> None:
    state = RecordingState(RECORDING, SESSION)
    state.wall.opened(header(1.0))
    state.apply(ClockNoted(at_ns=10 * S, wall_ns=WALL_NS, boot_id="boot"))
    clock = state.manifest({}, {}).clock
    assert clock is not None
    assert clock.wall_steps == [WallStep(10 * S, -10 * S)]
