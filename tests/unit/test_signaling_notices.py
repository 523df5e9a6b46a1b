"""What hosts are told is given once, ended once, bounded, and in the journal."""

import random
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from recorder.events import NoticeEnded, NoticeGiven
from sfu.interfaces import TrackKind
from signaling.clock import SessionClock
from signaling.messages import Message, Notice
from signaling.notices import GENERAL, KINDS, MAX_OPEN, OF_TAKES, Draft, NoticeCode, NoticeKey, Notices, of_take

WORDS = GENERAL[NoticeCode.RECORDER_DOWN]
DOWN, LOW = NoticeKey(NoticeCode.RECORDER_DOWN), NoticeKey(NoticeCode.SPACE_LOW)
ALL = frozenset(GENERAL)


class Desk:
    """Notices whose clock is set by the test."""

    def __init__(self) -> None:
        self.at_ns = 0
        self.events: list[Any] = []
        self.told: list[tuple[str, str, bool]] = []
        self.notices = Notices(cast(SessionClock, self), self.events.append)
        self.notices.tell = self._tell

    def now_ns(self) -> int:
        return self.at_ns

    def _tell(self, message: Message) -> None:
        assert isinstance(message, Notice)
        self.told.append((message.code, message.take_id, message.over))


def test_a_notice_is_told_and_written_once_until_it_is_over() -> None:
    desk = Desk()
    for at_ns, present in [(10, {DOWN: 4}), (20, {DOWN: 6}), (30, {}), (40, {}), (50, {DOWN: 45})]:
        desk.at_ns = at_ns
        desk.notices.keep(ALL, {key: Draft(WORDS, since_ns) for key, since_ns in present.items()})
    assert desk.events == [
        NoticeGiven(code="recorder_down", take_id="", text=WORDS, since_ns=4, at_ns=10),
        NoticeEnded(code="recorder_down", take_id="", at_ns=30),
        NoticeGiven(code="recorder_down", take_id="", text=WORDS, since_ns=45, at_ns=50),
    ]
    assert desk.told == [("recorder_down", "", over) for over in (False, True, False)]


def test_what_is_kept_is_of_the_given_kinds_alone() -> None:
    desk = Desk()
    desk.notices.give(LOW, Draft("Low.", 0))
    desk.notices.keep({NoticeCode.RECORDER_DOWN}, {DOWN: Draft("Away.", 0)})
    desk.notices.keep({NoticeCode.RECORDER_DOWN}, {})
    assert [notice.code for notice in desk.notices.open] == ["space_low"]


def test_an_open_notice_says_all_that_a_host_who_comes_later_must_know() -> None:
    desk = Desk()
    desk.notices.give(NoticeKey(NoticeCode.SPACE_LOW, "tak_a"), Draft("Low.", 1_500_000, "par_a"))
    assert desk.notices.open == [
        Notice(code="space_low", take_id="tak_a", participant_id="par_a", text="Low.", since_ms=1.5, over=False)
    ]


def test_with_the_recording_all_are_over() -> None:
    desk = Desk()
    desk.notices.keep(ALL, {DOWN: Draft("Away.", 0), LOW: Draft("Low.", 0)})
    desk.notices.end_all()
    assert desk.notices.open == []
    assert [over for _, _, over in desk.told] == [False, False, True, True]
    assert sum(isinstance(event, NoticeEnded) for event in desk.events) == 2


def test_no_more_than_so_many_are_open_at_once() -> None:
    desk = Desk()
    for number in range(2 * MAX_OPEN):
        desk.notices.give(NoticeKey(NoticeCode.SPACE_LOW, f"tak_{number}"), Draft("Low.", 0))
    assert len(desk.notices.open) == len(desk.events) == MAX_OPEN
    desk.notices.end(NoticeKey(NoticeCode.SPACE_LOW, "tak_0"))
    desk.notices.give(NoticeKey(NoticeCode.SPACE_LOW, "tak_new"), Draft("Low.", 0))
    assert desk.notices.open[-1].take_id == "tak_new"


@given(st.lists(st.sets(st.sampled_from([DOWN, LOW])), max_size=30), st.randoms(use_true_random=False))
def test_whatever_comes_and_goes_the_journal_and_the_hosts_know_what_is_open(
    steps: list[set[NoticeKey]], chance: random.Random
) -> None:
    desk = Desk()
    for present in steps:
        desk.at_ns += chance.randint(0, 5)
        desk.notices.keep(ALL, dict.fromkeys(present, Draft("Away.", 0)))
        opened = [e.code for e in desk.events if isinstance(e, NoticeGiven)]
        ended = [e.code for e in desk.events if isinstance(e, NoticeEnded)]
        for key in (DOWN, LOW):
            assert opened.count(key.code) - ended.count(key.code) == (key in present)
            assert [over for code, _, over in desk.told if code == key.code][-1:] in (
                [[False]] if key in present else [[], [True]]
            )


def test_every_notice_is_a_sentence_for_people() -> None:
    assert {*GENERAL, *OF_TAKES} == set(NoticeCode)
    said = [*GENERAL.values(), *(of_take(code, "Ann", kind) for code in OF_TAKES for kind in KINDS)]
    for words in said:
        assert words[0].isupper() or words.startswith("\u2068")
        assert words.endswith(".")
        assert "{" not in words


def test_a_name_is_text_whatever_is_in_it() -> None:
    words = of_take(NoticeCode.CAPTURE_STALLED, "{kind} <b> \u05d0", "microphone")
    assert "\u2068{kind} <b> \u05d0\u2069’s microphone" in words


def test_there_are_words_for_every_kind_of_source() -> None:
    assert set(KINDS) == set(TrackKind)
