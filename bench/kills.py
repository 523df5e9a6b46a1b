"""`kill -9` of the recorder and of the node, in turns and at random moments, while four people are recorded.

`survive(folder, kills, seed)` runs the real program. A killed recorder is started again by the node, in the middle of
the recording. A killed node is started again on the same data folder; the four come back into the same session and a
new recording begins. In the end every recording must be finished, and every packet in its journals accounted for.
"""

import asyncio
import os
import random
import signal
import time
import zlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.accounts import Account, account, read_journals
from tests.support.api import Json
from tests.support.encoded import OPUS_SAMPLES, opus_packets
from tests.support.payloads import encode, vp8_payloads
from tests.support.raw_peer import RawPeer, RtpSender
from tests.support.studio import Studio, start_studio

PEOPLE = 4
FPS = 30
SHORTEST_S, LONGEST_S = 0.3, 2.5
"""Between two kills, or from the beginning of a recording to a kill."""
FINISH_S = 60.0
POLL_S = 0.2
SETTINGS = {"log": {"level": "info"}, "session": {"grace_s": 1.0}}


class Life(NamedTuple):
    """One recording: it ends when the node is killed, or is stopped at the end."""

    recording_id: str
    recorder_kills: int
    node_killed: bool
    account: Account
    missing_s: float
    """From the last packet that can be read to the kill of the node, of the track that lost most; 0 if it was not."""


class _Running(NamedTuple):
    recording_id: str
    recorder_kills: int
    killed_ns: int
    """When the node was killed, on the monotonic clock; 0: it was not."""


@cache
def _media() -> tuple[list[bytes], list[bytes]]:
    """Two seconds each; sent again and again."""
    return opus_packets(100), encode("vp8", 2 * FPS, width=160, height=120, key_every=FPS)


def _frame_packets() -> dict[int, int]:
    sound, pictures = _media()
    return {zlib.crc32(packet): 1 for packet in sound} | {
        zlib.crc32(picture): len(list(vp8_payloads(picture, 0))) for picture in pictures
    }


async def _speak(microphone: RtpSender) -> None:
    sound, loop = _media()[0], asyncio.get_running_loop()
    began_s, number = loop.time(), 0
    while True:
        microphone.send(sound[number % len(sound)], number * OPUS_SAMPLES)
        number += 1
        await asyncio.sleep(began_s + number * 0.02 - loop.time())


async def _show(camera: RtpSender, asked: set[int]) -> None:
    """`asked`: SSRCs of which a key frame was asked for."""
    pictures, loop = _media()[1], asyncio.get_running_loop()
    began_s, number, place = loop.time(), 0, 0
    while True:
        if camera.ssrc in asked:
            asked.discard(camera.ssrc)
            place = 0
        camera.send_frame(list(vp8_payloads(pictures[place % len(pictures)], number)), number * 90_000 // FPS)
        number, place = number + 1, place + 1
        await asyncio.sleep(began_s + number / FPS - loop.time())


async def survive(folder: Path, kills: int, seed: int) -> list[Life]:
    """The first kill is the recorder's. Raises AssertionError when the program does not come back or finish."""
    chance = random.Random(seed)
    session: Json | None = None
    running: list[_Running] = []
    done = 0
    while done < kills:
        async with start_studio(folder, SETTINGS) as studio:
            session = session or await studio.create_session("Kills")
            life = await _live(studio, session, done, kills, chance)
            done += life.recorder_kills + bool(life.killed_ns)
            running.append(life)
    assert session is not None
    async with start_studio(folder, SETTINGS) as studio:
        await _finished(studio, session, [life.recording_id for life in running])
    return [await asyncio.to_thread(_judge, studio.data, life) for life in running]


async def _live(studio: Studio, session: Json, done: int, kills: int, chance: random.Random) -> _Running:
    """One recording, to the next kill of the node or the last kill of all."""
    secret = session["host_secret"]
    peers = [await RawPeer.join(studio.url, session["session_id"], display_name=f"P{n}") for n in range(PEOPLE)]
    media: list[asyncio.Task[None]] = []
    asked: set[int] = set()
    recorder_kills = killed_ns = 0
    try:
        for peer in peers:
            microphone, camera = await peer.publish("microphone", "camera")
            peer.on_keyframe_request = asked.add
            media += [asyncio.create_task(_speak(microphone)), asyncio.create_task(_show(camera, asked))]
        recording = await studio.api.start_recording(session["session_id"], secret)
        while done + recorder_kills < kills and not killed_ns:
            await studio.event("recorder_started", count=recorder_kills + 1)
            await asyncio.sleep(chance.uniform(SHORTEST_S, LONGEST_S))
            if (done + recorder_kills) % 2 == 0:
                os.kill(studio.recorder_pid(), signal.SIGKILL)
                recorder_kills += 1
            else:
                killed_ns = time.monotonic_ns()
                await studio.stop(signal.SIGKILL)
        if not killed_ns:
            await studio.api.stop_recording(session["session_id"], recording["recording_id"], secret)
    finally:
        for task in media:
            task.cancel()
        await asyncio.gather(*media, return_exceptions=True)
        for peer in peers:
            await peer.close(silently=True)
    return _Running(recording["recording_id"], recorder_kills, killed_ns)


async def _finished(studio: Studio, session: Json, recording_ids: list[str]) -> None:
    """Wait until all recordings are; a manifest follows the rows of its files."""
    async with asyncio.timeout(FINISH_S):
        for recording_id in recording_ids:
            while True:
                view = await studio.api.recording(session["session_id"], recording_id, session["host_secret"])
                segments = {s["segment_id"]: s["state"] for take in view["takes"] for s in take["segments"]}
                if (
                    view["state"] == "finished"
                    and segments.keys() == read_journals(studio.data / "spool" / recording_id).keys()
                ):
                    break
                await asyncio.sleep(POLL_S)


def _judge(data: Path, life: _Running) -> Life:
    journals = read_journals(data / "spool" / life.recording_id)
    missing_ns = max((life.killed_ns - journal.last_ns for journal in journals.values()), default=0)
    told = account(data, life.recording_id, _frame_packets())
    if len(journals) != 2 * PEOPLE:
        told.problems.append(f"{life.recording_id}: {len(journals)} journals of {2 * PEOPLE} tracks")
    return Life(life.recording_id, life.recorder_kills, bool(life.killed_ns), told, max(0, missing_ns) / 1e9)
