"""Coming and going for a long time through the real program: nothing may grow.

`python -m bench.soak --minutes 20` starts `stemroom serve` with a data folder of its own. Round after round people who
are raw peers join a new session, publish, look at each other in changing sizes, lose 2 % of their packets both ways,
ask for what is missing and for key frames, are recorded, leave in order or vanish; then everybody is gone, and once the
program has noticed, its tasks, open files and memory are counted. After the warm-up tasks and files must be as many as
they were, and memory must not grow.
"""

import argparse
import asyncio
import json
import random
import re
import statistics
import struct
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from tests.support.api import Json
from tests.support.raw_peer import RawPeer, RtpSender
from tests.support.raw_transport import RawTransport
from tests.support.studio import Studio, start_studio

ROUND_S = 8.0
PEOPLE = 5
STEP_S = 0.4
"""Between two things that happen."""
LOSS = 0.02
HEIGHTS = (0, 90, 180, 360, 720)
FRAME_S, AUDIO_EVERY_S = 1 / 15, 0.02
PAYLOAD_BYTES = 900
WARM_UP_ROUNDS, WARM_UP_SHARE = 3, 0.25
"""At least so many rounds, and this share of a longer soak: caches fill and the allocator settles for some minutes."""
QUIET_S = 30.0
"""Given to the program to notice that everybody is gone."""

REST_S = 2.0
"""It has noticed when nothing changed for so long; a second after the last room it has also looked for what is left
(`sfu.engine.COLLECT_S`)."""

POOL_FILES = 6
"""Open files that come once, when the database is first asked for several things at the same time."""

MEMORY_SHARE, MEMORY_BYTES = 0.01, 6 << 20
"""What memory may grow by after the warm-up: 1 %, and what an allocator moves about."""

SETTINGS = {
    "session": {"grace_s": 1.0},
    "log": {"level": "info"},
}
_NACK = struct.Struct("!BBHIIHH")
_PLI = struct.Struct("!BBHII")


class Sample(NamedTuple):
    """The node at rest after a round."""

    at_s: float
    tasks: int
    descriptors: int
    rss_bytes: int
    joins: int
    """So far."""
    delivered: int
    """Packets that reached viewers so far."""


class Person:
    """A peer that publishes and watches until it is cancelled."""

    def __init__(self, peer: RawPeer, chance: random.Random) -> None:
        self.peer = peer
        self._chance = chance
        self._wants_key_frame = True
        self._media: list[asyncio.Task[None]] = []

    @classmethod
    async def join(cls, studio: Studio, session: Json, chance: random.Random) -> "Person":
        person = cls(await RawPeer.join(studio.url, session["session_id"], display_name="Soak"), chance)
        microphone, camera = await person.peer.publish("microphone", "camera")
        person._lose(microphone.transport)
        person.peer.on_keyframe_request = person._key_frame
        person._media = [
            asyncio.create_task(person._speak(microphone)),
            asyncio.create_task(person._show(camera)),
            asyncio.create_task(person._complain()),
        ]
        return person

    async def look(self) -> None:
        """Show somebody in another size."""
        cameras = [track for track in self.peer.subscribed.values() if track["kind"] == "camera"]
        if cameras:
            track = self._chance.choice(cameras)
            await self.peer.tell("layer", track_id=track["track_id"], height=self._chance.choice(HEIGHTS))

    async def leave(self, *, silently: bool) -> int:
        """Packets that it got."""
        for task in self._media:
            task.cancel()
        await asyncio.gather(*self._media, return_exceptions=True)
        streams = self.peer.subscribing.streams.values() if self.peer.subscribing is not None else ()
        got = sum(stream.packets for stream in streams)
        await self.peer.close(silently=silently)
        return got

    def _lose(self, transport: RawTransport) -> None:
        """Of what it sends and of what it gets."""
        send, take, lost = transport.send_datagram, transport.take, self._chance.random

        def send_some(datagram: bytes) -> bool:
            return lost() < LOSS or send(datagram)

        def take_some(datagram: bytes) -> None:
            if lost() >= LOSS:
                take(datagram)

        transport.send_datagram = send_some  # type: ignore[method-assign]
        transport.take = take_some  # type: ignore[method-assign]

    def _key_frame(self, _ssrc: int) -> None:
        self._wants_key_frame = True

    async def _speak(self, microphone: RtpSender) -> None:
        number = 0
        while True:
            microphone.send(b"\x78" + bytes(90), 960 * number)
            number += 1
            await asyncio.sleep(AUDIO_EVERY_S)

    async def _show(self, camera: RtpSender) -> None:
        picture = 0
        while True:
            key, self._wants_key_frame = self._wants_key_frame, False
            head = b"\x10\x00\x00\x9d\x01\x2a\x80\x02\x68\x01" if key else b"\x11\x00\x00"
            number = (0x8000 | picture & 0x7FFF).to_bytes(2, "big")
            first = b"\x90\x80" + number + head + bytes(PAYLOAD_BYTES)
            rest = b"\x80\x80" + number + bytes(PAYLOAD_BYTES)
            camera.send_frame([first, *[rest] * (5 if key else 1)], round(picture * FRAME_S * 90_000))
            picture += 1
            await asyncio.sleep(FRAME_S)

    async def _complain(self) -> None:
        """As a viewer who misses packets, and now and then a picture."""
        while True:
            await asyncio.sleep(0.2)
            transport = self.peer.subscribing
            if transport is None or not transport.connected:
                continue
            for stream in list(transport.streams.values()):
                missing = stream.highest - self._chance.randrange(40) & 0xFFFF
                transport.send_rtcp(_NACK.pack(0x81, 205, 3, 1, stream.ssrc, missing, 0x0101))
                if self._chance.random() < 0.05:
                    transport.send_rtcp(_PLI.pack(0x81, 206, 2, 1, stream.ssrc))


class Soak:
    def __init__(self, studio: Studio, seed: int) -> None:
        self.samples: list[Sample] = []
        self._studio = studio
        self._chance = random.Random(seed)
        self._joins = self._delivered = 0
        self._begin = monotonic()

    async def run(self, seconds: float) -> None:
        """Rounds until the time is over, at least one more than the warm-up."""
        while len(self.samples) <= WARM_UP_ROUNDS or monotonic() - self._begin < seconds:
            await self._round()
            self.samples.append(await self._at_rest())

    async def _round(self) -> None:
        chance, studio = self._chance, self._studio
        session = await studio.create_session("Soak")
        people: list[Person] = []
        recording = ""
        end = monotonic() + ROUND_S
        while monotonic() < end:
            happens = chance.random()
            if len(people) < 2 or (happens < 0.3 and len(people) < PEOPLE):
                people.append(await Person.join(studio, session, chance))
                self._joins += 1
            elif happens < 0.4:
                await self._leave(people.pop(chance.randrange(len(people))))
            elif happens < 0.5 and not recording:
                started = await studio.api.start_recording(session["session_id"], session["host_secret"])
                recording = started["recording_id"]
            else:
                await chance.choice(people).look()
            await asyncio.sleep(STEP_S)
        if recording:
            await studio.api.stop_recording(session["session_id"], recording, session["host_secret"])
        for person in people:
            await self._leave(person)

    async def _leave(self, person: Person) -> None:
        self._delivered += await person.leave(silently=self._chance.random() < 0.3)

    async def _at_rest(self) -> Sample:
        """Wait until nobody is there and nothing is left to be done; the node then."""
        before, quiet_since = (-1.0, -1), monotonic()
        async with asyncio.timeout(QUIET_S):
            while True:
                figures = await self._figures()
                now = (figures["stemroom_event_loop_tasks"], self._descriptors())
                if figures["stemroom_participants"] or now != before:
                    before, quiet_since = now, monotonic()
                elif monotonic() - quiet_since > REST_S:
                    break
                await asyncio.sleep(0.25)
        rss_kib = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self._studio.pid}/status").read_text())
        assert rss_kib is not None
        return Sample(
            round(monotonic() - self._begin, 1), int(before[0]), before[1], int(rss_kib[1]) * 1024, self._joins,
            self._delivered,
        )  # fmt: skip

    async def _figures(self) -> dict[str, float]:
        text = await self._studio.operators("/metrics")
        return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}

    def _descriptors(self) -> int:
        return len(list(Path(f"/proc/{self._studio.pid}/fd").iterdir()))


def grown(samples: Sequence[Sample]) -> list[str]:
    """What grew after the warm-up, in words; empty: nothing."""
    warm_up = max(WARM_UP_ROUNDS, round(WARM_UP_SHARE * len(samples)))
    warm, rest = samples[warm_up - 1], samples[warm_up:]
    problems = []
    if rest[-1].tasks > warm.tasks:
        problems.append(f"tasks: {warm.tasks} after the warm-up, {rest[-1].tasks} at the end")
    if rest[-1].descriptors > warm.descriptors + POOL_FILES:
        problems.append(f"open files: {warm.descriptors} after the warm-up, {rest[-1].descriptors} at the end")
    begin = max(sample.rss_bytes for sample in samples[:warm_up])
    end = statistics.median(sample.rss_bytes for sample in rest[-3:])
    if end > begin * (1 + MEMORY_SHARE) + MEMORY_BYTES:
        problems.append(f"memory: {begin >> 20} MiB after the warm-up, {int(end) >> 20} MiB at the end")
    return problems


async def soak(folder: Path, seconds: float, seed: int = 1) -> list[Sample]:
    """Samples at rest, one for each round."""
    async with start_studio(folder, SETTINGS) as studio:
        running = Soak(studio, seed)
        await running.run(seconds)
    return running.samples


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all samples there as well")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stemroom-soak-") as folder:
        samples = asyncio.run(soak(Path(folder) / "studio", 60 * chosen.minutes, chosen.seed))
    print("   at s  tasks  files  memory MiB  joins  packets delivered")
    for sample in samples:
        mebibytes = sample.rss_bytes / (1 << 20)
        print(
            f"{sample.at_s:7.0f} {sample.tasks:6} {sample.descriptors:6} {mebibytes:11.1f} {sample.joins:6} "
            f"{sample.delivered:18,}"
        )
    problems = grown(samples)
    if chosen.json:
        figures = {"samples": [sample._asdict() for sample in samples], "grown": problems}
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    print("\n".join(problems) or "nothing grew")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
