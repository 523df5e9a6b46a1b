"""`kill -9` of the recorder process during a recording loses nothing: not a packet, not a frame, not a segment."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.support import counter
from tests.support.encoded import OPUS_SAMPLES, opus_packets, vp8_frames, vp8_payloads
from tests.support.evidence import Evidence, collect
from tests.support.media import FPS
from tests.support.raw_peer import RawPeer, RtpSender
from tests.support.studio import Studio

RECORDED_S = 6
PACKETS = RECORDED_S * 50
FRAMES = RECORDED_S * FPS


async def speak(microphone: RtpSender, packets: list[bytes], edges: dict[int, asyncio.Event]) -> None:
    """Send the known sound in real time; tell when these packets' turn has come."""
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    for number, packet in enumerate(packets):
        await asyncio.sleep(begin_s + number * 0.02 - loop.time())
        microphone.send(packet, number * OPUS_SAMPLES)
        if number in edges:
            edges[number].set()


async def show(camera: RtpSender, frames: list[bytes]) -> None:
    """Send the known camera in real time."""
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    for number, frame in enumerate(frames):
        await asyncio.sleep(begin_s + number / FPS - loop.time())
        camera.send_frame(list(vp8_payloads(frame, number)), number * 90_000 // FPS)


async def kill_at(studio: Studio, edges: dict[int, asyncio.Event]) -> None:
    """At each of these moments kill the recorder process: media goes on while nobody reads the journals."""
    for count, edge in enumerate(edges.values(), 1):
        await edge.wait()
        await studio.event("recorder_started", count=count)
        os.kill(studio.recorder_pid(), signal.SIGKILL)


async def record(studio: Studio, folder: Path, kills: int) -> Evidence:
    """Record RECORDED_S of known media; kill the recorder process at equal distances."""
    packets, frames = opus_packets(PACKETS), vp8_frames(FRAMES)
    edges = {PACKETS * place // (kills + 1): asyncio.Event() for place in range(1, kills + 1)}
    session = await studio.create_session("A fault")
    secret = session["host_secret"]
    async with await RawPeer.join(studio.url, session["session_id"], host_secret=secret) as peer:
        microphone, camera = await peer.publish("microphone", "camera")
        recording = await studio.api.start_recording(session["session_id"], secret)
        await asyncio.gather(speak(microphone, packets, edges), show(camera, frames), kill_at(studio, edges))
        await studio.event("recorder_started", count=kills + 1)
        await studio.api.stop_recording(session["session_id"], recording["recording_id"], secret)
        return await collect(studio, session, recording["recording_id"], [], folder, local_copies=0)


@pytest.mark.pain("13")
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
