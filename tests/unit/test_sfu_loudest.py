"""Whose sound is forwarded in a large room: those who are heard, from their first syllable on. Virtual time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.loudest import HOLD_S, MARGIN_DB, MIN_STAY_S
from sfu.voice import STEP_S
from tests.support.talk import Conversation, speech, steady

NAMES = [f"p{number:02}" for number in range(20)]


def room(places: int = 6) -> Conversation:
    made = Conversation(*NAMES, places=places)
    made.run(5)
    return made


def test_all_places_are_taken_from_the_first_step_on() -> None:
    made = Conversation(*NAMES, places=6)
    made.run(STEP_S)
    assert len(made.chosen) == 6


def test_with_fewer_voices_than_places_all_are_forwarded() -> None:
    made = Conversation("ann", "bob", places=6)
    made.run(1)
    assert made.chosen == {"ann", "bob"}


def test_the_step_in_which_a_newcomer_becomes_audible_is_the_one_in_which_it_is_forwarded() -> None:
    made = room()
    for seed, name in enumerate(NAMES):
        made.run(HOLD_S + 0.1)
        made.run(STEP_S, **{name: speech(seed)})
        assert name in made.chosen


def test_a_quiet_beginning_of_a_word_is_enough() -> None:
    made = room()
    newcomer = next(name for name in NAMES if name not in made.chosen)
    made.run(STEP_S, **{newcomer: steady(52)})
    assert newcomer in made.chosen


def test_six_who_talk_keep_their_places_over_their_pauses() -> None:
    made = room()
    talkers = {name: speech(seed) for seed, name in enumerate(NAMES[10:16])}
    made.run(3, **talkers)
    assert made.chosen == set(talkers)
    for _ in range(1000):
        made.step(talkers)
        assert made.chosen == set(talkers)


def test_a_seventh_takes_the_place_of_who_paused_for_the_hold() -> None:
    made = room()
    talkers = {name: speech(seed) for seed, name in enumerate(NAMES[:6])}
    made.run(5, **talkers)
    silent = talkers.pop("p03")
    made.run(HOLD_S + 0.5, **talkers)
    made.run(STEP_S, **talkers, p19=silent)
    assert made.chosen == {*talkers, "p19"}


def test_where_all_talk_one_who_is_a_little_louder_has_to_wait_and_a_shout_has_not() -> None:
    made = room()
    talkers = {name: steady(30 - place, 0) for place, name in enumerate(NAMES[:6])}
    made.run(1, **talkers)
    made.run(STEP_S, **talkers, p10=steady(30 - int(MARGIN_DB) + 1))
    assert "p10" not in made.chosen
    made.run(STEP_S, **talkers, p11=steady(30 - int(MARGIN_DB)))
    assert "p11" in made.chosen
    assert "p00" not in made.chosen, "the quietest gave way"


def test_who_took_a_place_keeps_it_for_a_second() -> None:
    made = room(places=1)
    (first,) = made.chosen
    others = [name for name in NAMES if name != first]
    made.run(STEP_S, **{others[0]: steady(40)})
    assert made.chosen == {others[0]}
    waited = made.steps_until(lambda: made.chosen == {others[1]}, 2.0, **{others[1]: steady(10)})
    assert MIN_STAY_S - STEP_S <= waited * STEP_S <= MIN_STAY_S + STEP_S


def test_a_fan_gives_way_to_everybody_who_speaks() -> None:
    made = Conversation(*NAMES, places=2)
    fans = {name: steady(30, 2, seed) for seed, name in enumerate(NAMES[:2])}
    made.run(10, **fans)
    made.run(0.5, **fans, p10=speech(1, level=40), p11=speech(2, level=40))
    assert made.chosen == {"p10", "p11"}


def test_in_silence_nothing_changes() -> None:
    made = room()
    before = made.chosen
    for _ in range(200):
        made.step({})
        assert made.chosen == before


def test_with_fewer_places_those_who_were_heard_last_stay() -> None:
    made = room()
    for seed, name in enumerate(("p01", "p02", "p03", "p04", "p05", "p06")):
        made.run(HOLD_S + 0.5, **{name: speech(seed)})
    made.places = 2
    made.run(STEP_S)
    assert made.chosen == {"p05", "p06"}


def test_the_place_of_who_left_is_taken_at_once() -> None:
    made = room()
    gone = next(iter(made.chosen))
    del made.voices[gone]
    made.run(STEP_S)
    assert len(made.chosen) == 6
    assert gone not in made.chosen


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.dictionaries(st.sampled_from(NAMES[:8]), st.integers(0, 127), max_size=8)),
        max_size=60,
    )
)
@settings(max_examples=200)
def test_there_are_never_more_than_places_and_never_fewer_than_can_be(
    steps: list[tuple[int, dict[str, int]]],
) -> None:
    made = Conversation(*NAMES[:8], places=6)
    for places, levels in steps:
        made.places = places
        made.step({name: iter((level,)) for name, level in levels.items()})
        assert len(made.chosen) == places
        assert made.chosen <= set(made.voices)
