"""LiveKit as another forwarding unit of a comparison: its process, its signaling, its participants.

`bench/livekit_server/go.mod` names the version; it is built from the Go module proxy (`make bench-livekit`), and runs
as one node without Redis, with loopback as its only address. Its signaling is protobuf over a WebSocket, or JSON to
whoever speaks JSON. A participant has one connection to publish and one to subscribe, as in Stemroom.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.full_ice import FullIcePeer, FullIceTransport, outgoing
from bench.process import free_port
from tests.support import sdp
from tests.support.raw_peer import RtpSender
from tests.support.raw_transport import PacketListener

PROGRAM = Path(__file__).parents[1] / "build" / "livekit-server"
ROOM, KEY = "bench", "bench"
LOOPBACK = "127.0.0.1"
WAIT_S = 20.0
PING_S = 5.0
TOKEN_S = 3600
CONFIGURATION = """
port: {port}
bind_addresses: [127.0.0.1]
rtc: {{udp_port: {port}, tcp_port: 0, node_ip: 127.0.0.1, use_external_ip: false, enable_loopback_candidate: true}}
keys: {{{key}: {secret}}}
logging: {{level: warn}}
"""
SOURCES = {"camera": ("VIDEO", "CAMERA"), "microphone": ("AUDIO", "MICROPHONE")}

FIRST_PAYLOAD = b"\x10\x01"
"""A track is published to others when its first packet has come; this one begins a VP8 frame that nobody can decode."""

Json = dict[str, Any]


class LiveKitPeer(FullIcePeer):
    """A participant; what `bench.participant` asks of one."""

    def __init__(self, url: str, secret: str, listener: PacketListener) -> None:
        super().__init__(listener)
        self._url = url
        self._secret = secret
        self._socket: aiohttp.ClientWebSocketResponse
        self._changed = asyncio.Event()
        self._answer: sdp.Description | None = None
        self._offered = 0
        """Tracks in the last offer."""
        self._candidates: dict[str, list[str]] = {"PUBLISHER": [], "SUBSCRIBER": []}

    async def join(self) -> None:
        query = {"access_token": token(self._secret), "protocol": "15", "auto_subscribe": "1"}
        self._socket = await self._http.ws_connect(f"{self._url}/rtc", params=query, max_msg_size=0)
        await self._ping()  # in JSON: the server answers in kind
        for task in (asyncio.create_task(self._listen()), asyncio.create_task(self._keep())):
            task.add_done_callback(lambda _: self._changed.set())
            self._tasks.append(task)

    async def publish(self, *kinds: str) -> list[RtpSender]:
        transport = FullIceTransport("controlling")
        lines = [outgoing(str(mid), kind) for mid, kind in enumerate(kinds)]
        for line, kind in zip(lines, kinds, strict=True):
            media, source = SOURCES[kind]
            track = {"cid": f"raw-{line.mid}", "type": media, "source": source, "disableRed": True}
            await self._tell("addTrack", track | ({"width": 640, "height": 360} if media == "VIDEO" else {}))
        offer = sdp.offer(transport.credentials, lines).replace("a=setup:actpass", "a=setup:active")
        await self._tell("offer", {"type": "offer", "sdp": transport.described(offer)})
        await self._until(lambda: self._answer is not None)
        assert self._answer is not None
        self._publishes(transport, lines, self._answer)
        await self._stand(transport, self._answer, "PUBLISHER")
        for sender in self._senders:
            sender.send(FIRST_PAYLOAD, 0)
        return self._senders

    async def takes(self, tracks: int) -> None:
        """Everything is subscribed by itself: wait until so much is offered."""
        await self._until(lambda: self._offered >= tracks)
        await self._until(lambda: self.subscribing is not None and self.subscribing.connected)

    # --- signaling

    async def _tell(self, kind: str, content: Json | str) -> None:
        await self._socket.send_str(json.dumps({kind: content}))

    async def _ping(self) -> None:
        await self._tell("ping", str(round(1000 * time.time())))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(PING_S)
            await self._ping()

    async def _until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                for task in self._tasks:
                    if task.done():
                        task.result()
                self._changed.clear()
                await self._changed.wait()

    async def _listen(self) -> None:
        async for message in self._socket:
            content: Json = message.json() if message.type is aiohttp.WSMsgType.TEXT else early(message.data)
            if "answer" in content:
                self._answer = sdp.Description.parse(content["answer"]["sdp"])
            elif "offer" in content:
                await self._take_offer(sdp.Description.parse(content["offer"]["sdp"]))
            elif "trickle" in content:
                candidate: str = json.loads(content["trickle"]["candidateInit"])["candidate"]
                if f" {LOOPBACK} " in candidate:
                    self._candidates[content["trickle"].get("target", "PUBLISHER")].append(candidate)
            self._changed.set()

    async def _take_offer(self, offer: sdp.Description) -> None:
        transport = self.subscribing
        is_new = transport is None
        if transport is None:
            transport = FullIceTransport("controlled")
            self._subscribes(transport, offer)
        assert isinstance(transport, FullIceTransport)
        transport.offered(offer)
        answer = transport.described(sdp.answer(transport.credentials, offer))
        await self._tell("answer", {"type": "answer", "sdp": answer})
        self._offered = sum(media.direction != "inactive" for media in offer.media if media.kind != "application")
        if is_new:
            task = asyncio.create_task(self._stand(transport, offer, "SUBSCRIBER"))
            task.add_done_callback(lambda _: self._changed.set())
            self._tasks.append(task)

    async def _stand(self, transport: FullIceTransport, remote: sdp.Description, target: str) -> None:
        candidates = self._candidates[target]
        await self._until(lambda: candidates)
        remote.media[0].lines += [f"a={candidate}" for candidate in candidates]
        await self._connect(transport, remote)


def early(message: bytes) -> Json:
    """Of a message in protobuf, which the server speaks until it has heard us, what we need (livekit_rtc.proto,
    SignalResponse): an offer, or a candidate of the same connection."""
    ((kind, body),) = fields(message).items()
    content = fields(body)
    if kind == 3:
        return {"offer": {"type": "offer", "sdp": content[2].decode()}}
    if kind == 4:
        return {
            "trickle": {"candidateInit": content[1].decode(), "target": "SUBSCRIBER" if 2 in content else "PUBLISHER"}
        }
    return {}


def fields(message: bytes) -> dict[int, bytes]:
    """Length-delimited fields of a protobuf message by number, the last of each; numbers as one byte of truth."""
    found: dict[int, bytes] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte, at = message[at], at + 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 2:
            size = varint()
            found[key >> 3], at = message[at : at + size], at + size
        else:
            found[key >> 3] = bytes((bool(varint()),))
    return found


def token(secret: str) -> str:
    """A participant's access token (a JWT with HS256), each with an identity of its own."""
    grant = {"roomJoin": True, "room": ROOM}
    claims = {"iss": KEY, "sub": secrets.token_hex(4), "exp": round(time.time()) + TOKEN_S, "video": grant}
    signed = b".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (signed + b"." + _base64(hmac.digest(secret.encode(), signed, hashlib.sha256))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@asynccontextmanager
async def livekit(folder: Path) -> AsyncIterator[tuple[int, str, str]]:
    """Run LiveKit; its process id, its URL and the secret of its tokens. Raises RuntimeError if it is not built."""
    if not PROGRAM.exists():
        raise RuntimeError("LiveKit is not built: make bench-livekit (needs Go)")
    port, secret = free_port(), secrets.token_hex(20)
    configuration = folder / "livekit.yaml"
    configuration.touch(0o600)
    configuration.write_text(CONFIGURATION.format(port=port, key=KEY, secret=secret))
    with (folder / "livekit.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "--config", configuration),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await _answering(url, process)
        yield process.pid, url, secret
    except BaseException:
        print((folder / "livekit.log").read_text(errors="replace")[-3000:])
        raise
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _answering(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url):
                    return
            except aiohttp.ClientConnectionError:
                if process.returncode is not None:
                    raise RuntimeError(f"livekit-server ended with {process.returncode}") from None
                await asyncio.sleep(0.1)
