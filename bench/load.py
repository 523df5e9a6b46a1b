"""What publishers send, when: equal packets in bursts, or traffic recorded from Chromium. No I/O but reading a pattern.

The payloads are VP8 as far as anybody on the way looks: Chromium's descriptor of 4 bytes with a running picture id,
frame tags, key frames with a size. Every payload ends with its number in the load, 8 bytes, so that a receiver of the
same process knows when it was sent although it was encrypted beforehand.
"""

import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PAYLOAD_BYTES = 1100
BURST = 6
"""Packets of a frame of 30 fps at 1.6 Mbit/s."""
BURSTS_PER_S = 400
"""That frame rate scaled up so that 10 subscribers get 24,000 packets/s."""
KEY_FRAME_EVERY_S = 1.0
NUMBER_BYTES = 8

CAMERA, MICROPHONE = 0, 1
"""Tracks; the numbers are those of the pattern files."""
CLOCK_RATE_HZ = (90_000, 48_000)

RECORD = struct.Struct("<IHBBI")
"""Of a pattern file, see patterns/README.md."""
_VP8_KEY_FRAME = bytes((0x10, 0, 0, 0x9D, 0x01, 0x2A)) + struct.pack("<HH", 640, 360)
_VP8_OTHER_FRAME = bytes((0x11, 0, 0))
_FILLING = random.Random(1).randbytes(1 << 16)


class Send(NamedTuple):
    """One packet to be sent."""

    due_s: float
    """From the beginning of the load."""
    track: int
    marker: bool
    timestamp: int
    """From the beginning of the load, in ticks of the track."""
    payload_bytes: int


class Load(NamedTuple):
    name: str
    sends: Sequence[Send]
    """Ascending in time."""
    duration_s: float
    precise: bool
    """The times between packets of one frame matter."""

    @property
    def tracks(self) -> tuple[int, ...]:
        return tuple(sorted({send.track for send in self.sends}))


def bursts(seconds: float, bursts_per_s: float = BURSTS_PER_S) -> Load:
    """Equal packets of one video track in bursts, `bursts_per_s` as frame rate."""
    sends = [
        Send(frame / bursts_per_s, CAMERA, place == BURST - 1, round(frame * 90_000 / bursts_per_s), PAYLOAD_BYTES)
        for frame in range(round(seconds * bursts_per_s))
        for place in range(BURST)
    ]
    return Load(f"bursts of {BURST} x {PAYLOAD_BYTES} bytes, {bursts_per_s:g}/s", sends, seconds, False)


def pattern(file: Path, seconds: float) -> Load:
    """The first `seconds` of a recording (format: patterns/README.md), repeated when it is shorter."""
    recorded = [
        Send(us / 1e6, kind, bool(m), ts, size) for us, size, kind, m, ts in RECORD.iter_unpack(file.read_bytes())
    ]
    length_s = recorded[-1].due_s + 0.02
    sends: list[Send] = []
    begin_s = 0.0
    while begin_s < seconds:
        for send in recorded:
            timestamp = send.timestamp + round(begin_s * CLOCK_RATE_HZ[send.track])
            sends.append(send._replace(due_s=begin_s + send.due_s, timestamp=timestamp))
        begin_s += length_s
    return Load(file.stem, [send for send in sends if send.due_s < seconds], seconds, True)


class Payloads:
    """Makes the payloads of one publisher's track in order; frames begin after a marker."""

    def __init__(self, track: int) -> None:
        self._track = track
        self._picture_id = 0
        self._frame_begins = True
        self._next_key_frame_s = 0.0

    def make(self, send: Send, number: int) -> bytes:
        head = self._vp8_head(send) if self._track == CAMERA else b""
        filling = send.payload_bytes - len(head) - NUMBER_BYTES
        at = number * 37 % (len(_FILLING) - 2048)
        return head + _FILLING[at : at + filling] + number.to_bytes(NUMBER_BYTES, "big")

    def restart(self) -> None:
        """A new load begins: with a key frame."""
        self._next_key_frame_s = 0.0

    def _vp8_head(self, send: Send) -> bytes:
        first = b""
        if self._frame_begins:
            self._picture_id = (self._picture_id + 1) & 0x7FFF
            first = _VP8_OTHER_FRAME
            if send.due_s >= self._next_key_frame_s:
                self._next_key_frame_s = send.due_s + KEY_FRAME_EVERY_S
                first = _VP8_KEY_FRAME
        descriptor = struct.pack("!BBH", 0x90 if first else 0x80, 0x80, 0x8000 | self._picture_id)
        self._frame_begins = send.marker
        return descriptor + first
