"""FFmpeg publishes into a room by WHIP, through the real program: others get it, and every frame is recorded."""

from pathlib import Path

import pytest

from tests.support import counter, media
from tests.support.evidence import collect
from tests.support.ffmpeg_whip import encoder
from tests.support.raw_peer import RawPeer
from tests.support.studio import Studio

RECORDED_FRAMES = 90
END_S = 10.0


@pytest.mark.parametrize("role", ["waits for our handshake", "begins it"])
async def test_what_ffmpeg_publishes_is_seen_by_others_and_recorded_whole(
    studio: Studio, tmp_path: Path, role: str
) -> None:
    session = await studio.create_session("With an encoder")
    id, secret = session["session_id"], session["host_secret"]
    made = await studio.api.create_ingest(id, "Encoder", secret)
    options = {"whip_flags": "dtls_active"} if role == "begins it" else {}
    async with await RawPeer.join(studio.url, id) as viewer, encoder(made, 60, **options):
        await viewer.message("participant_joined")
        await viewer.takes(2)
        recording = await studio.api.start_recording(id, secret)
        await viewer.until(lambda: frames(viewer, made["participant_id"]) > 0)
        already = frames(viewer, made["participant_id"])
        await viewer.until(
            lambda: frames(viewer, made["participant_id"]) > already + RECORDED_FRAMES, "frames", timeout_s=30
        )
        await studio.api.stop_recording(id, recording["recording_id"], secret)
    evidence = await collect(studio, session, recording["recording_id"], [], tmp_path, local_copies=0)
    assert "Encoder" in [person["display_name"] for person in evidence.manifest["participants"]]
    files = {file.take["kind"]: file for file in evidence.files}
    assert {kind: file.segment["codec"] for kind, file in files.items()} == {"camera": "h264", "microphone": "opus"}
    assert all(file.report.sound for file in files.values()), files
    assert all(file.segment["packets"]["lost"] == 0 for file in files.values())
    readings = counter.read_file(files["camera"].path)
    assert len(readings) >= RECORDED_FRAMES // 2, "from the first key frame on, one a second"
    assert set(counter.steps(readings)) == {1}, "every frame, once, readable"
    assert files["camera"].report.stream("video").sizes == {(media.WIDTH, media.HEIGHT): len(readings)}
    assert files["microphone"].report.stream("audio").channels == 2


def frames(viewer: RawPeer, participant_id: str) -> int:
    """About how many: packets with sound come 50 a second, frames 30."""
    heard = sum(stream.packets for stream in viewer.received("microphone", participant_id))
    return heard * media.FPS // 50


async def test_an_encoder_that_ends_leaves_the_room(studio: Studio) -> None:
    session = await studio.create_session("With an encoder")
    made = await studio.api.create_ingest(session["session_id"], "Encoder", session["host_secret"])
    async with await RawPeer.join(studio.url, session["session_id"]) as viewer:
        async with encoder(made, 0.5) as process:
            assert await process.wait() == 0, "its DELETE was answered as it expects"
            left = await viewer.message("participant_left")
        assert (left["participant_id"], left["reason"]) == (made["participant_id"], "left")


async def test_an_encoder_that_vanishes_and_comes_back_with_its_token_is_the_same_participant(studio: Studio) -> None:
    session = await studio.create_session("With an encoder")
    made = await studio.api.create_ingest(session["session_id"], "Encoder", session["host_secret"])
    async with await RawPeer.join(studio.url, session["session_id"]) as viewer:
        async with encoder(made, 60) as process:
            await viewer.takes(2)
            process.kill()
            await process.wait()
        async with encoder(made, 60):
            await viewer.message("track_unpublished", participant_id=made["participant_id"])
            joined = [m for m in viewer.messages if m["type"] == "participant_joined"]
            assert [m["participant"]["display_name"] for m in joined] == ["Encoder"]
            assert not [m for m in viewer.messages if m["type"] == "participant_left"]
