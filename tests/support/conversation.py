"""Known media of a raw peer, sent in real time for as long as a test likes."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.encoded import OPUS_SAMPLES, opus_packets, vp8_frames, vp8_payloads
from tests.support.media import FPS
from tests.support.raw_peer import RawPeer, RtpSender

SOUND_S = 10
PICTURES_S = 2
"""Then they begin anew. Encoding pictures takes longest."""


class Material:
    """Made before anybody joins: it takes seconds, in which nothing else would be answered."""

    def __init__(self) -> None:
        self.packets, self.frames = opus_packets(SOUND_S * 50), vp8_frames(PICTURES_S * FPS)


class Talk:
    """A microphone and a camera that go on until the test is done with them."""

    def __init__(self, material: Material, microphone: RtpSender, camera: RtpSender) -> None:
        self._microphone, self._camera = microphone, camera
        self._packets, self._frames = material.packets, material.frames
        self.sent: list[int] = []
        """CRC-32 of every packet of sound."""

    async def speak(self) -> None:
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        for number in range(1 << 30):
            await asyncio.sleep(begin_s + number * 0.02 - loop.time())
            packet = self._packets[number % len(self._packets)]
            self._microphone.send(packet, number * OPUS_SAMPLES)
            self.sent.append(zlib.crc32(packet))

    async def show(self) -> None:
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        for number in range(1 << 30):
            await asyncio.sleep(begin_s + number / FPS - loop.time())
            frame = self._frames[number % len(self._frames)]
            self._camera.send_frame(list(vp8_payloads(frame, number)), number * 90_000 // FPS)


@asynccontextmanager
async def talking(peer: RawPeer, material: Material) -> AsyncIterator[Talk]:
    """Publish and send until the end."""
    talk = Talk(material, *await peer.publish("microphone", "camera"))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(talk.speak()), group.create_task(talk.show())]
        yield talk
        for task in tasks:
            task.cancel()
