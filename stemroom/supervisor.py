"""Keeps the recorder process running: one child at a time, started again when it dies, ended with this process.

The child gets its settings as one line of JSON on standard input and takes the end of standard input as the death of
its parent, so it never outlives the node, however the node ends. It has a process group of its own: an interrupt
typed at the terminal reaches the node alone, which then ends the child in order.

Whatever the child writes on standard output is a sign of life, and each line of it is handed on. One that is silent is
an alarm, but it is not killed: a disk that hangs would hold the next one as well, and what it has done so far would be
lost.
"""

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence

import structlog

log = structlog.get_logger()

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 15.0
"""While it dies at once, again and again: its start costs about a second of CPU."""

SHORT_LIFE_S = 2.0
"""A child that lived longer counts as having worked: the next start is quick again (it is back within 2 s)."""

END_S = 10.0
"""How long the child may take to end after its standard input was closed."""

TERMINATE_S = 3.0

SILENT_S = 2.0
"""Without a sign of life for so long it hangs; it gives two a second."""

START_S = 10.0
"""The first sign may take so long: its start takes two seconds."""

LINE_BYTES = 4096
"""Of longer lines only the end is handed on, and is nothing that anybody understands."""


class Backoff:
    """How long to wait before the next start."""

    def __init__(self) -> None:
        self._short_lives = 0

    def delay_s(self, lived_s: float) -> float:
        """The child lived `lived_s` seconds; doubles with each short life in a row."""
        if lived_s >= SHORT_LIFE_S:
            self._short_lives = 0
        delay = FIRST_DELAY_S * 2.0 ** min(self._short_lives, 16)
        self._short_lives += 1
        return min(delay, LONGEST_DELAY_S)


class Supervisor:
    """Runs `command` for ever. Owns the child; `close` ends it."""

    def __init__(self, name: str, command: Sequence[str], settings_json: bytes, hear: Callable[[bytes], None]) -> None:
        """`hear` is called with each line of the child's standard output; it must not raise."""
        self.name = name
        self.starts = 0
        self.pid: int | None = None
        """None while it is not running."""
        self.silent = False
        """It runs, but has given no sign of life for SILENT_S."""
        self.heard = False
        """It has given one since it was started."""
        self._command = tuple(command)
        self._hear = hear
        self._line = settings_json.replace(b"\n", b" ") + b"\n"
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def alarm(self) -> str:
        """What is wrong with the child, for people; empty: nothing."""
        if self.pid is None and not self._closing.is_set():
            return f"the {self.name} process does not run"
        if self.starts > 1 and self.pid is not None and not self.heard:
            return f"the {self.name} process was started again and does not answer yet"
        return f"the {self.name} process does not answer" if self.silent else ""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"supervise {self.name}")

    async def close(self) -> None:
        """End the child: by closing its standard input, then SIGTERM, then SIGKILL."""
        self._closing.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        backoff = Backoff()
        while not self._closing.is_set():
            started = time.monotonic()
            try:
                await self._one_life()
            except OSError as error:
                log.error(f"{self.name}_not_started", reason=str(error))
            if self._closing.is_set():
                return
            delay_s = backoff.delay_s(time.monotonic() - started)
            try:
                await asyncio.wait_for(self._closing.wait(), delay_s)
            except TimeoutError:
                pass

    async def _one_life(self) -> None:
        child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        self.pid = child.pid
        self.starts += 1
        log.info(f"{self.name}_started", pid=child.pid, starts=self.starts)
        ended = asyncio.create_task(child.wait())
        closing = asyncio.create_task(self._closing.wait())
        listening = asyncio.create_task(self._listen(child.stdout, child.pid))
        try:
            child.stdin.write(self._line)
            await asyncio.wait((ended, closing), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._end(child, ended)
        finally:
            closing.cancel()
            listening.cancel()
            await asyncio.wait((listening,))
            child.stdin.close()
            self.pid, self.silent, self.heard = None, False, False
        level = log.info if self._closing.is_set() else log.error
        level(f"{self.name}_ended", pid=child.pid, exit_code=child.returncode)

    async def _listen(self, signs: asyncio.StreamReader, pid: int) -> None:
        """Until the child closes its standard output."""
        rest = b""
        while True:
            wait_s = SILENT_S if self.heard else START_S
            try:
                async with asyncio.timeout(wait_s):
                    sign = await signs.read(LINE_BYTES)
            except TimeoutError:
                if not self.silent:
                    self.silent = True
                    log.error(f"{self.name}_silent", pid=pid, silent_s=wait_s)
                continue
            if not sign:
                return
            self.heard = True
            if self.silent:
                self.silent = False
                log.info(f"{self.name}_heard_again", pid=pid)
            *lines, rest = (rest + sign).split(b"\n")
            rest = rest[-LINE_BYTES:]
            for line in lines:
                self._hear(line)

    async def _end(self, child: Process, ended: "asyncio.Task[int]") -> None:
        assert child.stdin is not None
        child.stdin.close()
        for patience_s, then in ((END_S, child.terminate), (TERMINATE_S, child.kill)):
            await asyncio.wait((ended,), timeout=patience_s)
            if ended.done():
                return
            log.warning(f"{self.name}_does_not_end", pid=child.pid, waited_s=patience_s)
            then()
        await ended
