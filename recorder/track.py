"""A track journal's records into its file: reorder, assemble, place, mux. The same records always give the same file.

No decision looks at a clock, a lock or the size of a read. Audio gaps are filled with packets that decoders conceal, so
the samples of the file count the time; video gaps stay empty; both are listed.
"""

from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from recorder.clock_facts import ClockFacts
from recorder.frames import FrameAssembler, MediaFrame
from recorder.journal import (
    FileHeader,
    JournalDropped,
    JournalEnd,
    JournalMute,
    JournalPacket,
    JournalPicture,
    JournalReception,
    JournalReport,
    Record,
    TrackHeader,
)
from recorder.manifest import ClockCorrection, Gap, PacketCounts, Picture, Reception, Segment, software
from recorder.opus_head import PRE_SKIP_TICKS
from recorder.reorder import Missing, Ordered, Reorder
from recorder.settings import RecorderSettings
from recorder.timeline import START_BOUND_NS, Placed, Timeline
from recorder.track_file import TrackFile, container_of
from sfu.codecs import opus

VIDEO_PAUSE_NS = 1_000_000_000
"""A longer step between video frames is listed, also when nothing was lost."""
STATIC_NS = 3_000_000_000
"""As VIDEO_PAUSE_NS, of a screen: of one that stands still Chromium sends a frame a second."""
DTX_NS = 500_000_000
"""An encoder that leaves silence out sends a packet every 400 ms all the same (RFC 6716 2.1.9)."""
FRAME_NS = 33_333_333
"""How long the only picture of a journal without an end lasts."""
MAX_GAPS = MAX_PICTURES = 10_000
"""Listed of one file; more are counted."""
FILL_QUANTUM_TICKS = 120
"""2.5 ms, the shortest Opus frame: what finer filling is made of, and the step of clock corrections."""
FILL_QUANTUM_TOC = 28 << 3
"""Opus configuration of a 2.5 ms CELT frame, mono (RFC 6716 3.1)."""
STEREO_BIT = 4


class FrameObserver(Protocol):
    """Is told what is in the file, in order. Must not raise; nothing that it does changes a byte."""

    def placed(self, frame: MediaFrame, position_ns: int) -> None:
        """`frame` was written. `position_ns`: since the first sample."""

    def gap(self, position_ns: int, duration_ns: int, reason: str) -> None:
        """Before the next frame, from `position_ns` on. `reason`: of `Gap`."""

    def muted(self, muted: bool) -> None:
        """The participant muted the track, or ended that, about here."""

    def over(self, position_ns: int) -> None:
        """Nothing follows; the last picture lasted until then."""


class TrackPipeline:
    """Blocking, from one thread at a time. Raises av.FFmpegError and OSError out of the muxer."""

    def __init__(
        self,
        header: FileHeader,
        track: TrackHeader,
        folder: Path,
        settings: RecorderSettings,
        observer: FrameObserver | None = None,
    ) -> None:
        stream = track.stream
        self._track = track
        self._observer = observer
        self._audio = stream.codec == "opus"
        _, extension, self._content_type = container_of(stream.codec)
        self.path = folder / f"{track.segment_id}.{extension}"
        self._file = TrackFile(self.path, stream.codec, stream.clock_rate_hz, settings.index_bytes)
        self._reorder = Reorder(round(settings.gap_wait_s * 1e9))
        self._frames = FrameAssembler(stream.codec, stream.fmtp)
        quantum = FILL_QUANTUM_TICKS if self._audio else 1
        self._timeline = Timeline(stream.clock_rate_hz, header.recording.zero_monotonic_ns, quantum)
        self._counts = PacketCounts()
        self._gaps: list[Gap] = []
        self._gaps_omitted = 0
        self._zero_ns = header.recording.zero_monotonic_ns
        self._pictures: list[Picture] = []
        self._pictures_omitted = 0
        self._width = self._height = 0
        self._reception: JournalReception | None = None
        self._begin: int | None = None
        """Position of the first sample, and of the end of what is written, in ticks of the session clock."""
        self._end = 0
        self._toc = b""
        self._stereo = False
        self._idle, self._idle_ns = ("static", STATIC_NS) if track.kind == "screen" else ("paused", VIDEO_PAUSE_NS)
        self._last: Placed | None = None
        """The last picture, which is written when it is known how long it lasts."""
        self._step_ns = FRAME_NS
        """From the one before to it."""
        self._reported_ns = 0
        """Latest sender report: the track was not over. And when the journal says that it was."""
        self._ended_ns: int | None = None
        self._on_time = (0, 0)
        """Position and arrival of the last frame whose arrival says something."""

    def feed(self, records: list[Record]) -> None:
        """Take the next records of the journal, in order."""
        for record in records:
            if isinstance(record, JournalPacket):
                self._counts.received += 1
                self._assemble(self._reorder.push(record))
            elif isinstance(record, JournalReport):
                self._reported_ns = record.arrival_ns
                self._assemble(self._reorder.advance(record.arrival_ns))
                self._write(self._timeline.report(*record))
            elif isinstance(record, JournalDropped):
                self._counts.dropped += record.packets
            elif isinstance(record, JournalPicture):
                self._picture(record)
            elif isinstance(record, JournalReception):
                self._reception = record
                self._timeline.notes.round_trip(record.arrival_ns, 1_000 * record.reception.round_trip_us)
            elif isinstance(record, JournalMute) and self._observer is not None:
                self._observer.muted(record.muted)
            elif isinstance(record, JournalEnd):
                self._ended_ns = record.arrival_ns
                self._counts.unread = abs(record.packets - self._counts.received)

    def clock_facts(self) -> ClockFacts:
        """What the journal says about the sender's clocks, up to now."""
        delay_ns = self._timeline.to_ns(PRE_SKIP_TICKS) if self._audio else 0
        return self._timeline.notes.facts(self._begin or 0, self._track.stream.connection, delay_ns)

    @property
    def start_ns(self) -> int | None:
        """Of the first sample, on the session clock, as far as that can be said now; None before it."""
        if self._begin is None:
            return None
        return self._timeline.to_ns(self._begin) - self._timeline.to_ns(self._timeline.late_ticks)

    def finish(self) -> Segment:
        """The journal is over: write what waits, close the file (durable), and say what is in it. Its session times are
        those of the timeline; `clock_facts` makes better ones of them."""
        self._assemble(self._reorder.flush())
        missing = self._frames.missing
        for frame in self._frames.flush():
            self._write(self._timeline.push(frame))
        self._write(self._timeline.flush())
        self._end_picture(missing)
        self._file.close()
        begin = self._begin
        late_ns = self._timeline.to_ns(self._timeline.late_ticks)
        return Segment(
            segment_id=self._track.segment_id,
            copy="server",
            state="finishing" if begin is not None else "failed",
            codec=self._track.stream.codec,
            content_type=self._content_type,
            file_name=self.path.name,
            start_ns=self._timeline.to_ns(begin) - late_ns if begin is not None else 0,
            start_bound_ns=START_BOUND_NS,
            duration_ns=self._timeline.to_ns(self._end - begin) if begin is not None else 0,
            width=self._width,
            height=self._height,
            spatial_layers=layers if (layers := self._frames.spatial_layers) > 1 else 0,
            pictures=self._pictures,
            pictures_omitted=self._pictures_omitted,
            gaps=[replace(gap, at_ns=gap.at_ns - late_ns) for gap in self._gaps],
            gaps_omitted=self._gaps_omitted,
            corrections=[
                ClockCorrection(at_ns - late_ns, measured_ns, applied_ns)
                for at_ns, measured_ns, applied_ns in self._timeline.corrections
            ],
            packets=self._packet_counts(),
            reception=_reception(self._reception),
            made_by=software(),
            problem="" if begin is not None else "no frame could be decoded",
        )

    def _picture(self, record: JournalPicture) -> None:
        self._grow(record.width, record.height)
        if len(self._pictures) < MAX_PICTURES:
            at_ns = record.arrival_ns - self._zero_ns
            self._pictures.append(Picture(at_ns, record.width, record.height, record.rid))
        else:
            self._pictures_omitted += 1

    def _grow(self, width: int, height: int) -> None:
        """A picture of this size was announced."""
        if width * height > self._width * self._height:
            self._width, self._height = width, height
            if self._begin is not None:
                self._file.enlarge((width, height))

    def abandon(self) -> None:
        self._file.abandon()

    def _packet_counts(self) -> PacketCounts:
        counts = self._counts
        counts.duplicate = self._reorder.duplicate
        counts.late = self._reorder.late
        counts.stray = self._reorder.stray + self._timeline.stray
        counts.empty = self._frames.empty
        counts.malformed = self._frames.malformed
        counts.incomplete = self._frames.incomplete
        counts.cut_short = self._frames.cut_short
        counts.awaiting_key = self._frames.awaiting_key + self._timeline.awaiting_key
        counts.overlapping = self._timeline.overlapping
        return counts

    def _assemble(self, ordered: list[Ordered]) -> None:
        for item in ordered:
            if isinstance(item, Missing):
                self._counts.lost += item.packets
            for frame in self._frames.push(item):
                self._write(self._timeline.push(frame))

    def _write(self, placed: list[Placed]) -> None:
        for frame, position, moved in placed:
            if frame.size is not None:
                self._grow(*frame.size)
            if self._begin is None:
                self._begin = self._end = position
                self._file.open(None if self._audio else (self._width, self._height))
            else:
                self._bridge(position, frame.missing or ("clock" if moved else ""))
            if self._audio:
                self._file.write(frame.data, position - self._begin, frame.duration_ticks, frame.key)
                self._toc = opus.concealment(frame.data)
                if self._toc[0] & STEREO_BIT and not self._stereo:
                    self._stereo = True
                    self._file.stereo()
            else:
                self._write_last(0)
                self._last = Placed(frame, position, moved)
                if frame.on_time:
                    self._on_time = position, frame.arrival_ns
            self._counts.written += frame.packets
            self._end = max(self._end, position + frame.duration_ticks)
            if self._observer is not None:
                self._observer.placed(frame, self._timeline.to_ns(position - self._begin))

    def _bridge(self, position: int, reason: str) -> None:
        """From the end of what is written to the next frame. `reason`: why something is missing; empty: nothing was
        sent."""
        step_ns = self._timeline.to_ns(position - self._end)
        if self._audio:
            if step_ns > 0:
                self._list_gap(step_ns, reason or ("dtx" if step_ns <= DTX_NS else "paused"))
                self._conceal(position)
        else:
            self._step_ns = step_ns
            if reason in ("lost", "unsent") or step_ns > self._idle_ns:
                self._list_gap(step_ns, reason or self._idle)

    def _end_picture(self, missing: str) -> None:
        """The last picture is seen until the journal's end. Where that is not known it lasts at least as long as the
        one before, or as a pause that is not listed."""
        if self._last is None:
            return
        position, arrival_ns = self._on_time if self._on_time[1] else (self._end, self._last.frame.arrival_ns)
        end_ns = self._reported_ns if self._ended_ns is None else self._ended_ns
        rest_ns = end_ns - arrival_ns - self._timeline.to_ns(self._end - position)
        if self._ended_ns is None or rest_ns <= 0:
            rest_ns = max(rest_ns, min(self._step_ns, VIDEO_PAUSE_NS))
        if missing or rest_ns > self._idle_ns:
            self._list_gap(rest_ns, missing or self._idle)
        ticks = self._timeline.to_ticks(rest_ns)
        self._write_last(ticks)
        self._end += ticks
        if self._observer is not None:
            self._observer.over(self._timeline.to_ns(self._end - (self._begin or 0)))

    def _write_last(self, duration_ticks: int) -> None:
        if self._last is not None:
            frame, position, _ = self._last
            self._file.write(frame.data, position - (self._begin or 0), duration_ticks, frame.key)
            self._last = None

    def _list_gap(self, duration_ns: int, reason: str) -> None:
        if self._observer is not None:
            self._observer.gap(self._timeline.to_ns(self._end - (self._begin or 0)), duration_ns, reason)
        if len(self._gaps) < MAX_GAPS:
            self._gaps.append(Gap(self._timeline.to_ns(self._end), duration_ns, reason))
        else:
            self._gaps_omitted += 1

    def _conceal(self, until: int) -> None:
        fine = bytes((FILL_QUANTUM_TOC | self._toc[0] & STEREO_BIT,))
        for packet in (self._toc, fine):
            duration = opus.frame_ticks(packet)
            while self._end + duration <= until:
                assert self._begin is not None
                self._file.write(packet, self._end - self._begin, duration, True)
                self._end += duration
                self._counts.concealed += 1


def _reception(record: JournalReception | None) -> Reception | None:
    """The last one."""
    if record is None:
        return None
    fields = record.reception._asdict()
    return Reception(round_trip_ms=fields.pop("round_trip_us") / 1000, **fields)
