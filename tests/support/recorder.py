"""The real recorder process without a node: its data folder, its catalog, and its log as a way to wait for it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from recorder.settings import RecorderConfig, RecorderSettings
from storage import open_store
from storage.catalog import Catalog
from storage.database import open_database
from storage.models import Participant, Recording, Session
from storage.objects import ObjectStore
from storage.settings import DatabaseSettings, ObjectStoreSettings
from tests.support.journals import RECORDING, SESSION

PARTICIPANT = "par_aaaaaaaaaaaaaaaa"
PATIENCE_S = 30.0


class Data:
    """A data folder with one session, one participant and one recording in its catalog."""

    def __init__(self, folder: Path, catalog: Catalog, store: ObjectStore) -> None:
        self.folder = folder
        self.catalog = catalog
        self.store = store

    @property
    def spool(self) -> Path:
        """Of the recording."""
        return self.folder / "spool" / RECORDING

    @property
    def work(self) -> Path:
        return self.folder / "work" / RECORDING

    async def read(self, key: str) -> bytes:
        return b"".join([piece async for piece in self.store.get(key)])


@asynccontextmanager
async def open_data(folder: Path, objects: ObjectStoreSettings | None = None) -> AsyncIterator[Data]:
    database = open_database(DatabaseSettings(), folder)
    await database.migrate()
    store = open_store(objects or ObjectStoreSettings(), folder)
    await store.start()
    catalog = Catalog(database)
    now = datetime.now(UTC)
    await catalog.create_session(
        Session(
            id=SESSION,
            title="A talk",
            host_secret_hash="",
            max_participants=4,
            created_at=now,
            clock_zero_wall_ns=0,
            clock_zero_monotonic_ns=0,
            clock_boot_id="boot",
        )
    )
    await catalog.add_participant(
        Participant(id=PARTICIPANT, session_id=SESSION, display_name="Ada", role="host", token_hash="", joined_at=now)
    )
    await catalog.create_recording(
        Recording(id=RECORDING, session_id=SESSION, state="recording", started_at=now, started_ns=0)
    )
    try:
        yield Data(folder, catalog, store)
    finally:
        await store.close()
        await database.close()


class RecorderProcess:
    """Read its log with `event`; it is killed at the end of the block if it still runs."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.log: list[dict[str, Any]] = []

    async def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """The first event of that name and those fields, past or to come."""
        async with asyncio.timeout(PATIENCE_S):
            at = 0
            while True:
                for entry in self.log[at:]:
                    if entry["event"] == name and fields.items() <= entry.items():
                        return entry
                at = len(self.log)
                assert self.child.stderr is not None
                line = await self.child.stderr.readline()
                assert line, f"the recorder ended without {name}: {self.log}"
                self._take(line)

    async def kill(self) -> None:
        self.child.kill()
        await self.child.wait()

    async def ended(self) -> int:
        """Its exit code, and the rest of its log."""
        async with asyncio.timeout(PATIENCE_S):
            assert self.child.stderr is not None
            async for line in self.child.stderr:
                self._take(line)
            return await self.child.wait()

    def _take(self, line: bytes) -> None:
        self.log.append(json.loads(line) if line.startswith(b"{") else {"event": line.decode()})


@asynccontextmanager
async def recorder(
    data: Path,
    settings: RecorderSettings | None = None,
    objects: ObjectStoreSettings | None = None,
    program: Sequence[str] = ("-m", "recorder"),
) -> AsyncIterator[RecorderProcess]:
    """`program`: arguments of Python, in place of the recorder's own."""
    config = RecorderConfig(
        data=str(data),
        recorder=settings or RecorderSettings(),
        object_store=objects or ObjectStoreSettings(),
        log_level="debug",
    )
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, *program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    child.stdin.write(msgspec.json.encode(config) + b"\n")
    process = RecorderProcess(child)
    try:
        yield process
    finally:
        if child.returncode is None:
            await process.kill()
        child.stdin.close()
