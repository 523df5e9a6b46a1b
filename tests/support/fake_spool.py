"""Journals in memory, durable at once unless the spool is `broken` or `held`."""

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from recorder.events import RecordingEvent
from recorder.journal import RecordingHeader, TrackHeader
from tests.support.taps import QuietTap

Event = TypeVar("Event")


class FakeTap(QuietTap):
    def __init__(self, header: TrackHeader) -> None:
        self.header = header
        self.ended = False

    def packet(self, arrival_s: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None:
        assert not self.ended

    def sender_report(self, arrival_s: float, ntp_timestamp: int, rtp_timestamp: int) -> None:
        assert not self.ended

    def end(self, now_s: float) -> None:
        self.ended = True


class FakeJournal:
    def __init__(self, spool: "FakeSpool", header: RecordingHeader) -> None:
        self.spool = spool
        self.header = header
        self.events: list[RecordingEvent] = []
        self.taps: list[FakeTap] = []
        self.closed = False

    def event(self, event: RecordingEvent) -> Future[None]:
        done: Future[None] = Future()
        if self.spool.broken or self.closed:
            done.set_exception(OSError("no disk"))
        else:
            self.events.append(event)
            if self.spool.held is None:
                done.set_result(None)
            else:
                self.spool.held.append(done)
        return done

    def open_track(self, header: TrackHeader) -> FakeTap:
        self.taps.append(FakeTap(header))
        return self.taps[-1]

    def close(self) -> None:
        self.closed = True

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


class FakeSpool:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alarm = ""
        self.broken = False
        self.held: list[Future[None]] | None = None
        """Not None: what is written becomes durable when these are resolved."""
        self.journals: list[FakeJournal] = []

    def open_recording(self, header: RecordingHeader) -> FakeJournal:
        self.journals.append(FakeJournal(self, header))
        return self.journals[-1]

    def counters(self) -> Mapping[str, float]:
        return {"bytes_written": 11, "oldest_unsynced_s": 0.5}

    def of(self, recording_id: str) -> list[FakeJournal]:
        return [journal for journal in self.journals if journal.header.recording_id == recording_id]
