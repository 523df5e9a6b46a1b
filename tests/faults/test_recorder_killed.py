"""`kill -9` of the recorder process during a recording loses nothing: not a packet, not a frame, not a segment."""

import asyncio
import os
import signal
from pathlib import Path

from tests.support import counter
from tests.support.encoded import OPUS_SAMPLES, opus_packets, vp8_frames, vp8_payloads
from tests.support.evidence import Evidence, collect
from tests.support.media import FPS
from tests.support.raw_peer import RawPeer, RtpSender
from tests.support.studio import Studio

RECORDED_S = 6
PACKETS = RECORDED_S * 50
FRAMES = RECORDED_S * FPS


async def speak(microphone: RtpSender, frm: int, to: int) -> None:
    """Send these packets of the known sound in real time."""
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    for number, packet in enumerate(opus_packets(PACKETS)[frm:to]):
        await asyncio.sleep(begin_s + number * 0.02 - loop.time())
        microphone.send(packet, (frm + number) * OPUS_SAMPLES)


async def show(camera: RtpSender, frm: int, to: int) -> None:
    """Send these frames of the known camera in real time."""
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    for number, frame in enumerate(vp8_frames(FRAMES)[frm:to], frm):
        await asyncio.sleep(begin_s + (number - frm) / FPS - loop.time())
        camera.send_frame(list(vp8_payloads(frame, number)), number * 90_000 // FPS)


async def record(studio: Studio, folder: Path, kills: int) -> Evidence:
    """Record RECORDED_S of known media in equal parts; after each part but the last kill the recorder process."""
    session = await studio.create_session("A fault")
    secret = session["host_secret"]
    async with await RawPeer.join(studio.url, session["session_id"], host_secret=secret) as peer:
        microphone, camera = await peer.publish("microphone", "camera")
        recording = await studio.api.start_recording(session["session_id"], secret)
        parts = kills + 1
        for part in range(parts):
            edges = part, part + 1
            await asyncio.gather(
                speak(microphone, *(PACKETS * edge // parts for edge in edges)),
                show(camera, *(FRAMES * edge // parts for edge in edges)),
            )
            if part < kills:  # the next part is sent while nobody reads the journals, and while somebody begins to
                await studio.event("recorder_started", count=part + 1)
                os.kill(studio.recorder_pid(), signal.SIGKILL)
        await studio.api.stop_recording(session["session_id"], recording["recording_id"], secret)
        return await collect(studio, session, recording["recording_id"], [], folder, local_copies=0)


async def test_a_recorder_killed_twice_still_makes_one_whole_file_of_each_track(studio: Studio, tmp_path: Path) -> None:
    evidence = await record(studio, tmp_path, kills=2)
    assert len(studio.events("recorder_started")) == 3
    assert sorted(file.take["kind"] for file in evidence.files) == ["camera", "microphone"]
    for file in evidence.files:
        assert file.report.sound, file.report
        assert file.segment["gaps"] == []
        assert file.sha256 == file.segment["sha256"]
    camera, microphone = sorted(evidence.files, key=lambda file: file.take["kind"])
    assert [reading.number for reading in counter.read_file(camera.path)] == list(range(FRAMES))
    assert microphone.report.stream("audio").packets == PACKETS
