"""The recorder process, looked at from outside: its log with times, and how far it has read the journals."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from bench import generated
from recorder.journal import SUFFIX
from storage.models import Participant
from tests.support.journals import SESSION
from tests.support.recorder import Data, RecorderProcess, open_data, recorder


class Followed:
    """A recorder process whose log is read, so that it never waits for us; with the time of each event."""

    def __init__(self, child: RecorderProcess) -> None:
        self.pid: int = child.child.pid
        self.events: list[tuple[float, str]] = []
        self.ended = False
        self._child = child
        self._grown = asyncio.Event()

    async def read_log(self) -> None:
        assert self._child.child.stderr is not None
        async for line in self._child.child.stderr:
            self._child._take(line)
            self.events.append((monotonic(), self._child.log[-1]["event"]))
            self._grown.set()

        self.ended = True
        self._grown.set()

    def check(self) -> None:
        """Raises RuntimeError when the process has ended."""
        if self.ended:
            raise RuntimeError(f"the recorder ended: {self._child.log[-3:]}")

    async def event(self, name: str) -> None:
        """Wait until it is in the log. Raises RuntimeError when the process ended without it."""
        while not self.times(name):
            self.check()
            self._grown.clear()
            await self._grown.wait()

    def times(self, name: str) -> list[float]:
        return [at_s for at_s, event in self.events if event == name]

    def unread_bytes(self, spool: Path) -> int:
        """Of the journals, by where its open files stand. What it has closed counts as unread."""
        places: dict[str, int] = {}
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed while we looked
                if (name := os.readlink(entry)).endswith(SUFFIX):
                    about = Path(f"/proc/{self.pid}/fdinfo/{entry.name}").read_text()
                    places[name] = int(about.split("pos:")[1].split()[0])
        return sum(path.stat().st_size - places.get(str(path), 0) for path in spool.glob(f"*{SUFFIX}"))


@asynccontextmanager
async def followed_recorder(people: int) -> AsyncIterator[tuple[Data, Followed]]:
    """A recorder with nothing to do yet, and a catalog that knows these people."""
    with tempfile.TemporaryDirectory(prefix="stemroom-record-") as folder:
        async with open_data(Path(folder).resolve()) as data:
            for participant_id in generated.participants(people):
                await data.catalog.add_participant(
                    Participant(
                        id=participant_id,
                        session_id=SESSION,
                        display_name="P",
                        role="guest",
                        token_hash="",
                        joined_at=datetime.now(UTC),
                    )
                )
            async with recorder(data.folder) as child:
                followed = Followed(child)
                reading = asyncio.create_task(followed.read_log())
                try:
                    yield data, followed
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
