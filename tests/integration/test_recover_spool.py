"""`stemroom recover` without journals: what the recorder would do, while the studio does not run."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from recorder.events import ParticipantSeen, RecordingStarted, RecordingStopped, TakeOpened
from recorder.journal import encode_end, encode_event, encode_head, events_name, track_name
from recorder.manifest import decode, manifest_key
from recorder.spool_lock import claim_spool
from tests.support.encoded import opus_packets
from tests.support.files import inspect
from tests.support.journals import (
    EPOCH,
    RECORDING,
    SESSION,
    ZERO_NS,
    S,
    audio_packets,
    file_header,
    journal_bytes,
    make_file,
    track_header,
)
from tests.support.recorder import PARTICIPANT, Data, open_data
from tests.support.studio import ROOT

TAKE, SEGMENT = "tak_cccccccccccccccc", "seg_cccccccccccccccc"
PACKETS = audio_packets(opus_packets(300))
EVENTS = [
    RecordingStarted(recording_id=RECORDING, session_id=SESSION, title="A talk", started_ns=S // 2),
    ParticipantSeen(participant_id=PARTICIPANT, display_name="Ada", role="host"),
    TakeOpened(take_id=TAKE, participant_id=PARTICIPANT, kind="microphone", slot=0),
    RecordingStopped(stopped_ns=8 * S),
]


def fill(data: Data, *, end: bool = True) -> None:
    """The spool of a recording with a microphone; without an end: as a node that was killed leaves it."""
    data.spool.mkdir(parents=True)
    events = EVENTS if end else EVENTS[:-1]
    parts = [encode_head(file_header()), *map(encode_event, events), encode_end(ZERO_NS, 0) if end else b""]
    (data.spool / events_name(EPOCH)).write_bytes(b"".join(parts))
    header = track_header("opus", take_id=TAKE, segment_id=SEGMENT)
    (data.spool / track_name(SEGMENT, EPOCH)).write_bytes(journal_bytes(header, PACKETS, end=end))


async def recover(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and error."""
    config = folder / "config.toml"
    config.write_text(f'[data]\nfolder = "{folder}"\n')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stemroom", "recover", *arguments, "--config", str(config)),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize(("arguments", "end"), [((), True), (("--recording", RECORDING), False)])
async def test_what_is_in_the_spool_is_finished(arguments: tuple[str, ...], end: bool, tmp_path: Path) -> None:
    async with open_data(tmp_path) as data:
        fill(data, end=end)
        for _ in range(2):  # again: it is all there, and nothing changes
            code, printed, errors = await recover(tmp_path, *arguments)
            assert code == 0, errors
            assert RECORDING in printed
            assert "6.0 s of opus" in printed
            [row] = await data.catalog.segments(RECORDING)
            recording = await data.catalog.recording(RECORDING)
            assert recording is not None
            assert (row.id, row.state, recording.state) == (SEGMENT, "stored", "finished")
            file = tmp_path / "file.webm"
            file.write_bytes(await data.read(row.object_key))
            assert inspect(file).sound
            assert file.read_bytes() == make_file("opus", PACKETS, tmp_path / "expected")[1].read_bytes()
            [take] = decode(await data.read(manifest_key(SESSION, RECORDING))).takes
            assert [segment.torn for segment in take.segments] == [not end]
        assert not list(data.work.glob("*.webm*"))


async def test_while_a_recorder_runs_it_does_nothing_and_says_so(tmp_path: Path) -> None:
    async with open_data(tmp_path) as data:
        fill(data)
        with claim_spool(data.spool.parent):
            code, printed, errors = await recover(tmp_path)
        assert (code, printed) == (1, "")
        assert "worked on by a running recorder: it does this by itself; stop the studio first" in errors
        assert not await data.catalog.segments(RECORDING)
        assert not data.work.exists()


async def test_a_recording_that_is_not_there_is_said(tmp_path: Path) -> None:
    code, _, errors = await recover(tmp_path)
    assert (code, errors.strip()) == (
        1,
        f"{tmp_path / 'spool'} is not there: nothing was recorded with this data folder",
    )
    async with open_data(tmp_path) as data:
        fill(data)
        code, _, errors = await recover(tmp_path, "--recording", "rec_zzzzzzzzzzzzzzzz")
        assert (code, errors.strip()) == (1, "the spool has no journals of rec_zzzzzzzzzzzzzzzz")
        code, _, errors = await recover(tmp_path, "--recording", RECORDING, "--from-store", RECORDING)
        assert (code, "either journals" in errors) == (2, True)
        assert not await data.catalog.segments(RECORDING)
