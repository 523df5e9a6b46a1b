"""Who is taken for the dominant speaker, and who for speaking at all. Virtual time."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.speakers import (
    C_MEDIUM,
    C_SHORT,
    LONG_SCORES,
    MAX_SPEAKING,
    MEDIUM_SCORES,
    MIN_LONG,
    SHORT_SCORES,
    SPEAKING_HOLD_S,
)
from sfu.voice import LONG_MEDIUMS, MEDIUM_STEPS, SHORT_MAX, SPEECH_BANDS, SPEECH_STEPS, STEP_S, Voice
from tests.support.talk import Conversation, speech, steady


def test_who_speaks_alone_leads_within_half_a_second() -> None:
    room = Conversation("ann", "bob")
    room.run(5)
    assert room.speakers.dominant is None
    ann = speech(1)
    assert room.steps_until(lambda: room.speakers.dominant == "ann", 1.0, ann=ann) * STEP_S <= 0.5


def test_two_who_take_turns_lead_in_turn_each_within_a_second() -> None:
    room = Conversation("ann", "bob", "eve")
    for turn in range(6):
        name = ("ann", "bob")[turn % 2]
        room.run(6, **{name: speech(turn)})
        assert room.speakers.dominant == name
    room.steps_until(lambda: room.speakers.dominant == "eve", 1.2, eve=speech(9))
    assert room.dominants == [None, "ann", "bob", "ann", "bob", "ann", "bob", "eve"], "no change but the turns"


@pytest.mark.parametrize("seed", range(8))
def test_who_interrupts_for_a_moment_does_not_take_over(seed: int) -> None:
    """A word of 300 ms into the speech of another, once a second."""
    room = Conversation("ann", "bob")
    ann = speech(seed)
    room.run(5, ann=ann)
    for _ in range(20):
        room.run(0.7, ann=ann)
        room.run(0.3, ann=ann, bob=steady(22, 3, seed))
    assert room.dominants == [None, "ann"]


@pytest.mark.parametrize("seed", range(8))
def test_who_interrupts_and_goes_on_takes_over_once_the_other_gives_way(seed: int) -> None:
    room = Conversation("ann", "bob")
    ann, bob = speech(seed), speech(100 + seed)
    room.run(5, ann=ann)
    room.run(0.5, ann=ann, bob=bob)
    assert room.steps_until(lambda: room.speakers.dominant == "bob", 2.0, bob=bob) * STEP_S <= 1.0
    room.run(5, bob=bob)
    assert room.dominants == [None, "ann", "bob"]


@pytest.mark.parametrize("pause", [False, True])
def test_a_cough_of_100_ms_changes_nothing(pause: bool) -> None:
    """Into the speech of another, and into a long silence."""
    room = Conversation("ann", "bob")
    room.run(5, ann=speech(1))
    ann = steady(65) if pause else speech(2)
    for _ in range(30):
        room.run(1.35, ann=ann)
        room.run(0.1, ann=ann, bob=steady(5))
    assert room.dominants == [None, "ann"]
    assert all("bob" not in speaking for speaking in room.speaking)


def test_a_cough_across_three_steps_is_no_speech_either() -> None:
    room = Conversation("ann")
    room.run(1)
    room.run(0.15, ann=steady(5))
    room.run(2)
    assert room.dominants == [None]
    assert room.speaking == [()]


def test_noise_at_a_constant_level_does_not_win() -> None:
    """A fan as loud as speech, from the beginning, against somebody quiet."""
    room = Conversation("fan", "ann")
    fan = steady(28, 3)
    room.run(10, fan=fan)
    assert room.dominants == [None]
    room.run(10, fan=fan, ann=speech(3, level=38))
    assert room.dominants == [None, "ann"]
    room.run(20, fan=fan)
    assert room.dominants == [None, "ann"]


def test_a_fan_that_is_switched_on_is_taken_for_noise_after_some_seconds() -> None:
    room = Conversation("fan", "ann")
    room.run(5)
    fan = steady(38, 3)
    room.run(8, fan=fan)
    room.run(4, fan=fan, ann=speech(3))
    assert room.speakers.dominant == "ann"
    assert room.speakers.speaking == ("ann",)


def test_speech_above_the_noise_of_its_own_room_is_heard() -> None:
    room = Conversation("ann", noise=50)
    room.run(10)
    room.run(10, ann=speech(4, level=25, noise=50))
    assert room.speakers.dominant == "ann"


def test_a_long_speech_keeps_its_place() -> None:
    room = Conversation("ann", "bob")
    room.run(300, ann=speech(5))
    assert room.dominants == [None, "ann"]
    assert len(room.speaking) <= 3, "nothing flickers in the pauses between phrases"


def test_silence_keeps_the_last_who_led_and_nobody_speaks() -> None:
    room = Conversation("ann", "bob")
    room.run(5, ann=speech(1))
    room.run(60)
    assert room.speakers.dominant == "ann"
    assert room.speakers.speaking == ()


def test_who_pauses_for_less_than_the_hold_still_speaks() -> None:
    room = Conversation("ann")
    room.run(2, ann=speech(1))
    changes = len(room.speaking)
    room.run(SPEAKING_HOLD_S - 0.1)
    room.run(2, ann=speech(1))
    assert len(room.speaking) == changes
    room.run(SPEAKING_HOLD_S + 0.2)
    assert room.speakers.speaking == ()


def test_who_leaves_leads_no_longer() -> None:
    room = Conversation("ann", "bob")
    room.run(5, ann=speech(1))
    del room.voices["ann"]
    room.run(1)
    assert (room.speakers.dominant, room.speakers.speaking) == (None, ())
    room.run(2, bob=speech(2))
    assert room.speakers.dominant == "bob"


def test_two_who_speak_at_once_are_both_named_the_dominant_one_first() -> None:
    room = Conversation("ann", "bob", "eve")
    room.run(4, bob=speech(1))
    room.run(4, ann=speech(2), bob=speech(1))
    assert room.speakers.dominant == "bob"
    assert room.speakers.speaking == ("bob", "ann")


def test_packets_that_stay_away_for_100_ms_are_no_silence() -> None:
    voice = Voice()
    for step in range(20):
        voice.step(65 if step < 10 else 20, step * STEP_S)
    for _ in range(2):
        voice.step(None, 1.0)
    assert voice.speaks
    voice.step(None, 1.1)
    assert not voice.speaks
    assert voice.loudness == 0


def test_scores_tell_speech_from_none() -> None:
    assert (len(SHORT_SCORES), len(MEDIUM_SCORES), len(LONG_SCORES)) == (13, 5, 6)
    for scores in (MEDIUM_SCORES, LONG_SCORES):
        assert all(more > less for less, more in pairwise(scores))
    assert min(SHORT_SCORES[SPEECH_BANDS:]) - max(SHORT_SCORES[:4]) > C_SHORT
    assert MEDIUM_SCORES[SPEECH_STEPS] - MEDIUM_SCORES[0] > C_MEDIUM
    assert MEDIUM_SCORES[MEDIUM_STEPS] - MEDIUM_SCORES[1] < C_MEDIUM, "one who still speaks is not interrupted"


def test_a_hundred_who_shout_are_named_up_to_the_cap() -> None:
    names = [f"p{number}" for number in range(100)]
    room = Conversation(*names)
    room.run(1)
    room.run(5, **{name: speech(seed) for seed, name in enumerate(names)})
    assert len(room.speakers.speaking) == MAX_SPEAKING
    assert room.speakers.speaking[0] == room.speakers.dominant


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(0, 127)), max_size=4), max_size=80
    )
)
@settings(max_examples=200)
def test_whatever_is_said_only_present_ones_who_spoke_long_enough_are_named(
    steps: list[dict[str, int | None]],
) -> None:
    room = Conversation("a", "b", "c", "d")
    before: str | None = None
    for step in steps:
        room.step({name: iter((level,)) for name, level in step.items()})
        speakers = room.speakers
        if speakers.dominant != before:
            assert speakers.dominant is not None
            assert room.voices[speakers.dominant].long >= MIN_LONG
        before = speakers.dominant
        assert len(set(speakers.speaking)) == len(speakers.speaking)
        assert set(speakers.speaking) <= set(room.voices)
        for voice in room.voices.values():
            assert 0 <= voice.short <= SHORT_MAX
            assert 0 <= voice.medium <= MEDIUM_STEPS
            assert 0 <= voice.long <= LONG_MEDIUMS
