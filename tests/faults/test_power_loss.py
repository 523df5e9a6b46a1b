"""A power failure at any moment costs at most what was not synced: `make chaos` has it with 50 moments."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.power_loss import DATABASE, lose
from recorder.delivery import Delivery
from recorder.events import RecordingStarted, RecordingStopped
from recorder.journal import encode_end, encode_event, encode_head, events_name
from recorder.recording import RecordingWork
from recorder.settings import RecorderSettings
from tests.support.encoded import opus_packets
from tests.support.journals import (
    EPOCH,
    RECORDING,
    SESSION,
    ZERO_NS,
    S,
    audio_packets,
    file_header,
    track_header,
    write_journal,
)
from tests.support.power_loss import watched
from tests.support.recorder import PARTICIPANT, open_data


@pytest.mark.pain("13")
@pytest.mark.parametrize("seed", range(6))
async def test_what_was_synced_is_in_a_file_or_counted_and_a_second_run_changes_nothing(
    seed: int, tmp_path: Path
) -> None:
    loss = await lose(tmp_path, seed)
    assert loss.problems == [], loss
    assert loss.given >= loss.account.journalled >= loss.synced
    assert loss.account.missing == 0


async def test_what_was_delivered_is_remembered_when_the_power_fails_afterwards(tmp_path: Path) -> None:
    """The journal is deleted because its memo is there; without both the file would be in no manifest any more."""
    header = track_header("opus", participant_id=PARTICIPANT)
    events = [
        RecordingStarted(recording_id=RECORDING, session_id=SESSION, title="A talk", started_ns=0),
        RecordingStopped(stopped_ns=S),
    ]
    (tmp_path / "data").mkdir()
    async with open_data(tmp_path / "data") as data:
        write_journal(data.spool, header, audio_packets(opus_packets(20)))
        content = b"".join((encode_head(file_header()), *map(encode_event, events), encode_end(ZERO_NS, 0)))
        (data.spool / events_name(EPOCH)).write_bytes(content)
        with watched(data.folder, tmp_path / "hold", (DATABASE,)) as disk, ThreadPoolExecutor(1) as threads:
            delivery = Delivery(data.catalog, data.store)
            await RecordingWork(data.spool, data.work, delivery, RecorderSettings(), threads).run()
            for seed in range(20):
                disk.cut(tmp_path / f"cut-{seed}", random.Random(seed))
    for seed in range(20):
        work = tmp_path / f"cut-{seed}" / "work" / RECORDING
        for name in (f"{header.segment_id}.json", "manifest.json"):
            assert (work / name).read_bytes() == (data.work / name).read_bytes()
