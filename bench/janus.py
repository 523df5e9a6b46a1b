"""Janus VideoRoom as the other forwarding unit of a comparison: its process, its HTTP API, its participants.

It runs as Debian packages it (`apt-get install janus`), with loopback as its only address and nothing but the
VideoRoom; a participant has one connection to publish and one to subscribe, as in Stemroom.
"""

import asyncio
import secrets
import shutil
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp

from bench.full_ice import FullIcePeer, FullIceTransport, outgoing
from bench.process import free_port
from tests.support import sdp
from tests.support.raw_peer import RtpSender
from tests.support.raw_transport import PacketListener

ROOM = 1
WAIT_S = 10.0
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


class JanusPeer(FullIcePeer):
    """A participant; what `bench.participant` asks of one."""

    def __init__(self, url: str, listener: PacketListener) -> None:
        super().__init__(listener)
        self._url = url
        self._feed = 0
        """Our id among those who publish."""

    async def publish(self, *kinds: str) -> list[RtpSender]:
        session, transport = await Session.open(self._http, self._url), FullIceTransport("controlling")
        lines = [outgoing(str(mid), kind) for mid, kind in enumerate(kinds)]
        offer = sdp.offer(transport.credentials, lines).replace("a=setup:actpass", "a=setup:active")
        joined = await session.ask({"request": "join", "ptype": "publisher", "room": ROOM})
        self._feed = joined["plugindata"]["data"]["id"]
        answered = await session.ask({"request": "publish"}, {"type": "offer", "sdp": transport.described(offer)})
        answer = sdp.Description.parse(answered["jsep"]["sdp"])
        self._publishes(transport, lines, answer)
        await self._stand(session, transport, answer)
        return self._senders

    async def takes(self, tracks: int) -> None:
        """Subscribe to everybody else who publishes now. Raises RuntimeError if those are not `tracks` tracks."""
        session, transport = await Session.open(self._http, self._url), FullIceTransport("controlled")
        everybody = await session.ask({"request": "listparticipants", "room": ROOM})
        feeds = [one["id"] for one in everybody["plugindata"]["data"]["participants"] if one["publisher"]]
        streams = [{"feed": feed} for feed in feeds if feed != self._feed]
        attached = await session.ask({"request": "join", "ptype": "subscriber", "room": ROOM, "streams": streams})
        offer = sdp.Description.parse(attached["jsep"]["sdp"])
        self._subscribes(transport, offer)
        answer = {"type": "answer", "sdp": transport.described(sdp.answer(transport.credentials, offer))}
        await session.ask({"request": "start"}, answer)
        if len(offer.media) != tracks:
            raise RuntimeError(f"Janus offers {len(offer.media)} tracks, not {tracks}")
        await self._stand(session, transport, offer)

    async def _stand(self, session: Session, transport: FullIceTransport, remote: sdp.Description) -> None:
        await session.no_more_candidates()
        await self._connect(transport, remote)
        self._tasks.append(asyncio.create_task(session.keep()))


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
    port = free_port()
    others = {"folder": folder, "port": port, "other_plugins": _all_but("plugins", "videoroom")}
    others["other_transports"] = _all_but("transports", "http")
    for name, text in CONFIGURATION.items():
        (folder / name).write_text(text.format(**others))
    with (folder / "janus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(program, "-F", folder, "-C", folder / "janus.jcfg"),
            env={"LD_PRELOAD": str(shim)},
            cwd=folder,  # where it leaves a core, if it crashes
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


def _all_but(kind: str, wanted: str) -> str:
    folder = Path("/usr/lib") / sysconfig.get_config_var("MULTIARCH") / "janus" / kind
    return ",".join(file.name for file in folder.glob("*.so") if wanted not in file.name)
