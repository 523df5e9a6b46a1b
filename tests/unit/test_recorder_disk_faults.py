"""A disk that fails costs a file time, not the file; what the muxer refuses is given up."""

import errno
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import av
import pytest
from av.error import OSError as MuxerDiskError

from recorder import delivery, local_copy, track_task
from recorder.delivery import Delivery
from recorder.events import CaptureOpened, TakeOpened
from recorder.grading import grade_take
from recorder.local_copy import LocalCopy
from recorder.manifest import PacketCounts, Segment, Take
from recorder.recording_state import Capture
from recorder.remux import RemuxedFile
from recorder.settings import RecorderSettings
from recorder.track import TrackPipeline
from recorder.track_task import ATTEMPTS, TrackTask
from tests.support.encoded import opus_packets
from tests.support.journals import audio_packets, track_header, write_journal

DISK_ERRORS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(track_task, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    return write_journal(tmp_path / "spool", track_header("opus"), audio_packets(opus_packets(20)))


async def test_a_disk_that_is_full_for_long_costs_the_track_nothing(
    voice: Path, tmp_path: Path, threads: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = DISK_ERRORS * 3
    real = TrackPipeline.finish

    def finish(pipeline: TrackPipeline) -> Segment:
        if failures:
            number = failures.pop()
            raise MuxerDiskError(number, os.strerror(number))
        return real(pipeline)

    monkeypatch.setattr(TrackPipeline, "finish", finish)
    task = TrackTask(voice, tmp_path / "work", RecorderSettings(), threads)
    segment = await task.run()
    assert not failures
    assert (segment.state, segment.problem) == ("finishing", "")
    assert segment.packets is not None
    assert segment.packets.written == 20


async def test_what_the_muxer_refuses_again_and_again_is_given_up(
    voice: Path, tmp_path: Path, threads: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def finish(pipeline: TrackPipeline) -> Segment:
        attempts.append(pipeline)
        raise av.InvalidDataError(1, "no such media")

    monkeypatch.setattr(TrackPipeline, "finish", finish)
    segment = await TrackTask(voice, tmp_path / "work", RecorderSettings(), threads).run()
    assert segment.state == "failed"
    assert "no such media" in segment.problem
    assert len(attempts) == ATTEMPTS
    assert segment.packets == PacketCounts(received=20, not_written=20)
    of_it = Take(take_id="tak_1", participant_id="par_1", kind="microphone", slot=0, segments=[segment])
    assert grade_take(of_it, {}).reasons == [f"There is no file: {segment.problem}."], "all are accounted for"


async def test_a_full_disk_is_no_fault_of_a_local_copy(
    tmp_path: Path, threads: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = list(DISK_ERRORS)

    def remux(source: Path, target: Path, format_name: str) -> RemuxedFile:
        if failures:
            number = failures.pop()
            raise MuxerDiskError(number, os.strerror(number))
        return RemuxedFile(("opus",), False, 7, 1)

    monkeypatch.setattr(local_copy, "stream_codecs", lambda joined: ("opus",))
    monkeypatch.setattr(local_copy, "remux", remux)
    opened = CaptureOpened(segment_id="seg_1", take_id="tak_1", content_type="", start_ns=0, bound_ns=0)
    take = TakeOpened(take_id="tak_1", participant_id="par_1", kind="microphone", slot=0)
    unused: Delivery = Delivery(None, None)  # type: ignore[arg-type]  # nothing is delivered
    copy = LocalCopy(Capture(opened), take, tmp_path, unused, threads)
    segment = Segment(segment_id="seg_1", copy="local", state="finishing")
    assert await copy._file_of(tmp_path / "joined", segment) == tmp_path / "seg_1.webm"
    assert (failures, segment.problem, segment.duration_ns) == ([], "", 7)
