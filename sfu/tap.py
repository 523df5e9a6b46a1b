"""What a recording is given of one encoding: all from where its tap was opened to where the recording was stopped.

A packet that was missing when the tap was opened and is repaired afterwards is not part of it: its neighbours came
before and will not come again. A packet that is missing when the recording is stopped is waited for, at most LINGER_S.
A fault of the recorder ends the tap and never touches the call.
"""

import sys

import structlog

from sfu.interfaces import PacketTap, Reception
from sfu.rtcp import SenderReport

log = structlog.get_logger()

RECEPTION_S = 10.0
"""Interval at which a recording is told how its stream comes."""

LINGER_S = 1.0
"""A repair takes a NACK and a round trip, a few times over, and senders keep what they sent for 1 s; the file of a
track that misses something is finished that much later."""


class EncodingTap:
    """Hands the packets with an index from `first` on to a recorder's tap."""

    __slots__ = ("_deadline", "_last", "_picture", "_reception_due", "_ssrc", "_tap", "failed", "first")

    def __init__(self, tap: PacketTap, ssrc: int, first: int, now: float) -> None:
        self._tap = tap
        self._ssrc = ssrc
        self.first = first
        """Index of the first packet that belongs to the recording."""
        self._picture = (0, 0)
        """Size that the recording knows of."""
        self._reception_due = now + RECEPTION_S
        self._last = sys.maxsize
        self._deadline = 0.0
        self.failed = False

    def packet(self, now: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None:
        """Hot."""
        if self.first <= index <= self._last:
            try:
                self._tap.packet(now, index, timestamp, marker, payload)
            except Exception:
                self._fail()

    def sender_report(self, report: SenderReport, now: float) -> None:
        try:
            self._tap.sender_report(now, report.ntp_timestamp, report.rtp_timestamp)
        except Exception:
            self._fail()

    def picture(self, now: float, index: int, size: tuple[int, int], rid: str) -> None:
        """A key frame of this size (pixels) began with packet `index`, which was handed over before."""
        if size != self._picture and self.first <= index <= self._last:
            self._picture = size
            try:
                self._tap.picture(now, index, *size, rid)
            except Exception:
                self._fail()

    def muted(self, now: float, muted: bool) -> None:
        try:
            self._tap.muted(now, muted)
        except Exception:
            self._fail()

    def is_reception_due(self, now: float) -> bool:
        """It is time to tell `reception`."""
        return now >= self._reception_due

    def reception(self, now: float, reception: Reception) -> None:
        self._reception_due = now + RECEPTION_S
        try:
            self._tap.reception(now, reception)
        except Exception:
            self._fail()

    def stop(self, last: int, now: float) -> None:
        """The recording was stopped: take only what is missing up to index `last`."""
        if not self._deadline:
            self._last = last
            self._deadline = now + LINGER_S

    def is_over(self, first_missing: int | None, now: float) -> bool:
        """Stopped, and what was missing then came or will not be waited for. `first_missing`: the lowest index."""
        if not self._deadline:
            return False
        return first_missing is None or first_missing > self._last or now >= self._deadline

    def end(self, now: float) -> None:
        """What was waited for after the recording was stopped does not make it longer."""
        try:
            self._tap.end(min(now, self._deadline - LINGER_S) if self._deadline else now)
        except Exception:
            self._fail()

    def _fail(self) -> None:
        """In an except clause."""
        log.exception("tap_failed", ssrc=self._ssrc)
        self.failed = True
