"""How late files are against their journals: told while a journal grows, and of nothing that is over."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from recorder.journal import Record, track_name
from recorder.settings import RecorderSettings
from recorder.track import TrackPipeline
from recorder.track_task import TrackTask
from tests.support.encoded import opus_packets
from tests.support.journals import EPOCH, ZERO_NS, LockedFile, S, audio_packets, journal_bytes, track_header

FIRST_NS = ZERO_NS + S


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as made:
        yield made


class Gate:
    """Holds up the feeding of every pipeline until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        real = TrackPipeline.feed

        def feed(pipeline: TrackPipeline, records: list[Record]) -> None:
            self.reached.set()
            assert self.open.wait(10)
            real(pipeline, records)

        monkeypatch.setattr(TrackPipeline, "feed", feed)


@pytest.mark.parametrize(("held", "lag_s"), [(True, 7.0), (False, 0.0)])
async def test_the_lag_is_the_age_of_the_oldest_packet_that_waits_while_the_journal_grows(
    held: bool, lag_s: float, tmp_path: Path, threads: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    track = track_header("opus")
    journal = tmp_path / track_name(track.segment_id, EPOCH)
    content = journal_bytes(track, audio_packets(opus_packets(20)))
    growing = LockedFile(journal) if held else None
    if growing is not None:
        growing.write(content)
    else:
        journal.write_bytes(content)
    task = TrackTask(journal, tmp_path / "work", RecorderSettings(), threads)
    assert task.lag_s(FIRST_NS + 7 * S) == 0.0
    running = asyncio.create_task(task.run())
    assert await asyncio.to_thread(gate.reached.wait, 10)
    assert task.lag_s(FIRST_NS + 7 * S) == lag_s
    gate.open.set()
    await running
    assert task.lag_s(FIRST_NS + 70 * S) == 0.0
    if growing is not None:
        growing.close()
