"""What grades are made from: one take, and what was found in its server files. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from recorder.manifest import PacketCounts, Segment, Take
from recorder.report import AudioFigures, Intervals, SegmentFigures, VideoFigures

Span = tuple[int, int]
"""From, to; nanoseconds on the session clock."""


@dataclass(frozen=True)
class TakeFacts:
    """One take with what was found in its server files."""

    take: Take
    segments: list[Segment]
    """Of the server copy, in the order of time."""
    figures: Mapping[str, SegmentFigures]

    @property
    def camera(self) -> bool:
        return self.take.kind == "camera"

    @property
    def sound(self) -> bool:
        return self.take.kind in ("microphone", "screen_audio")

    @cached_property
    def duration_ns(self) -> int:
        return sum(segment.duration_ns for segment in self.segments)

    @cached_property
    def between_ns(self) -> int:
        between = 0
        until: int | None = None
        for segment in self.segments:
            if segment.duration_ns:
                between += max(0, segment.start_ns - until) if until is not None else 0
                until = max(until or 0, segment.start_ns + segment.duration_ns)
        return between

    @cached_property
    def found(self) -> list[tuple[Segment, SegmentFigures]]:
        known = ((segment, self.figures.get(segment.segment_id)) for segment in self.segments)
        return [(segment, figures) for segment, figures in known if figures is not None]

    @cached_property
    def heard(self) -> list[tuple[Segment, AudioFigures]]:
        return [(segment, figures.audio) for segment, figures in self.found if figures.audio is not None]

    @cached_property
    def seen(self) -> list[tuple[Segment, VideoFigures]]:
        return [(segment, figures.video) for segment, figures in self.found if figures.video is not None]

    @cached_property
    def counts(self) -> list[PacketCounts]:
        return [segment.packets for segment in self.segments if segment.packets is not None]

    def muted(self, at_ns: int) -> bool:
        return any(mute.from_ns <= at_ns < mute.to_ns for mute in self.take.mutes)

    def unmuted(self, segment: Segment, intervals: Intervals) -> list[Span]:
        """What is left of intervals in a file without the time in which the participant had muted it."""
        spans = []
        for listed in intervals.listed:
            begin = segment.start_ns + listed.file_ms * 1_000_000
            spans.append((begin, begin + listed.duration_ms * 1_000_000))
        return self.without_mutes(spans)

    def without_mutes(self, spans: list[Span]) -> list[Span]:
        for mute in self.take.mutes:
            cut = []
            for begin, end in spans:
                cut += [(begin, min(end, mute.from_ns)), (max(begin, mute.to_ns), end)]
            spans = [(begin, end) for begin, end in cut if begin < end]
        return spans
