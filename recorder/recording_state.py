"""What the event journals of a recording say, added up. No I/O; the same events in the same order give the same state.

A recording may have several event journals (one per run of the node that wrote about it); they are applied in order of
their epochs, and an event that comes twice changes nothing.
"""

from bisect import bisect_left, insort

import msgspec

from recorder.events import (
    CaptureFinished,
    CaptureOpened,
    ChunkVerified,
    ClockNoted,
    NoticeEnded,
    NoticeGiven,
    OffRecordMarked,
    OffRecordUnmarked,
    ParticipantGone,
    ParticipantSeen,
    Purged,
    RecordingEvent,
    RecordingStarted,
    RecordingStopped,
    SpeakersChanged,
    TakeOpened,
    TrackMuteChanged,
)
from recorder.journal import TrackHeader
from recorder.manifest import (
    Interval,
    Manifest,
    Mute,
    Notice,
    OffRecord,
    Participant,
    Segment,
    Speakers,
    Take,
    software,
)
from recorder.wall_clock import WallClock

MAX_SPEAKERS = 100_000
"""Changes of who speaks that a manifest lists, three hours of ten a second. More are counted."""
MAX_NOTICES = 10_000
"""That a manifest lists. More are counted."""


class Capture(msgspec.Struct):
    """A local copy that a browser makes."""

    opened: CaptureOpened
    chunks: dict[int, ChunkVerified] = {}
    finished_chunks: int | None = None
    """How many there are, once the browser said so."""

    def missing(self) -> list[int]:
        """Indices that are not verified, of a finished capture."""
        return [index for index in range(self.finished_chunks or 0) if index not in self.chunks]


class RecordingState:
    def __init__(self, recording_id: str, session_id: str) -> None:
        self.recording_id = recording_id
        self.session_id = session_id
        self.wall = WallClock()
        self.title = ""
        self.started_ns = 0
        self.stopped_ns: int | None = None
        self.stop_reason = ""
        self.participants: dict[str, ParticipantSeen] = {}
        self.takes: dict[str, TakeOpened] = {}
        self.captures: dict[str, Capture] = {}
        self.off_record: dict[str, OffRecordMarked] = {}
        """Ranges that nobody may have, by id."""
        self.purged: dict[str, Purged] = {}
        """By id of the range; the first one counts."""
        self._unmarked: set[str] = set()
        """Ids of ranges that were taken back, whichever event comes first."""
        self._mute_changes: dict[str, set[tuple[int, bool]]] = {}
        """By take: when, and whether it was muted from then on."""
        self._presence_changes: dict[str, set[tuple[int, bool]]] = {}
        """By participant: when, and whether it was there from then on."""
        self._speakers: dict[int, SpeakersChanged] = {}
        """By time."""
        self._speakers_omitted = 0
        self._notices: dict[tuple[int, str, str], NoticeGiven] = {}
        """By when they were given, code and take."""
        self._notices_omitted = 0
        self._notice_ends: dict[tuple[str, str], list[int]] = {}
        """When, by code and take, in the order of time; at most MAX_NOTICES in all."""
        self._notice_ends_kept = 0

    def apply(self, event: RecordingEvent) -> None:
        if isinstance(event, RecordingStarted):
            self.title, self.started_ns = event.title, event.started_ns
        elif isinstance(event, ParticipantSeen):
            self.participants[event.participant_id] = event
            if event.at_ns is not None:
                self._presence_changes.setdefault(event.participant_id, set()).add((event.at_ns, True))
        elif isinstance(event, ParticipantGone):
            self._presence_changes.setdefault(event.participant_id, set()).add((event.at_ns, False))
        elif isinstance(event, SpeakersChanged):
            if len(self._speakers) < MAX_SPEAKERS or event.at_ns in self._speakers:
                self._speakers[event.at_ns] = event
            else:
                self._speakers_omitted += 1
        elif isinstance(event, NoticeGiven):
            key = (event.at_ns, event.code, event.take_id)
            if len(self._notices) < MAX_NOTICES or key in self._notices:
                self._notices[key] = event
            else:
                self._notices_omitted += 1
        elif isinstance(event, NoticeEnded):
            ends = self._notice_ends.setdefault((event.code, event.take_id), [])
            if event.at_ns not in ends[-1:] and self._notice_ends_kept < MAX_NOTICES:
                self._notice_ends_kept += 1
                insort(ends, event.at_ns)
        elif isinstance(event, TakeOpened):
            self.takes[event.take_id] = event
        elif isinstance(event, TrackMuteChanged):
            self._mute_changes.setdefault(event.take_id, set()).add((event.at_ns, event.muted))
        elif isinstance(event, OffRecordMarked):
            if event.off_record_id not in self._unmarked:
                self.off_record[event.off_record_id] = event
        elif isinstance(event, OffRecordUnmarked):
            self._unmarked.add(event.off_record_id)
            self.off_record.pop(event.off_record_id, None)
        elif isinstance(event, Purged):
            for id in event.off_record_ids:
                self.purged.setdefault(id, event)
        elif isinstance(event, ClockNoted):
            self.wall.noted(event.boot_id, event.at_ns, event.wall_ns)
        elif isinstance(event, RecordingStopped):
            self.stopped_ns = event.stopped_ns
            self.stop_reason = event.reason or self.stop_reason
        elif isinstance(event, CaptureOpened):
            self.captures.setdefault(event.segment_id, Capture(event))
        elif isinstance(event, ChunkVerified):
            if event.segment_id in self.captures:
                self.captures[event.segment_id].chunks[event.index] = event
        elif isinstance(event, CaptureFinished) and event.segment_id in self.captures:
            self.captures[event.segment_id].finished_chunks = event.chunks

    def take_of(self, header: TrackHeader) -> TakeOpened:
        """A track journal names its take too, in case the event was lost."""
        named = TakeOpened(take_id=header.take_id, participant_id=header.participant_id, kind=header.kind, slot=0)
        return self.takes.setdefault(header.take_id, named)

    def manifest(self, server: dict[str, list[Segment]], local: dict[str, Segment]) -> Manifest:
        """`server`: segments by take; `local`: finished local copies by segment id; the others are listed by state."""
        stopped_ns = self.stopped_ns if self.stopped_ns is not None else self._last_sign_ns(server)
        takes = {
            take.take_id: Take(
                take_id=take.take_id,
                participant_id=take.participant_id,
                kind=take.kind,
                slot=take.slot,
                segments=sorted(server.get(take.take_id, ()), key=_place),
                mutes=[Mute(*between) for between in _between(self._mute_changes.get(take.take_id, set()), stopped_ns)],
            )
            for take in self.takes.values()
        }
        for segment_id, capture in self.captures.items():
            if capture.opened.take_id in takes:
                segment = local.get(segment_id) or unfinished(capture)
                takes[capture.opened.take_id].segments.append(segment)
        return Manifest(
            software=software(),
            session_id=self.session_id,
            recording_id=self.recording_id,
            title=self.title,
            started_ns=self.started_ns,
            stopped_ns=stopped_ns,
            stop_reason=self.stop_reason,
            clock=self.wall.clock(),
            participants=[
                Participant(
                    participant_id=seen.participant_id,
                    display_name=seen.display_name,
                    role=seen.role,
                    present=[
                        Interval(*between)
                        for between in _between(self._presence_changes.get(seen.participant_id, set()), stopped_ns)
                    ],
                )
                for seen in self.participants.values()
            ],
            takes=list(takes.values()),
            off_record=[
                OffRecord(
                    off_record_id=marked.off_record_id,
                    start_ns=marked.start_ns,
                    stop_ns=marked.stop_ns,
                    marked_by=marked.marked_by,
                    marked_ns=marked.marked_ns,
                    purged_by=self.purged[id].purged_by if id in self.purged else "",
                    purged_ns=self.purged[id].at_ns if id in self.purged else None,
                )
                for id, marked in sorted(self.off_record.items(), key=lambda one: (one[1].start_ns, one[0]))
            ],
            speakers=[
                Speakers(at_ns, event.dominant, event.speaking)
                for at_ns, event in sorted(self._speakers.items())
                if not self._is_purged(at_ns)
            ],
            speakers_omitted=self._speakers_omitted,
            notices=[self._notice(given, stopped_ns) for _, given in sorted(self._notices.items())],
            notices_omitted=self._notices_omitted,
        )

    def _notice(self, given: NoticeGiven, stopped_ns: int) -> Notice:
        """One that nobody ended was so until the recording was stopped."""
        ends = self._notice_ends.get((given.code, given.take_id), [])
        place = bisect_left(ends, given.at_ns)
        until_ns = ends[place] if place < len(ends) else max(stopped_ns, given.at_ns)
        return Notice(
            code=given.code,
            take_id=given.take_id,
            text=given.text,
            since_ns=given.since_ns,
            at_ns=given.at_ns,
            until_ns=until_ns,
        )

    def _is_purged(self, at_ns: int) -> bool:
        return any(
            marked.start_ns <= at_ns <= marked.stop_ns for id, marked in self.off_record.items() if id in self.purged
        )

    def _last_sign_ns(self, server: dict[str, list[Segment]]) -> int:
        """When the node stopped without saying so: the end of the last file."""
        ends = [segment.start_ns + segment.duration_ns for segments in server.values() for segment in segments]
        return max([self.started_ns, *ends])


def _between(changes: set[tuple[int, bool]], stopped_ns: int) -> list[tuple[int, int]]:
    """From when to when something was so; what began and did not end did so when the recording was stopped."""
    found: list[tuple[int, int]] = []
    since: int | None = None
    for at_ns, begins in sorted(changes):
        if begins and since is None:
            since = at_ns
        elif not begins and since is not None:
            found.append((since, at_ns))
            since = None
    if since is not None and since < stopped_ns:
        found.append((since, stopped_ns))
    return found


def _place(segment: Segment) -> tuple[int, str]:
    return segment.start_ns, segment.segment_id


def unfinished(capture: Capture) -> Segment:
    """A local copy that is not joined yet."""
    opened = capture.opened
    return Segment(
        segment_id=opened.segment_id,
        copy="local",
        state="capturing" if capture.finished_chunks is None else "finishing",
        content_type=opened.content_type,
        start_ns=opened.start_ns,
        start_bound_ns=opened.bound_ns,
    )
