"""What hosts are told while they record: that something is wrong with a take, or with the recorder itself.

Guarantees: a notice is given once until it is over; hosts, and those who come later, are told of every one that is
open; the recording's journal says when each was given and when it was over, so it stands in the manifest. With the
recording all are over.
"""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import NamedTuple

from recorder.events import NoticeEnded, NoticeGiven, RecordingEvent
from signaling.clock import NS_PER_MS, SessionClock
from signaling.messages import Message, Notice

MAX_OPEN = 100
"""At once, of a recording; more are not given until one is over."""


class NoticeCode(StrEnum):
    """What is wrong. The values are part of the protocol and of the manifest."""

    RECORDER_DOWN = "recorder_down"
    RECORDER_BEHIND = "recorder_behind"
    SPACE_LOW = "space_low"
    TRACK_STUCK = "track_stuck"
    CAPTURE_STALLED = "capture_stalled"
    SILENCE = "digital_silence"
    CLIPPING = "clipping"
    BLACK = "black_picture"
    FROZEN = "frozen_picture"


GENERAL = {
    NoticeCode.RECORDER_DOWN: (
        "The studio does not make files at present. What is said and shown is kept all the same, and the files come "
        "later. If this stays, tell whoever runs the studio."
    ),
    NoticeCode.RECORDER_BEHIND: (
        "The studio is slow at making files. Nothing is missing, but the files will be ready later than usual."
    ),
    NoticeCode.SPACE_LOW: (
        "The studio’s disk is nearly full. This recording goes on; if the disk gets full it ends, and what was "
        "recorded is kept. Tell whoever runs the studio to make space."
    ),
}
"""Words of what is wrong with all of a recording."""
OF_TAKES = {
    NoticeCode.CAPTURE_STALLED: (
        "Nothing comes from {name}’s {kind} any more, though it is on: it is missing in the recording. Ask {name} to "
        "look at it."
    ),
    NoticeCode.TRACK_STUCK: (
        "The file of {name}’s {kind} is late: the studio hung while it made it, and tries again. Nothing is missing."
    ),
    NoticeCode.SILENCE: (
        "{name}’s {kind} is on and gives no sound at all, as if it were switched off at the device or in the system. "
        "Ask {name} to look at it."
    ),
    NoticeCode.CLIPPING: "{name}’s {kind} is too loud and distorts. Ask {name} to turn it down or to move back.",
    NoticeCode.BLACK: "{name}’s {kind} is on and shows black. Ask {name} to look at its lens and the light.",
    NoticeCode.FROZEN: "{name}’s {kind} stands still: its picture does not change any more. Ask {name} to look at it.",
}
"""Of what is wrong with one take, with whose and what kind of source it is."""
KINDS = {
    "microphone": "microphone",
    "camera": "camera",
    "screen": "shared screen",
    "screen_audio": "sound of the shared screen",
}


def of_take(code: NoticeCode, name: str, kind: str) -> str:
    """In words. `name` is isolated from the text around it, whichever way it is written."""
    return OF_TAKES[code].format(name=f"\u2068{name}\u2069", kind=KINDS[kind])


class Draft(NamedTuple):
    """What is to be told."""

    text: str
    since_ns: int
    """On the session clock."""
    participant_id: str = ""
    """Whose take it is."""


class NoticeKey(NamedTuple):
    code: NoticeCode
    take_id: str = ""
    """Empty: it is not of one take."""


class Notices:
    """Of one running recording."""

    def __init__(self, clock: SessionClock, write: Callable[[RecordingEvent], object]) -> None:
        """`write`: into the recording's journal."""
        self.tell: Callable[[Message], None] = lambda message: None
        """To every host of the room, once the recording runs."""
        self._clock = clock
        self._write = write
        self._open: dict[NoticeKey, Notice] = {}

    @property
    def open(self) -> list[Notice]:
        """The oldest first."""
        return list(self._open.values())

    def keep(self, codes: Collection[NoticeCode], present: Mapping[NoticeKey, Draft]) -> None:
        """Of these kinds exactly `present` is so: give what is new, end the rest."""
        for key in [key for key in self._open if key.code in codes and key not in present]:
            self.end(key)
        for key, draft in present.items():
            self.give(key, draft)

    def give(self, key: NoticeKey, draft: Draft) -> None:
        """Unless it is open, or too many are."""
        if key in self._open or len(self._open) >= MAX_OPEN:
            return
        notice = self._open[key] = Notice(
            code=key.code,
            take_id=key.take_id,
            participant_id=draft.participant_id,
            text=draft.text,
            since_ms=draft.since_ns / NS_PER_MS,
            over=False,
        )
        self._write(
            NoticeGiven(
                code=key.code,
                take_id=key.take_id,
                text=draft.text,
                since_ns=draft.since_ns,
                at_ns=self._clock.now_ns(),
            )
        )
        self.tell(notice)

    def end(self, key: NoticeKey) -> None:
        """It is over, if it was given."""
        if (notice := self._open.pop(key, None)) is None:
            return
        self._write(NoticeEnded(code=key.code, take_id=key.take_id, at_ns=self._clock.now_ns()))
        notice.over = True
        self.tell(notice)

    def end_all(self) -> None:
        """With the recording."""
        for key in list(self._open):
            self.end(key)
