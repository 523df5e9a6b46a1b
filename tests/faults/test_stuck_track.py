"""A call into FFmpeg that hangs on one track costs that track time, and no other anything; nothing is lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recorder.events import ParticipantSeen, RecordingEvent, RecordingStarted, RecordingStopped, TakeOpened
from recorder.journal import encode_end, encode_event, encode_head, events_name
from recorder.manifest import Segment, decode, manifest_key
from recorder.process import TOO_MANY_HANG
from recorder.recording import MANIFEST_NAME
from recorder.stuck_tracks import FILE_NAME
from tests.support.encoded import opus_packets, vp8_frames
from tests.support.journals import (
    EPOCH,
    RECORDING,
    SESSION,
    ZERO_NS,
    S,
    audio_packets,
    file_header,
    make_file,
    track_header,
    video_packets,
    write_journal,
)
from tests.support.payloads import PAYLOADS
from tests.support.recorder import PARTICIPANT, Data, open_data, recorder

CAMERA, MICROPHONE = "tak_cccccccccccccccc", "tak_mmmmmmmmmmmmmmmm"
CAMERA_SEGMENT, MICROPHONE_SEGMENT = (f"seg_{letter * 16}" for letter in "cm")
EVENTS: list[RecordingEvent] = [
    RecordingStarted(recording_id=RECORDING, session_id=SESSION, title="A talk", started_ns=S // 2),
    ParticipantSeen(participant_id=PARTICIPANT, display_name="Ada", role="host"),
    TakeOpened(take_id=CAMERA, participant_id=PARTICIPANT, kind="camera", slot=0),
    TakeOpened(take_id=MICROPHONE, participant_id=PARTICIPANT, kind="microphone", slot=0),
    RecordingStopped(stopped_ns=5 * S),
]

PROGRAM = """
import os, sys, time
from recorder import process, track_file, worker_threads
worker_threads.CALL_S = 0.5
process.MAX_HUNG = {max_hung}
real = track_file.TrackFile.write
def write(self, *arguments):
    while "{segment}" in self.path.name and os.path.exists("{hold}"):
        time.sleep(0.02)
    real(self, *arguments)
track_file.TrackFile.write = write
sys.exit(process.main())
"""


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Data]:
    """One recording with a camera and a microphone."""
    folder = tmp_path / "data"
    folder.mkdir()
    async with open_data(folder) as opened:
        camera = track_header("vp8", take_id=CAMERA, segment_id=CAMERA_SEGMENT, participant_id=PARTICIPANT)
        write_journal(opened.spool, camera, video_packets(vp8_frames(60), PAYLOADS["vp8"]))
        write_journal(opened.spool, MICROPHONE_HEADER, audio_packets(opus_packets(100)))
        content = b"".join((encode_head(file_header()), *map(encode_event, EVENTS), encode_end(ZERO_NS, 0)))
        (opened.spool / events_name(EPOCH)).write_bytes(content)
        yield opened


MICROPHONE_HEADER = track_header("opus", take_id=MICROPHONE, segment_id=MICROPHONE_SEGMENT, participant_id=PARTICIPANT)


def program(hold: Path, max_hung: int) -> tuple[str, str]:
    return "-c", PROGRAM.format(hold=hold, max_hung=max_hung, segment=MICROPHONE_SEGMENT)


async def segments(data: Data) -> dict[str, Segment]:
    manifest = decode(await data.read(manifest_key(SESSION, RECORDING)))
    return {segment.segment_id: segment for take in manifest.takes for segment in take.segments}


async def test_the_recording_is_finished_without_a_track_that_hangs_and_has_it_when_the_call_returns(
    data: Data, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    async with recorder(data.folder, program=program(hold, 8)) as process:
        await process.event("track_stuck", times=1)
        await process.event("recording_finished")
        found = await segments(data)
        assert found[CAMERA_SEGMENT].state == "stored"
        assert (found[MICROPHONE_SEGMENT].state, found[MICROPHONE_SEGMENT].problem) == (
            "failed",
            "the recorder hung while it made the file: it is made later",
        )
        hold.unlink()
        await process.event("segment_stored", segment_id=MICROPHONE_SEGMENT)
        while (await segments(data))[MICROPHONE_SEGMENT].state != "stored":
            process.log = [entry for entry in process.log if entry["event"] != "recording_finished"]
            await process.event("recording_finished")
        assert process.child.stdin is not None
        process.child.stdin.close()
        assert await process.ended() == 0
    segment = (await segments(data))[MICROPHONE_SEGMENT]
    _, alone = make_file("opus", audio_packets(opus_packets(100)), tmp_path / "alone")
    assert await data.read(segment.object_key) == alone.read_bytes()


async def test_with_too_many_calls_that_hang_it_ends_and_leaves_their_tracks_alone_at_first(
    data: Data, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    async with recorder(data.folder, program=program(hold, 1)) as process:
        assert await process.ended() == TOO_MANY_HANG
        assert any(entry["event"] == "too_many_calls_hang" for entry in process.log)
    assert MICROPHONE_SEGMENT in (data.work / FILE_NAME).read_text()
    (data.work / MANIFEST_NAME).unlink(missing_ok=True)  # so that it is written, and said to be, once more
    async with recorder(data.folder, program=program(hold, 1)) as process:
        await process.event("recording_finished")
        assert process.child.stdin is not None
        process.child.stdin.close()
        assert await process.ended() == 0
        assert not any(entry["event"] == "track_stuck" for entry in process.log)
    found = await segments(data)
    assert (found[CAMERA_SEGMENT].state, found[MICROPHONE_SEGMENT].state) == ("stored", "failed")
    (data.work / FILE_NAME).unlink()
    async with recorder(data.folder) as process:
        await process.event("segment_stored", segment_id=MICROPHONE_SEGMENT)
