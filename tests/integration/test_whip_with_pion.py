"""A publisher and a player on pion (tests/whip/pion), through the running program: WHIP and WHEP without a browser."""

import asyncio
import json
import struct
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.encoded import vp8_frames
from tests.support.evidence import collect
from tests.support.raw_peer import RawPeer
from tests.support.studio import Studio
from tests.support.whip_clients import PION

WAIT_S = 20.0
PACKETS = 60


def ivf(path: Path) -> Path:
    """Thirty frames of VP8 in the container that pion reads."""
    frames = vp8_frames(30)
    head = b"DKIF" + struct.pack("<HH4sHHIIII", 0, 32, b"VP80", 640, 360, 30, 1, len(frames), 0)
    path.write_bytes(head + b"".join(struct.pack("<IQ", len(f), n) + f for n, f in enumerate(frames)))
    return path


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(PION, *arguments, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        said: dict[str, Any] = json.loads(await process.stdout.readline())
    return said


async def test_what_one_pion_publishes_another_watches_and_the_room_records(studio: Studio, tmp_path: Path) -> None:
    session = await studio.create_session("Pion")
    id, secret = session["session_id"], session["host_secret"]
    made = await studio.api.create_ingest(id, "Pion", secret)
    right = await studio.api.create_egress(id, "Watcher", secret, kinds=["camera", "microphone"])
    publishing = [made["whip_url"], made["token"], str(ivf(tmp_path / "camera.ivf"))]
    async with await RawPeer.join(studio.url, id) as guest, running("publish", *publishing) as publisher:
        assert (await line(publisher))["what"] == "connected"
        await guest.takes(2)
        recording = await studio.api.start_recording(id, secret)
        async with running("watch", right["whep_url"], right["token"], str(PACKETS)) as player:
            got = {(await line(player))["what"] for _ in range(4)}
            assert got == {"connected", "video/VP8", "audio/opus", "ended"}
            assert await player.wait() == 0
        left = await guest.message("participant_left")
        assert left["participant_id"] == right["participant_id"]
        await studio.api.stop_recording(id, recording["recording_id"], secret)
        assert publisher.stdin is not None
        publisher.stdin.close()
        assert (await line(publisher))["what"] == "ended"
        assert await publisher.wait() == 0
        await guest.message("participant_left", participant_id=made["participant_id"])
    evidence = await collect(studio, session, recording["recording_id"], [], tmp_path, local_copies=0)
    files = {file.take["kind"]: file for file in evidence.files}
    assert {kind: file.segment["codec"] for kind, file in files.items()} == {"camera": "vp8", "microphone": "opus"}
    assert all(file.report.sound for file in files.values())


async def test_a_player_before_an_empty_room_is_refused_with_a_reason(studio: Studio) -> None:
    session = await studio.create_session("Pion")
    right = await studio.api.create_egress(session["session_id"], "Watcher", session["host_secret"])
    process = await asyncio.create_subprocess_exec(
        *(PION, "watch", right["whep_url"], right["token"], "1"), stdout=PIPE, stderr=PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"409" in said
    assert b"nothing_to_watch" in said
