"""What may be recorded with the space there is: worse at once, better only when there has been room to spare."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.settings import RecorderSettings
from recorder.space import FULL_SHARE, HOLD_S, QUOTA_LOW_SHARE, SPARE, Space, SpaceGuard, SpaceState

MIB = 1 << 20
TOTAL = 1_000 * MIB
RESERVE = 100 * MIB
OK, LOW, FULL = SpaceState.OK, SpaceState.LOW, SpaceState.FULL
ORDER = [OK, LOW, FULL]
SETTINGS = RecorderSettings(reserve_bytes=RESERVE, reserve_share=0.0)
QUOTA = RecorderSettings(reserve_bytes=0, reserve_share=0.0, spool_bytes=RESERVE)


def space(free: int = TOTAL, *, used: int = 0, refused: bool = False) -> Space:
    return Space(free, TOTAL, used, refused)


@pytest.mark.parametrize(
    ("free", "state"),
    [(TOTAL, OK), (RESERVE, OK), (RESERVE - 1, LOW), (RESERVE // 4 + 1, LOW), (RESERVE // 4, FULL), (0, FULL)],
)
def test_below_the_reserve_nothing_begins_and_below_a_quarter_of_it_nothing_goes_on(
    free: int, state: SpaceState
) -> None:
    assert SpaceGuard(SETTINGS).look(space(free), 0.0) is state


def test_of_bytes_and_share_the_larger_reserve_counts() -> None:
    share = RecorderSettings(reserve_bytes=RESERVE, reserve_share=0.2)
    assert SpaceGuard(share).look(space(2 * RESERVE - 1), 0.0) is LOW
    bytes_ = RecorderSettings(reserve_bytes=RESERVE, reserve_share=0.05)
    assert SpaceGuard(bytes_).look(space(RESERVE - 1), 0.0) is LOW
    assert SpaceGuard(bytes_).look(space(RESERVE), 0.0) is OK


@pytest.mark.parametrize(
    ("used", "state"), [(0, OK), (RESERVE * 9 // 10 - 1, OK), (RESERVE * 9 // 10, LOW), (RESERVE, FULL)]
)
def test_a_quota_holds_however_much_is_free(used: int, state: SpaceState) -> None:
    assert SpaceGuard(QUOTA).look(space(used=used), 0.0) is state


def test_without_a_quota_any_use_is_fine() -> None:
    assert SpaceGuard(SETTINGS).look(space(used=1 << 60), 0.0) is OK


def test_a_disk_that_refuses_is_full_whatever_it_says() -> None:
    assert SpaceGuard(SETTINGS).look(space(refused=True), 0.0) is FULL


def test_it_gets_better_when_there_was_room_to_spare_for_a_while() -> None:
    guard = SpaceGuard(SETTINGS)
    assert guard.look(space(0), 0.0) is FULL
    assert guard.look(space(TOTAL), 10.0) is FULL
    assert guard.look(space(TOTAL), 10.0 + HOLD_S - 0.01) is FULL
    assert guard.look(space(TOTAL), 10.0 + HOLD_S) is OK


def test_just_enough_is_not_enough_to_get_better() -> None:
    guard = SpaceGuard(SETTINGS)
    guard.look(space(RESERVE - 1), 0.0)
    for second in range(1, 60):
        assert guard.look(space(RESERVE + 1), second) is LOW
    guard.look(space(round(RESERVE * SPARE) + 1), 60.0)
    assert guard.look(space(round(RESERVE * SPARE) + 1), 60.0 + HOLD_S) is OK


def test_a_relapse_begins_the_wait_anew() -> None:
    guard = SpaceGuard(SETTINGS)
    guard.look(space(0), 0.0)
    guard.look(space(TOTAL), 1.0)
    guard.look(space(TOTAL, refused=True), 2.0)
    guard.look(space(TOTAL), 3.0)
    assert guard.look(space(TOTAL), 3.0 + HOLD_S - 0.1) is FULL
    assert guard.look(space(TOTAL), 3.0 + HOLD_S) is OK


def test_it_gets_no_better_than_the_worst_that_was_seen_meanwhile() -> None:
    guard = SpaceGuard(SETTINGS)
    guard.look(space(0), 0.0)
    guard.look(space(TOTAL), 1.0)
    guard.look(space(RESERVE // 2), 2.0)
    assert guard.look(space(TOTAL), 1.0 + HOLD_S) is LOW
    guard.look(space(TOTAL), 10.0)
    assert guard.look(space(TOTAL), 10.0 + HOLD_S) is OK


def test_a_quota_is_left_by_using_less_than_a_share_of_it() -> None:
    guard = SpaceGuard(QUOTA)
    guard.look(space(used=RESERVE), 0.0)
    for second in range(1, 30):
        assert guard.look(space(used=RESERVE - 1), second) is FULL
    free_again = round(RESERVE * QUOTA_LOW_SHARE / SPARE) - 1
    guard.look(space(used=free_again), 30.0)
    assert guard.look(space(used=free_again), 30.0 + HOLD_S) is OK


LOOKS = st.lists(
    st.tuples(
        st.floats(0.1, 5.0),
        st.builds(space, st.integers(0, 3 * RESERVE), used=st.integers(0, 2 * RESERVE), refused=st.booleans()),
    ),
    max_size=40,
)


def level(settings: RecorderSettings, seen: Space) -> SpaceState:
    return SpaceGuard(settings).look(seen, 0.0)


@given(LOOKS, st.booleans())
def test_whatever_comes_it_is_never_better_than_what_is_seen_and_never_flaps(
    looks: list[tuple[float, Space]], with_quota: bool
) -> None:
    settings = QUOTA if with_quota else SETTINGS
    guard, now_s = SpaceGuard(settings), 0.0
    states: list[tuple[float, SpaceState]] = []
    for pause_s, seen in looks:
        now_s += pause_s
        state = guard.look(seen, now_s)
        assert state is guard.state
        assert ORDER.index(state) >= ORDER.index(level(settings, seen)), "worse at once"
        states.append((now_s, state))
    worse_at_s = float("-inf")
    for (_, before), (at_s, after) in pairwise(states):
        if ORDER.index(after) > ORDER.index(before):
            worse_at_s = at_s
        elif after is not before:
            assert at_s - worse_at_s >= HOLD_S, "better only after a while"


@given(LOOKS)
def test_space_that_came_back_is_always_found(looks: list[tuple[float, Space]]) -> None:
    guard, now_s = SpaceGuard(SETTINGS), 0.0
    for pause_s, seen in looks:
        now_s += pause_s
        guard.look(seen, now_s)
    # Twice: what was seen just before may hold it at `low` once more.
    for _ in range(2):
        guard.look(space(), now_s := now_s + 1)
        guard.look(space(), now_s := now_s + HOLD_S)
    assert guard.state is OK


def test_the_quarter_is_what_the_documentation_says() -> None:
    assert (FULL_SHARE, QUOTA_LOW_SHARE) == (0.25, 0.9)


def test_without_any_reserve_a_disk_is_full_when_nothing_is_free() -> None:
    none = RecorderSettings(reserve_bytes=0, reserve_share=0.0)
    assert SpaceGuard(none).look(space(1), 0.0) is OK
    assert SpaceGuard(none).look(space(0), 0.0) is FULL
