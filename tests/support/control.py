"""The control plane in this process: real HTTP, catalog and folder store; media and journals are fakes.

`async with start_control(folder) as control`. Both listeners are on free ports of 127.0.0.1.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

import signaling.app
import signaling.operators
from recorder.live_files import LiveFiles
from signaling.clock import NodeClock
from signaling.live_api import LiveDesk
from signaling.settings import HttpSettings, SessionSettings
from signaling.studio import WEB_FOLDER, Studio, StudioSettings
from storage.catalog import Catalog
from storage.database import Database, sqlite_url
from storage.folder import FolderStore
from storage.objects import ObjectStore
from tests.support.fake_sfu import FakePeer, FakeSfu
from tests.support.fake_spool import FakeSpool

Json = dict[str, Any]
WAIT_S = 5.0
SECRET = b"s" * 32


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes, json: Any) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.json = json

    def problem(self) -> str:
        """The problem's id; holds its shape."""
        assert self.headers["Content-Type"] == "application/problem+json"
        assert {"type", "title", "status", "detail", "id"} <= set(self.json)
        assert self.json["status"] == self.status
        assert self.json["type"] == f"urn:stemroom:error:{self.json['id']}"
        id: str = self.json["id"]
        return id


class Page:
    """One WebSocket of a participant."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.seen: list[Json] = []

    async def send(self, **message: Any) -> None:
        await self.socket.send_json(message)

    async def next(self) -> Json:
        message: Json = await self.socket.receive_json(timeout=WAIT_S)
        self.seen.append(message)
        return message

    async def expect(self, type: str) -> Json:
        """The next message of this type; others before it are passed over."""
        while (message := await self.next())["type"] != type:
            pass
        return message

    async def close_code(self) -> int:
        """Read until the server closes."""
        while True:
            message = await self.socket.receive(timeout=WAIT_S)
            if message.type is not aiohttp.WSMsgType.TEXT:
                assert self.socket.close_code is not None
                return self.socket.close_code
            self.seen.append(message.json())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()


class Control:
    def __init__(self, studio: Studio, sfu: FakeSfu, spool: FakeSpool, http: aiohttp.ClientSession) -> None:
        self.studio = studio
        self.sfu = sfu
        self.spool = spool
        self.http = http
        self.url = ""
        self.operators_url = ""

    async def call(self, method: str, path: str, body: Any = None, token: str = "", **options: Any) -> Answer:
        url = path if "://" in path else self.url + path
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        options |= {} if body is None else {"json": body}
        async with self.http.request(method, url, headers=headers, allow_redirects=False, **options) as answer:
            content = await answer.read()
            is_json = "json" in answer.headers.get("Content-Type", "")
            return Answer(
                answer.status, answer.headers, content, await answer.json(content_type=None) if is_json else None
            )

    async def create(self, **fields: Any) -> Json:
        answer = await self.call("POST", "/api/v1/sessions/create", {"title": "A test"} | fields)
        assert answer.status == 201, answer.json
        created: Json = answer.json
        return created

    async def join(self, session: Json, name: str = "Ada", *, host: bool = False) -> Json:
        body = {"display_name": name} | ({"host_secret": session["host_secret"]} if host else {})
        answer = await self.call("POST", f"/api/v1/sessions/{session['session_id']}/join", body)
        assert answer.status == 201, answer.json
        joined: Json = answer.json
        return joined

    async def open_page(self, joined: Json, **options: Any) -> Page:
        """A connection that has not said hello."""
        return Page(await self.http.ws_connect(joined["ws_url"].replace("ws://", "http://"), **options))

    async def enter(self, joined: Json, *, resume: bool = False) -> Page:
        """A connection that was welcomed; `welcome` is `page.seen[0]`."""
        page = await self.open_page(joined)
        await page.send(type="hello", token=joined["token"], resume=resume)
        assert (await page.next())["type"] == "welcome"
        return page

    async def arrive(self, session: Json, name: str = "Ada", *, host: bool = False) -> tuple[Page, Json]:
        joined = await self.join(session, name, host=host)
        return await self.enter(joined), joined

    async def record(self, session: Json) -> Json:
        answer = await self.call(
            "POST", f"/api/v1/sessions/{session['session_id']}/recordings", token=session["host_secret"]
        )
        assert answer.status == 201, answer.json
        recording: Json = answer.json
        return recording

    async def stop(self, session: Json, recording: Json) -> Json:
        path = f"/api/v1/sessions/{session['session_id']}/recordings/{recording['recording_id']}/stop"
        answer = await self.call("POST", path, token=session["host_secret"])
        assert answer.status == 200, answer.json
        stopped: Json = answer.json
        return stopped

    def peer(self, session: Json, joined: Json) -> FakePeer:
        return self.sfu.rooms[session["session_id"]].peers[joined["participant_id"]]


@asynccontextmanager
async def start_control(
    folder: Path,
    *,
    session: SessionSettings | None = None,
    http: HttpSettings | None = None,
    web_folder: Path | None = None,
    store: ObjectStore | None = None,
    clock: NodeClock | None = None,
) -> AsyncIterator[Control]:
    """Starting again with the same folder continues with its data."""
    database = Database(sqlite_url(folder / "stemroom.sqlite"))
    await database.migrate()
    store = store or FolderStore(folder / "objects", secret=SECRET)
    await store.start()
    sfu, spool = FakeSfu(), FakeSpool(folder / "spool")
    studio = Studio(
        catalog=Catalog(database),
        store=store,
        sfu=sfu,
        spool_writer=spool,
        live=LiveDesk(LiveFiles(folder / "spool", folder / "work"), SECRET),
        settings=StudioSettings(http=http or HttpSettings(), session=session or SessionSettings()),
        clock=clock or NodeClock(),
        web_folder=web_folder or WEB_FOLDER,
    )
    await studio.start()
    runners = []
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
            control = Control(studio, sfu, spool, client)
            for application in (signaling.app.build(studio), signaling.operators.build(studio)):
                runner = web.AppRunner(application, access_log=None, shutdown_timeout=WAIT_S)
                await runner.setup()
                runners.append(runner)
                await web.TCPSite(runner, "127.0.0.1", 0).start()
            control.url, control.operators_url = (f"http://127.0.0.1:{r.addresses[0][1]}" for r in runners)
            yield control
    finally:
        for runner in runners:
            await runner.cleanup()
        await studio.close()
        await store.close()
        await database.close()
