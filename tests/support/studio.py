"""The real program as a subprocess: `async with start_studio(folder) as studio`.

It listens on free ports of 127.0.0.1, keeps its data in a folder of the test, and is told apart from other running
studios by nothing but its process id. Waiting is always for a line of its log.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.api import Api, Json

ROOT = Path(__file__).parents[2]
START_S = 30.0
STOP_S = 40.0

Overrides = Mapping[str, Any]
"""Tables of config.toml, such as `{"session": {"grace_s": 1.0}}`; laid over the defaults of `DEFAULTS`."""

DEFAULTS: dict[str, Any] = {
    "http": {"host": "127.0.0.1", "port": 0},
    "operators": {"port": 0},
    "media": {"port": 0, "advertise": ["127.0.0.1"]},
    "log": {"level": "debug"},
    # Whether a recording may begin is not to depend on how full this machine's disk is.
    "recorder": {"reserve_bytes": 0, "reserve_share": 0.0},
}


class Studio:
    """A running studio."""

    api: Api
    create_session: Callable[..., Awaitable[Json]]
    """As `api.create_session`."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.data = folder / "data"
        self.log: list[dict[str, Any]] = []
        """Its log so far; a line that is not JSON is `{"event": "raw", "text": line}`."""
        self.url = ""
        self.operators_url = ""
        self.media_port = 0
        self._grown = asyncio.Condition()
        assert process.stderr is not None
        self._reader = asyncio.create_task(self._read(process.stderr))

    @property
    def pid(self) -> int:
        return self.process.pid

    def recorder_pid(self) -> int:
        """Of the recorder process that was started last."""
        pid: int = self.events("recorder_started")[-1]["pid"]
        return pid

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == name]

    async def event(self, name: str, *, count: int = 1, timeout_s: float = START_S) -> dict[str, Any]:
        """Wait until `name` stands `count` times in the log; that line."""

        def seen() -> bool:
            return len(self.events(name)) >= count or self._reader.done()

        async with asyncio.timeout(timeout_s), self._grown:
            await self._grown.wait_for(seen)
        if len(self.events(name)) < count:
            raise AssertionError(f"the studio ended without {name}:\n{self.log_text()}")
        return self.events(name)[count - 1]

    def log_text(self, lines: int = 60) -> str:
        return "\n".join(json.dumps(line) for line in self.log[-lines:])

    async def operators(self, path: str) -> Any:
        """GET from the second listener: decoded JSON, or text."""
        async with self.api.http.get(self.operators_url + path) as reply:
            assert reply.status == 200, f"{path} gave {reply.status}"
            return await (reply.json() if reply.content_type == "application/json" else reply.text())

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(STOP_S):
            await self._reader
            return await self.process.wait()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        with (self.folder / "studio.log").open("ab") as file:
            async for line in stream:
                file.write(line)
                async with self._grown:
                    self.log.append(_decoded(line))
                    self._grown.notify_all()
        async with self._grown:
            self._grown.notify_all()

    async def _end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


@asynccontextmanager
async def start_studio(
    folder: Path, overrides: Overrides | None = None, under: Sequence[str] = ()
) -> AsyncIterator[Studio]:
    """Start it and wait until it serves; at the end stop it and hold that it ended in order and logged no exception.

    Starting again with the same folder continues with its data. A test that stopped or killed it is not held to an
    orderly end. `under`: a command that becomes the program whose command line follows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.toml"
    config.touch(0o600)
    config.write_text(_toml(_merged(DEFAULTS, overrides or {})))
    process = await asyncio.create_subprocess_exec(
        *(*under, sys.executable, "-m", "stemroom", "serve", "--config", str(config)),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    studio = Studio(process, folder)
    try:
        serving = await studio.event("serving")
        studio.url = serving["url"]
        studio.operators_url = serving["operators_url"]
        studio.media_port = serving["media_port"]
        await studio.event("recorder_started")
        async with Api(studio.url) as studio.api:
            studio.create_session = studio.api.create_session
            yield studio
        if process.returncode is None:
            exit_code = await studio.stop()
            assert exit_code == 0, f"it ended with {exit_code}:\n{studio.log_text()}"
            tracebacks = [line for line in studio.log if "exception" in line or line["event"] == "raw"]
            assert not tracebacks, "\n".join(str(line.get("exception", line)) for line in tracebacks)
    except BaseException:
        print(studio.log_text())
        raise
    finally:
        await studio._end()


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        decoded = json.loads(line)
    except ValueError:
        decoded = None
    if isinstance(decoded, dict) and isinstance(decoded.get("event"), str):
        return decoded
    return {"event": "raw", "text": line.decode(errors="replace").rstrip()}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merged(merged.get(key, {}), value) if isinstance(value, Mapping) else value
    return merged


def _toml(table: Mapping[str, Any], name: str = "") -> str:
    """A table of plain values and tables; JSON's strings, numbers and lists are TOML's."""
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    text = (f"[{name}]\n" if name else "") + "".join(f"{key} = {json.dumps(value)}\n" for key, value in plain.items())
    for key, value in table.items():
        if isinstance(value, Mapping):
            text += _toml(value, f"{name}.{key}".lstrip("."))
    return text
