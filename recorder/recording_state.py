"""What the event journals of a recording say, added up. No I/O; the same events in the same order give the same state.

A recording may have several event journals (one per run of the node that wrote about it); they are applied in order of
their epochs, and an event that comes twice changes nothing.
"""

import msgspec

from recorder.events import (
    CaptureFinished,
    CaptureOpened,
    ChunkVerified,
    ParticipantSeen,
    RecordingEvent,
    RecordingStarted,
    RecordingStopped,
    TakeOpened,
    TrackMuteChanged,
)
from recorder.journal import TrackHeader
from recorder.manifest import Manifest, Mute, Participant, Segment, Take


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
        self.title = ""
        self.started_ns = 0
        self.stopped_ns: int | None = None
        self.participants: dict[str, ParticipantSeen] = {}
        self.takes: dict[str, TakeOpened] = {}
        self.captures: dict[str, Capture] = {}
        self._mute_changes: dict[str, set[tuple[int, bool]]] = {}
        """By take: when, and whether it was muted from then on."""

    def apply(self, event: RecordingEvent) -> None:
        if isinstance(event, RecordingStarted):
            self.title, self.started_ns = event.title, event.started_ns
        elif isinstance(event, ParticipantSeen):
            self.participants[event.participant_id] = event
        elif isinstance(event, TakeOpened):
            self.takes[event.take_id] = event
        elif isinstance(event, TrackMuteChanged):
            self._mute_changes.setdefault(event.take_id, set()).add((event.at_ns, event.muted))
        elif isinstance(event, RecordingStopped):
            self.stopped_ns = event.stopped_ns
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
                mutes=_mutes(self._mute_changes.get(take.take_id, set()), stopped_ns),
            )
            for take in self.takes.values()
        }
        for segment_id, capture in self.captures.items():
            if capture.opened.take_id in takes:
                segment = local.get(segment_id) or _unfinished(capture)
                takes[capture.opened.take_id].segments.append(segment)
        return Manifest(
            session_id=self.session_id,
            recording_id=self.recording_id,
            title=self.title,
            started_ns=self.started_ns,
            stopped_ns=stopped_ns,
            participants=[
                Participant(participant_id=seen.participant_id, display_name=seen.display_name, role=seen.role)
                for seen in self.participants.values()
            ],
            takes=list(takes.values()),
        )

    def _last_sign_ns(self, server: dict[str, list[Segment]]) -> int:
        """When the node stopped without saying so: the end of the last file."""
        ends = [segment.start_ns + segment.duration_ns for segments in server.values() for segment in segments]
        return max([self.started_ns, *ends])


def _mutes(changes: set[tuple[int, bool]], stopped_ns: int) -> list[Mute]:
    mutes: list[Mute] = []
    since: int | None = None
    for at_ns, muted in sorted(changes):
        if muted and since is None:
            since = at_ns
        elif not muted and since is not None:
            mutes.append(Mute(since, at_ns))
            since = None
    if since is not None and since < stopped_ns:
        mutes.append(Mute(since, stopped_ns))
    return mutes


def _place(segment: Segment) -> tuple[int, str]:
    return segment.start_ns, segment.segment_id


def _unfinished(capture: Capture) -> Segment:
    opened = capture.opened
    return Segment(
        segment_id=opened.segment_id,
        copy="local",
        state="capturing" if capture.finished_chunks is None else "finishing",
        content_type=opened.content_type,
        start_ns=opened.start_ns,
        start_bound_ns=opened.bound_ns,
    )
