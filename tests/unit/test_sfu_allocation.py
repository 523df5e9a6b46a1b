"""A viewer's bandwidth goes to the most wanted first, a minimum for each before more for one, without flapping."""

from hypothesis import given
from hypothesis import strategies as st

from sfu.allocation import KEEP_SMALLEST, PAUSED, Demand, Rank, allocate

CAMERA = (150e3, 500e3, 1500e3)
FIRST, OTHER = Rank.FIRST, Rank.OTHER


def demand(rank: Rank = OTHER, options: tuple[float, ...] = CAMERA, present: int = PAUSED, least: int = 0) -> Demand:
    return Demand(rank, options, present, least)


def test_with_enough_everything_is_sent_in_full() -> None:
    assert allocate([demand(), demand(FIRST), demand()], 10e6) == [2, 2, 2]


def test_with_nothing_everything_is_paused() -> None:
    assert allocate([demand(), demand(FIRST)], 0) == [PAUSED, PAUSED]
    assert allocate([demand()], -5e3) == [PAUSED]
    assert allocate([], 1e6) == []


def test_each_gets_its_smallest_before_one_gets_more() -> None:
    assert allocate([demand(FIRST), demand(), demand(), demand()], 4 * 150e3) == [0, 0, 0, 0]


def test_each_gets_what_it_needs_at_least_before_one_gets_more() -> None:
    frames = (60e3, 90e3, 150e3, 500e3, 1500e3)
    assert allocate([demand(FIRST, frames, least=2), demand(options=frames, least=2)], 400e3) == [2, 2]
    assert allocate([demand(FIRST, frames, least=2), demand(options=frames, least=2)], 210e3) == [1, 1]
    assert allocate([demand(FIRST, frames, least=2), demand(options=frames, least=2)], 280e3) == [2, 1]
    assert allocate([demand(FIRST, frames, least=2), demand(options=frames, least=2)], 2e6) == [4, 2]


def test_who_speaks_is_raised_before_the_others() -> None:
    assert allocate([demand(), demand(FIRST), demand()], 2.2e6) == [0, 2, 0]
    assert allocate([demand(), demand(FIRST), demand()], 3.2e6) == [1, 2, 1]


def test_others_are_raised_in_turn() -> None:
    assert allocate([demand(), demand(), demand()], 1.4e6) == [1, 1, 0]


def test_the_least_wanted_is_paused_first() -> None:
    assert allocate([demand(), demand(), demand(FIRST)], 2 * 150e3) == [0, PAUSED, 0]


def test_what_does_not_fit_leaves_room_for_a_smaller_one_behind_it() -> None:
    assert allocate([demand(FIRST, (900e3,)), demand(options=(100e3,))], 200e3) == [PAUSED, 0]


def test_what_flows_stays_where_a_new_one_would_not_start() -> None:
    at_the_edge = 1500e3 * 1.05
    assert allocate([demand(present=2)], at_the_edge) == [2]
    assert allocate([demand(present=1)], at_the_edge) == [1]


def test_a_picture_of_one_layer_is_not_paused_for_a_doubt() -> None:
    assert allocate([demand(options=(1500e3,), present=0)], 1500e3 * (KEEP_SMALLEST + 0.01)) == [0]
    assert allocate([demand(options=(1500e3,), present=0)], 1500e3 * (KEEP_SMALLEST - 0.01)) == [PAUSED]


def test_a_still_picture_that_is_cheaper_when_larger_is_sent_large() -> None:
    assert allocate([demand(options=(150e3, 90e3))], 200e3) == [1]


demands = st.lists(
    st.builds(
        lambda rank, options, place, least: demand(
            rank, tuple(sorted(options)), place % (len(options) + 1) - 1, least % len(options)
        ),
        st.sampled_from(Rank),
        st.lists(st.floats(1e3, 5e6), min_size=1, max_size=7),
        st.integers(0, 7),
        st.integers(0, 2),
    ),
    max_size=20,
)


@given(demands, st.floats(0, 50e6))
def test_what_is_given_is_there_to_be_given(wanted: list[Demand], budget_bps: float) -> None:
    chosen = allocate(wanted, budget_bps)
    assert len(chosen) == len(wanted)
    sent = 0.0
    for one, option in zip(wanted, chosen, strict=True):
        assert PAUSED <= option < len(one.options_bps)
        sent += one.options_bps[option] if option != PAUSED else 0.0
    assert sent <= budget_bps / KEEP_SMALLEST + 1


@given(demands, st.floats(0, 50e6))
def test_it_settles(wanted: list[Demand], budget_bps: float) -> None:
    """Asked again and again with what it gave and the same budget, it comes to rest."""
    chosen = allocate(wanted, budget_bps)
    for _ in range(30):
        wanted = [
            Demand(one.rank, one.options_bps, option, one.least) for one, option in zip(wanted, chosen, strict=True)
        ]
        before, chosen = chosen, allocate(wanted, budget_bps)
        if chosen == before:
            return
    raise AssertionError(f"it still moves: {wanted} {chosen}")


@given(demands, st.floats(0, 20e6))
def test_nobody_is_raised_by_what_would_give_another_its_smallest(wanted: list[Demand], budget_bps: float) -> None:
    wanted = [Demand(one.rank, one.options_bps, PAUSED, one.least) for one in wanted]
    chosen = allocate(wanted, budget_bps)
    sent = [(one, option) for one, option in zip(wanted, chosen, strict=True) if option != PAUSED]
    raised = sum(one.options_bps[option] - one.options_bps[0] for one, option in sent)
    paused = [one.options_bps[0] for one, option in zip(wanted, chosen, strict=True) if option == PAUSED]
    assert raised <= min(paused, default=raised)
