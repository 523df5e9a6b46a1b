"""Facts for the catalog that come up where nothing may wait: written in order by one task, retried until they are in.

Guarantees: order is kept; a database that is away delays facts and loses none, up to MAX_WAITING; one that can never
be written (a broken constraint) is logged, counted and passed over, so it does not hold back the rest.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, StatementError

log = structlog.get_logger()

MAX_WAITING = 10_000
"""Facts kept while the database is away, a few MB. Overflow: the new one is refused and counted; the journal has it."""
RETRY_S = (0.1, 0.5, 2.0, 5.0)
"""Waits between attempts; the last one repeats."""

Write = Callable[[], Awaitable[object]]


class CatalogQueue:
    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._waiting: deque[tuple[str, Write, asyncio.Future[None]]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="catalog-queue")

    def add(self, what: str, write: Write) -> asyncio.Future[None]:
        """Queue `write`; the future ends when it was written, or is cancelled when it never will be."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= MAX_WAITING:
            self._counters["catalog_facts_refused"] += 1
            log.error("catalog_fact_refused", what=what, waiting=len(self._waiting))
            written.cancel()
        else:
            self._waiting.append((what, write, written))
            self._wake.set()
        return written

    async def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, for at most `timeout_s`."""
        self._closing = True
        self._wake.set()
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=timeout_s)
        if self._waiting:
            log.error("catalog_facts_abandoned", count=len(self._waiting))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            what, write, written = self._waiting[0]
            kept = await self._write(what, write)
            self._waiting.popleft()
            if written.done():
                continue
            if kept:
                written.set_result(None)
            else:
                written.cancel()

    async def _write(self, what: str, write: Write) -> bool:
        attempt = 0
        while True:
            try:
                await write()
                return True
            except (IntegrityError, ProgrammingError):
                log.exception("catalog_fact_impossible", what=what)
            except (DBAPIError, StatementError, OSError) as error:
                log.warning("catalog_fact_delayed", what=what, attempt=attempt, error=type(error).__name__)
                self._counters["catalog_retries"] += 1
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1
                continue
            except Exception:
                log.exception("catalog_fact_impossible", what=what)
            self._counters["catalog_facts_impossible"] += 1
            return False
