"""What known people do in a recorded call, and what their lines do to them. Times are seconds of the call."""

from dataclasses import dataclass
from typing import Literal

SECONDS = 10
"""Of every plan. The recording begins RECORDED_S after the first are there."""
RECORDED_S = 1.0


@dataclass(frozen=True)
class Pause:
    """A microphone that is muted: it goes on with silence, or its track is taken away, which stops its RTP clock and
    no other."""

    from_s: float
    until_s: float
    how: Literal["silent", "stopped"]


@dataclass(frozen=True)
class Person:
    delay_s: float = 0.0
    """One way."""
    loss: float = 0.0
    joins_s: float = 0.0
    microphone_s: float = 0.0
    """After that it speaks first,"""
    camera_s: float = 0.0
    """and is seen first."""
    pauses: tuple[Pause, ...] = ()
    republishes_s: float | None = None
    """It makes a new connection with new streams,"""
    reconnects_s: float | None = None
    """or loses the WebSocket as well and comes back with its token."""


@dataclass(frozen=True)
class Plan:
    name: str
    people: tuple[Person, ...]


PLANS = (
    Plan("nothing special", (Person(), Person())),
    Plan("one comes late", (Person(), Person(joins_s=4.0))),
    Plan("camera before microphone", (Person(microphone_s=3.0), Person(camera_s=3.0))),
    Plan("muted, silent", (Person(pauses=(Pause(3.0, 5.0, "silent"), Pause(6.0, 6.5, "silent"))), Person())),
    Plan("muted, track taken away", (Person(pauses=(Pause(3.0, 5.5, "stopped"),)), Person())),
    Plan("published anew", (Person(republishes_s=5.0), Person())),
    Plan("reconnected", (Person(reconnects_s=5.0), Person())),
    Plan("50 ms each way", (Person(delay_s=0.05), Person())),
    Plan("150 ms each way", (Person(delay_s=0.15), Person())),
    Plan("2 % lost", (Person(delay_s=0.02, loss=0.02), Person())),
    Plan("5 % lost", (Person(delay_s=0.02, loss=0.05), Person())),
    Plan("10 % lost", (Person(delay_s=0.02, loss=0.1), Person())),
    Plan(
        "all of it",
        (
            Person(delay_s=0.05, loss=0.05, microphone_s=1.5, pauses=(Pause(5.0, 6.5, "stopped"),)),
            Person(delay_s=0.15, loss=0.02, joins_s=2.0),
            Person(republishes_s=6.0),
        ),
    ),
)
