"""Record what a browser sends, as a load for `bench.forward --pattern`.

`python -m bench.record_pattern FILE` starts the real program and a page of it in Chromium with a known camera and
microphone, and notes of each RTP packet between them what its plain header and its size say: format in
patterns/README.md. Times are the kernel's, so a busy machine does not move them after the browser has sent.
"""

import argparse
import asyncio
import selectors
import socket
import struct
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.load import CAMERA, MICROPHONE, RECORD
from tests.support import sdp, srtp
from tests.support.chromium import chromium
from tests.support.proxy import Address, is_media
from tests.support.studio import start_studio

WARM_UP_S = 6.0
"""Until the browser's estimate of its bandwidth has grown to what the camera may take."""
KINDS = {sdp.VIDEO["VP8"]: CAMERA, sdp.OPUS: MICROPHONE}
"""Payload type as Chromium gives it -> track. Retransmissions and probes have others and are left out."""
DRAIN = 64
MAX_BYTES = 2048
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")


class Seen(NamedTuple):
    """A packet of the browser."""

    arrival_ns: int
    kind: int
    marker: int
    timestamp: int
    payload_bytes: int


class Relay:
    """Passes datagrams between one browser and the media port, in a thread of its own."""

    def __init__(self) -> None:
        self.upstream: Address = ("127.0.0.1", 0)
        self.seen: list[Seen] = []
        self._front, self._back = self._socket(), self._socket()
        self._front.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._front.bind(("127.0.0.1", 0))
        self.port: int = self._front.getsockname()[1]
        self._browser: Address | None = None
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._front.close()
        self._back.close()

    @staticmethod
    def _socket() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        return made

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._front, selectors.EVENT_READ, self._from_browser)
            selector.register(self._back, selectors.EVENT_READ, self._from_server)
            while not self._ends.is_set():
                for key, _ in selector.select(0.1):
                    for _ in range(DRAIN):
                        try:
                            key.data()
                        except (BlockingIOError, ConnectionError):
                            break

    def _from_browser(self) -> None:
        datagram, ancillary, _, self._browser = self._front.recvmsg(MAX_BYTES, socket.CMSG_SPACE(_TIMESPEC.size))
        seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
        self._back.sendto(datagram, self.upstream)
        packet = read(datagram, seconds * 1_000_000_000 + nanoseconds)
        if packet is not None:
            self.seen.append(packet)

    def _from_server(self) -> None:
        datagram = self._back.recv(MAX_BYTES)
        if self._browser is not None:
            self._front.sendto(datagram, self._browser)


def read(datagram: bytes, arrival_ns: int) -> Seen | None:
    """What a packet shows without its keys; None: not one of the camera or the microphone."""
    if not is_media(datagram) or len(datagram) < 12 or datagram[1] & 0x7F not in KINDS:
        return None
    payload_bytes = len(datagram) - srtp.header_bytes(datagram) - srtp.TAG_BYTES
    timestamp = int.from_bytes(datagram[4:8], "big")
    return Seen(arrival_ns, KINDS[datagram[1] & 0x7F], datagram[1] >> 7, timestamp, payload_bytes)


def pattern(seen: Sequence[Seen], seconds: float) -> bytes:
    """The file of the last `seconds`, from the first packet of a frame on."""
    begin_ns = seen[-1].arrival_ns - round(seconds * 1e9)
    kept = [packet for packet in seen if packet.arrival_ns >= begin_ns]
    frame_ends = next(place for place, packet in enumerate(kept) if packet.kind == CAMERA and packet.marker)
    kept = kept[frame_ends + 1 :]
    firsts = {packet.kind: packet.timestamp for packet in reversed(kept)}
    return b"".join(
        RECORD.pack(
            (packet.arrival_ns - kept[0].arrival_ns) // 1000,
            packet.payload_bytes,
            packet.kind,
            packet.marker,
            (packet.timestamp - firsts[packet.kind]) & 0xFFFFFFFF,
        )
        for packet in kept
    )


async def record(seconds: float) -> list[Seen]:
    with Relay() as relay:
        overrides = {"media": {"advertise": [f"127.0.0.1:{relay.port}"]}}
        with tempfile.TemporaryDirectory(prefix="stemroom-pattern-") as folder:
            async with start_studio(Path(folder), overrides) as studio, chromium() as rooms:
                relay.upstream = ("127.0.0.1", studio.media_port)
                session = await studio.create_session("A pattern")
                await rooms.join(session["host_url"], "Ann")
                await asyncio.sleep(WARM_UP_S + seconds)
                return list(relay.seen)


def described(records: Sequence[tuple[int, int, int, int, int]], seconds: float) -> str:
    """Packets and bitrate of each kind."""
    lines = []
    for kind, name in ((CAMERA, "camera"), (MICROPHONE, "microphone")):
        mine = [record for record in records if record[2] == kind]
        kbps = 8 * sum(record[1] for record in mine) / seconds / 1000
        frames = sum(record[3] for record in mine)
        lines.append(f"{name}: {len(mine)} packets, {kbps:.0f} kbit/s")
        if frames:
            lines[-1] += f", {len(mine) / frames:.1f} a frame"
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.record_pattern", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    chosen = parser.parse_args()
    made = pattern(asyncio.run(record(chosen.seconds)), chosen.seconds)
    chosen.file.write_bytes(made)
    print(described(list(RECORD.iter_unpack(made)), chosen.seconds))


if __name__ == "__main__":
    main()
