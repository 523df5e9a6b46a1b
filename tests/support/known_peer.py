"""A raw peer in real time whose every picture and beep has a known capture time, on the monotonic clock.

It sends as a browser does: sound when its 20 ms are over, pictures when they are encoded; sender reports that say when,
on its clock, the RTP time was captured, and go on while a track is taken away; answers to reference times; and what it
is asked for once more.
"""

import asyncio
import time
from collections import OrderedDict

from sfu import rtcp
from tests.support import beep_flash
from tests.support.api import Json
from tests.support.encoded import vp8_payloads
from tests.support.media import FPS
from tests.support.plans import SECONDS, Person
from tests.support.raw_peer import RawPeer, RtpSender
from tests.support.slow_line import SlowLine

PACKET_S = 0.02
PACKET_TICKS, PICTURE_TICKS = 960, 90_000 // FPS
ENCODING_S = 0.012
"""From the capture of a picture to its first packet."""
REPEATABLE = 2_000
"""Packets that can be sent again."""
SILENCE = b"\xfc\xff\xfe"


class KnownPeer:
    def __init__(self, number: int, person: Person) -> None:
        """`number`: that its media shows."""
        self.number = number
        self.person = person
        self.zero_s = 0.0
        """Of its media, monotonic seconds."""
        self.latest_s = 0.0
        """How long after its time a packet was sent at worst: by that this machine was too slow."""
        self.participant_id = ""
        self._url = ""
        self._peer: RawPeer
        self._senders: tuple[RtpSender, RtpSender]
        self._tasks: list[asyncio.Task[None]] = []
        self._media: list[asyncio.Task[None]] = []
        self._line = SlowLine(person.delay_s, person.loss, number)
        self._sent: OrderedDict[tuple[int, int], tuple[RtpSender, int, bool, bytes, bytes]] = OrderedDict()
        """By SSRC and sequence number."""

    async def join(self, url: str, session: Json) -> None:
        """Connect; nothing is sent yet."""
        self._url = url
        self._peer = await RawPeer.join(url, session["session_id"], display_name=f"P{self.number}")
        self.participant_id = self._peer.participant_id
        await self._publish()

    def begin(self, zero_s: float) -> None:
        """Send what the plan says until `leave`."""
        self.zero_s = zero_s
        self._tasks.append(asyncio.create_task(self._change()))
        self._send_media()

    async def leave(self) -> None:
        """Raises what went wrong on the way."""
        tasks = [*self._tasks, *self._media]
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        await self._peer.close()

    async def _change(self) -> None:
        if self.person.republishes_s is not None:
            await self._until(self.person.republishes_s)
            await self._hush()
            await self._publish()
            self._send_media()
        if self.person.reconnects_s is not None:
            await self._until(self.person.reconnects_s)
            await self._hush()
            gone = self._peer
            self._peer = await gone.again(self._url)
            await gone.close(silently=True)
            await self._publish()
            self._send_media()

    async def _hush(self) -> None:
        for task in self._media:
            task.cancel()
        await asyncio.gather(*self._media, return_exceptions=True)

    async def _publish(self) -> None:
        microphone, camera = await self._peer.publish("microphone", "camera")
        transport = microphone.transport
        before = transport.on_rtcp

        def take(compound: bytes) -> None:
            before(compound)
            for packet in rtcp.parse(compound):
                if isinstance(packet, rtcp.Nack):
                    self._repeat(packet)

        transport.on_rtcp = take
        self._line.lies_before(transport)
        self._senders = microphone, camera

    def _send_media(self) -> None:
        microphone, camera = self._senders
        self._media = [asyncio.create_task(self._speak(microphone)), asyncio.create_task(self._show(camera))]

    async def _speak(self, microphone: RtpSender) -> None:
        packets = beep_flash.packets(self.number, SECONDS)
        number, ticks, muted = await self._first(self.person.microphone_s, 1 / PACKET_S), 0, False
        while number < len(packets):
            captured_s = number * PACKET_S
            await self._due(captured_s + PACKET_S)
            pause = next((one for one in self.person.pauses if one.from_s <= captured_s < one.until_s), None)
            if muted != (pause is not None):
                muted = pause is not None
                await self._tell_muted(muted)
            if pause is None or pause.how == "silent":
                self._send(microphone, packets[number] if pause is None else SILENCE, ticks, False, captured_s)
                ticks += PACKET_TICKS
            number += 1

    async def _show(self, camera: RtpSender) -> None:
        pictures = beep_flash.pictures(self.number, SECONDS)
        number = await self._first(self.person.camera_s, FPS)
        while number < len(pictures):
            captured_s = number / FPS
            await self._due(captured_s + ENCODING_S)
            payloads = list(vp8_payloads(pictures[number], number))
            for place, payload in enumerate(payloads):
                marker = place == len(payloads) - 1
                self._send(camera, payload, number * PICTURE_TICKS, marker, captured_s)
            number += 1

    def _send(self, sender: RtpSender, payload: bytes, ticks: int, marker: bool, captured_s: float) -> None:
        datagram = sender.seal(payload, ticks, marker=marker)
        sender.last = (ticks, self.zero_s + captured_s)
        key = sender.ssrc, int.from_bytes(datagram[2:4], "big")
        self._sent[key] = sender, ticks, marker, payload, datagram
        if len(self._sent) > REPEATABLE:
            self._sent.popitem(last=False)
        sender.transport.send_datagram(datagram)

    def _repeat(self, request: rtcp.Nack) -> None:
        for sequence in request.sequence_numbers:
            known = self._sent.get((request.ssrc, sequence))
            if known is not None and known[0].transport.connected:
                sender, ticks, marker, payload, datagram = known
                if sender.line.rtx_ssrc:
                    datagram = sender.seal_repair(sequence, payload, ticks, marker=marker)
                sender.transport.send_datagram(datagram)

    async def _tell_muted(self, muted: bool) -> None:
        told = await self._peer.message("track_published", participant_id=self.participant_id)
        microphones = [
            message["track"]["track_id"]
            for message in self._peer.messages
            if message["type"] == told["type"]
            and message["participant_id"] == self.participant_id
            and message["track"]["kind"] == "microphone"
        ]
        await self._peer.tell("track_muted", track_id=microphones[-1], muted=muted)

    async def _first(self, from_s: float, per_s: float) -> int:
        """Number of the first piece that is captured from now on, not before `from_s`."""
        await self._until(from_s)
        return round((time.monotonic() - self.zero_s) * per_s) + 1

    async def _due(self, at_s: float) -> None:
        await self._until(at_s)
        self.latest_s = max(self.latest_s, time.monotonic() - self.zero_s - at_s)

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(self.zero_s + at_s - time.monotonic())
