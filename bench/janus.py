"""Janus VideoRoom as the other forwarding unit of a comparison: its process, its HTTP API, its participants.

It runs as Debian packages it (`apt-get install janus`), with loopback as its only address and nothing but the
VideoRoom; a participant has one connection to publish and one to subscribe, as in Stemroom.
"""

import asyncio
import secrets
import shutil
import socket
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
from aioice import stun

from tests.support import sdp
from tests.support.raw_peer import RtpSender, receiver_report
from tests.support.raw_transport import PacketListener, RawTransport

ROOM = 1
WAIT_S = 10.0
REPORT_S = 1.0
SHIM = Path(__file__).parent / "loopback.c"
CONFIGURATION = {
    "janus.jcfg": """
general: {{ configs_folder = "{folder}", debug_level = 2, debug_colors = false }}
certificates: {{ }}
media: {{ ipv6 = false }}
nat: {{ ice_enforce_list = "lo,127.0.0.1", keep_private_host = true }}
plugins: {{ disable = "{other_plugins}" }}
transports: {{ disable = "{other_transports}" }}
loggers: {{ broadcast = false }}
events: {{ broadcast = false }}
""",
    "janus.transport.http.jcfg": """
general: {{ json = "compact", base_path = "/janus", http = true, port = {port}, ip = "127.0.0.1", https = false }}
admin: {{ admin_http = false }}
""",
    "janus.plugin.videoroom.jcfg": "general: {{ }}\n",
}


class Session:
    """One session and its VideoRoom handle over the HTTP API; closed with `http`."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str) -> Self:
        session = cls(http, url)
        for request in ({"janus": "create"}, {"janus": "attach", "plugin": "janus.plugin.videoroom"}):
            answer = await session._post(request)
            session._url += f"/{answer['data']['id']}"
        return session

    async def ask(self, body: dict[str, Any], jsep: dict[str, str] | None = None) -> dict[str, Any]:
        """A message to the plugin; its event. Raises RuntimeError with the plugin's words."""
        answer = await self._post({"janus": "message", "body": body} | ({"jsep": jsep} if jsep else {}))
        async with asyncio.timeout(WAIT_S):
            while "plugindata" not in answer or answer["janus"] == "ack":
                answer = await self._event()
        if "error" in answer["plugindata"]["data"]:
            raise RuntimeError(f"Janus refused {body}: {answer['plugindata']['data']}")
        return answer

    async def no_more_candidates(self) -> None:
        await self._post({"janus": "trickle", "candidate": {"completed": True}})

    async def keep(self) -> None:
        """Take events for ever: sessions that nobody polls are ended."""
        while True:
            await self._event()

    async def _event(self) -> dict[str, Any]:
        async with self._http.get(self._url.rpartition("/")[0]) as response:
            event: dict[str, Any] = await response.json()
            return event

    async def _post(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._http.post(self._url, json=request | {"transaction": secrets.token_hex(6)}) as response:
            answer: dict[str, Any] = await response.json()
        if answer["janus"] == "error":
            raise RuntimeError(f"Janus refused {request}: {answer['error']}")
        return answer


class Transport(RawTransport):
    """Janus does full ICE: it wants a candidate, and its own checks answered; who offers controls."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role
        self.socket.bind(("127.0.0.1", 0))

    def described(self, description: str) -> str:
        """A description with this transport's candidate, in every m-line."""
        host, port = self.socket.getsockname()
        candidate = f"a=candidate:1 1 udp 2130706431 {host} {port} typ host"
        return description.replace("a=setup:", f"{candidate}\r\na=setup:")

    def _take_stun(self, datagram: bytes) -> None:
        request = stun.parse_message(datagram)
        if request.message_class != stun.Class.REQUEST:
            super()._take_stun(datagram)
            return
        response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = self.socket.getpeername()
        response.add_message_integrity(self.credentials.password.encode())
        response.add_fingerprint()
        self.send_datagram(bytes(response))


class JanusPeer:
    """A participant; what `bench.generator` asks of one."""

    def __init__(self, url: str, listener: PacketListener) -> None:
        self.subscribing: RawTransport | None = None
        self._url = url
        self._listener = listener
        self._http = aiohttp.ClientSession()
        self._tasks: list[asyncio.Task[None]] = []
        self._transports: list[RawTransport] = []
        self._senders: list[RtpSender] = []

    async def publish(self, *kinds: str) -> list[RtpSender]:
        session, transport = await Session.open(self._http, self._url), Transport("controlling")
        lines = [_line(str(mid), kind) for mid, kind in enumerate(kinds)]
        offer = sdp.offer(transport.credentials, lines).replace("a=setup:actpass", "a=setup:active")
        await session.ask({"request": "join", "ptype": "publisher", "room": ROOM})
        answered = await session.ask({"request": "publish"}, {"type": "offer", "sdp": transport.described(offer)})
        answer = sdp.Description.parse(answered["jsep"]["sdp"])
        await self._connect(session, transport, answer)
        for line, media in zip(lines, answer.media, strict=True):
            ids = media.extension(sdp.MID), media.extension(sdp.TRANSPORT_CC)
            self._senders.append(RtpSender(transport, line, *ids))
        return self._senders

    async def takes(self, tracks: int) -> None:
        """Subscribe to everybody who publishes now. Raises RuntimeError if those are not `tracks` tracks."""
        session, transport = await Session.open(self._http, self._url), Transport("controlled")
        everybody = await session.ask({"request": "listparticipants", "room": ROOM})
        feeds = [one["id"] for one in everybody["plugindata"]["data"]["participants"] if one["publisher"]]
        streams = [{"feed": feed} for feed in feeds]
        attached = await session.ask({"request": "join", "ptype": "subscriber", "room": ROOM, "streams": streams})
        offer = sdp.Description.parse(attached["jsep"]["sdp"])
        transport.listener = self._listener
        answer = {"type": "answer", "sdp": transport.described(sdp.answer(transport.credentials, offer))}
        await session.ask({"request": "start"}, answer)
        if len(offer.media) != tracks:
            raise RuntimeError(f"Janus offers {len(offer.media)} tracks, not {tracks}")
        self.subscribing = transport
        await self._connect(session, transport, offer)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in self._transports:
            await transport.close()
        await self._http.close()

    async def _connect(self, session: Session, transport: RawTransport, remote: sdp.Description) -> None:
        self._transports.append(transport)
        await session.no_more_candidates()
        await transport.connect(remote)
        self._tasks += [asyncio.create_task(session.keep()), asyncio.create_task(self._report(transport))]

    async def _report(self, transport: RawTransport) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            for sender in self._senders:
                if sender.transport is transport and sender.packets:
                    transport.send_rtcp(sender.report())
            if transport.streams:
                transport.send_rtcp(receiver_report(list(transport.streams.values())[:31]))


@asynccontextmanager
async def janus(folder: Path, publishers: int) -> AsyncIterator[tuple[int, str]]:
    """Run Janus with one room; its process id and the URL of its API. Raises RuntimeError if it is not installed."""
    program, compiler = shutil.which("janus"), shutil.which("gcc")
    if program is None or compiler is None:
        raise RuntimeError("janus or gcc is not installed: apt-get install janus gcc")
    shim = folder / "loopback.so"
    built = await asyncio.create_subprocess_exec(compiler, "-shared", "-fPIC", "-o", shim, SHIM, "-ldl")
    if await built.wait():
        raise RuntimeError(f"{SHIM.name} could not be compiled")
    port = _free_port()
    others = {"folder": folder, "port": port, "other_plugins": _all_but("plugins", "videoroom")}
    others["other_transports"] = _all_but("transports", "http")
    for name, text in CONFIGURATION.items():
        (folder / name).write_text(text.format(**others))
    with (folder / "janus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(program, "-F", folder, "-C", folder / "janus.jcfg"),
            env={"LD_PRELOAD": str(shim)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}/janus"
        async with aiohttp.ClientSession() as http:
            session = await _answering(http, url, process)
            await session.ask({"request": "create", "room": ROOM, "publishers": publishers, "videocodec": "vp8"})
        yield process.pid, url
    except BaseException:
        print((folder / "janus.log").read_text(errors="replace")[-3000:])
        raise
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _answering(http: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process) -> Session:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await Session.open(http, url)
            except aiohttp.ClientConnectionError:
                if process.returncode is not None:
                    raise RuntimeError(f"janus ended with {process.returncode}") from None
                await asyncio.sleep(0.1)


def _line(mid: str, kind: str) -> sdp.Outgoing:
    ssrc = secrets.randbits(30) + 1
    if kind == "microphone":
        return sdp.Outgoing(mid, "audio", "opus", ssrc)
    return sdp.Outgoing(mid, "video", "VP8", ssrc, ssrc ^ 0x4000_0000)


def _all_but(kind: str, wanted: str) -> str:
    folder = Path("/usr/lib") / sysconfig.get_config_var("MULTIARCH") / "janus" / kind
    return ",".join(file.name for file in folder.glob("*.so") if wanted not in file.name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
