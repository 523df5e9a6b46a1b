"""One track journal, followed while it grows, until its file is made.

A failure of the muxer or the disk costs this track alone: its journal stays, and the file is made anew from it after a
pause. A disk that fails is waited for without end. What the muxer keeps refusing although the journal is over is given
up as `failed`, with its journal kept.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import ParamSpec, TypeVar

import av
import structlog

from recorder import earlier_file
from recorder.clock_facts import ClockFacts
from recorder.health import FindingCode
from recorder.journal import FileHeader, JournalPacket, Record, TrackHeader, TrackRecord
from recorder.manifest import PacketCounts, Segment
from recorder.reader import JournalReader, JournalState
from recorder.report import SegmentFigures
from recorder.segment_probe import SegmentProbe
from recorder.settings import RecorderSettings
from recorder.track import TrackPipeline
from recorder.worker_threads import FINISH_S, CallHangs, in_time, within

log = structlog.get_logger()

POLL_S = 0.2
"""How often a journal that did not grow is looked at again. The writer writes every 0.1 s; a file that is half a second
behind is as good, and 200 tracks cost 1,000 short reads a second."""
ATTEMPTS = 3
"""Of the muxer on a journal that is over: the same bytes fail the same way."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0

P = ParamSpec("P")
Result = TypeVar("Result")


async def in_thread(threads: Executor, call: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Run a blocking call. A cancelled caller still waits for it: nothing goes on behind its back."""
    future = asyncio.get_running_loop().run_in_executor(threads, lambda: call(*args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait((future,))
        raise


def note_end(segment: Segment, reader: JournalReader) -> None:
    """How the journal ended from which the file was made."""
    segment.torn = reader.state is JournalState.TORN
    if reader.problem and not segment.problem:
        segment.problem = f"{reader.problem} in the journal: its last {reader.torn_bytes} bytes are not in the file"


def _first_arrival_ns(records: list[Record]) -> int | None:
    return next((record.arrival_ns for record in records if isinstance(record, TrackRecord)), None)


class TrackTask:
    """Makes the file of one journal in `folder`."""

    def __init__(self, journal: Path, folder: Path, settings: RecorderSettings, threads: Executor) -> None:
        self.header: TrackHeader | None = None
        """Known as soon as the journal's first record was read."""
        self.path: Path | None = None
        """The file."""
        self.start_ns: int | None = None
        """As `TrackPipeline` has it."""
        self.figures: SegmentFigures | None = None
        """What was found in it; None until it is complete."""
        self.clock: ClockFacts | None = None
        """What its journal says about the sender's clocks; None until it is complete."""
        self._journal = journal
        self._folder = folder
        self._settings = settings
        self._threads = threads
        self._over = False
        self._waits_since_ns: int | None = None
        self._probe: SegmentProbe | None = None
        """While its journal grows."""

    def warnings(self) -> dict[FindingCode, int]:
        """What is wrong with a growing track where its file ends at present, with for how long (ns)."""
        return self._probe.warnings() if self._probe is not None else {}

    def lag_s(self, now_ns: int) -> float:
        """Age of the oldest packet of a growing journal that is not in the file yet, 0: there is none. `now_ns`: on the
        monotonic clock."""
        return max(0, now_ns - self._waits_since_ns) / 1e9 if self._waits_since_ns is not None else 0.0

    async def run(self) -> Segment:
        """Returns the segment in state `finishing`, its file complete and durable, or `failed`. Raises CallHangs."""
        attempt = 0
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await self._make()
            except (av.FFmpegError, OSError) as error:
                # PyAV's errors of the disk are both
                attempt += 1 if self._over and not isinstance(error, OSError) else 0
                log.error("track_failed", journal=self._journal.name, reason=str(error)[:500], attempt=attempt)
                if attempt >= ATTEMPTS or not self._journal.exists():
                    return await self._not_written(str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _make(self) -> Segment:
        """From the beginning of the journal, whatever an earlier attempt or process left behind."""
        reader = JournalReader(self._journal)
        pipeline: TrackPipeline | None = None
        probe: SegmentProbe | None = None
        anew = hangs = False
        try:
            while reader.state is JournalState.GROWING:
                records = await in_time(self._threads, reader.read)
                self._waits_since_ns = _first_arrival_ns(records) if reader.held else None
                self._probe = probe if reader.held else None
                if pipeline is None and records:
                    header = records.pop(0)
                    if not isinstance(header, FileHeader) or header.track is None:
                        return self._given_up("not the journal of a track")
                    self.header = header.track
                    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    probe = SegmentProbe(header.track)
                    pipeline = TrackPipeline(header, header.track, self._folder, self._settings, probe)
                    self.path = pipeline.path
                    anew = await in_time(self._threads, earlier_file.set_aside, self.path)
                if pipeline is not None and records:
                    await in_time(self._threads, pipeline.feed, records)
                    self.start_ns = pipeline.start_ns
                    if anew:
                        anew = not await in_time(self._threads, earlier_file.drop, pipeline.path)
                elif reader.state is JournalState.GROWING:
                    await asyncio.sleep(POLL_S)
            self._over = True
            self._waits_since_ns = self._probe = None
            if pipeline is None or probe is None:
                return self._given_up(reader.problem or "the journal has no header")
            segment = await within(FINISH_S, self._threads, pipeline.finish)
            self.figures = await in_time(self._threads, probe.finish)
            self.clock = pipeline.clock_facts()
            note_end(segment, reader)
            if segment.torn:
                log.warning(
                    "journal_torn",
                    journal=self._journal.name,
                    damage=reader.problem,
                    undecoded_bytes=reader.torn_bytes,
                )
            return segment
        except CallHangs as error:
            hangs = True  # a thread is at work in there
            error.returned.add_done_callback(lambda _: reader.close())
            raise
        finally:
            self._probe = self._waits_since_ns = None
            if not hangs:
                reader.close()
                if pipeline is not None:
                    await in_time(self._threads, pipeline.abandon)

    def late(self, problem: str) -> Segment:
        """What there is of it while it cannot be made."""
        return self._given_up(problem)

    async def _not_written(self, problem: str) -> Segment:
        segment = self._given_up(problem)
        packets = await in_thread(self._threads, _count_packets, self._journal)
        if packets is not None:
            segment.packets = PacketCounts(received=packets, not_written=packets)
        return segment

    def _given_up(self, problem: str) -> Segment:
        segment_id = self.header.segment_id if self.header else self._journal.stem.rpartition("-")[0]
        codec = self.header.stream.codec if self.header else ""
        return Segment(segment_id=segment_id, copy="server", state="failed", codec=codec, problem=problem[:500])


def _count_packets(journal: Path) -> int | None:
    """Of a journal that is over; None: it cannot be read."""
    packets = 0
    try:
        reader = JournalReader(journal)
        try:
            while reader.state is JournalState.GROWING:
                packets += sum(isinstance(record, JournalPacket) for record in reader.read())
        finally:
            reader.close()
    except OSError:
        return None
    return packets
