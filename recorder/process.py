"""The recorder process: its settings on standard input, its work in the data folder.

It takes one line of JSON (`RecorderConfig`) from standard input and ends when that closes, that is when its parent is
gone, or on SIGTERM; it may be killed at any moment. At most one works on a spool: it holds a lock there. It takes
every decision from the journals alone. Files, rows and the log are what it gives; lines on standard output tell a
parent that looks how it is (`recorder.health`), twice a second, and nothing depends on them.
"""

import asyncio
import contextlib
import logging
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog

from recorder.delivery import Delivery, persistently
from recorder.follower import SpoolFollower
from recorder.health import beat
from recorder.orphans import abort_orphans
from recorder.settings import RecorderConfig
from recorder.spool_lock import claim_spool
from recorder.worker_threads import MAX_HUNG, WorkerThreads
from storage import open_store
from storage.catalog import Catalog
from storage.database import open_database
from storage.folder_lock import FolderInUse

log = structlog.get_logger()

TOO_MANY_HANG = 3
"""Exit code: MAX_HUNG threads are in calls that do not return."""

BEAT_S = 0.5
"""How often it says how it is."""

NICE = 10
"""Media is late after milliseconds and a file after seconds: where both want a core, the node has it."""


def main() -> int:
    """Exit code: 0 when asked to end, 1 when it cannot work, TOO_MANY_HANG when it is of no use any more."""
    try:
        config = msgspec.json.decode(sys.stdin.buffer.readline(), type=RecorderConfig)
    except msgspec.MsgspecError as error:
        sys.stderr.write(f"recorder: settings on standard input: {error}\n")
        return 1
    _configure_log(config.log_level)
    os.umask(0o077)
    os.nice(NICE)
    try:
        with claim_spool(Path(config.data) / "spool"):
            if asyncio.run(_work(config)):
                _end_at_once(0)
    except FolderInUse as error:
        log.error("spool_in_use", reason=str(error))
        return 1
    return 0


async def _work(config: RecorderConfig) -> int:
    """How many threads hang at its end."""
    data = Path(config.data)
    ended = await _end_signal()
    database = open_database(config.database, data)
    store = open_store(config.object_store, data)
    threads = WorkerThreads()
    follower = SpoolFollower(
        data / "spool", data / "work", Delivery(Catalog(database), store), config.recorder, threads
    )

    async def follow() -> None:
        await persistently("object_store_start", store.start)
        log.info("spool_followed", pid=os.getpid())
        async with asyncio.TaskGroup() as group:
            group.create_task(abort_orphans(store, data / "work"), name="abort orphans")
            group.create_task(follower.run(), name="follow spool")

    following = asyncio.create_task(follow(), name="work")
    waiting = asyncio.create_task(ended.wait(), name="wait for the end")
    living = asyncio.create_task(_tell(follower, threads), name="tell the parent")
    try:
        await asyncio.wait((following, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        following.cancel()
        await asyncio.wait((following, waiting))
        threads.shutdown(wait=not threads.hung)
        await store.close()
        await database.close()
        living.cancel()
    if not following.cancelled():
        following.result()
    return threads.hung


async def _tell(follower: SpoolFollower, threads: WorkerThreads) -> None:
    """For a parent that looks: muxing may hold the whole process. One that does not look holds up nothing."""
    full = False
    out = sys.stdout.fileno()
    while True:
        now_ns = time.monotonic_ns()
        for line in beat(follower.health(now_ns), follower.findings(now_ns)):
            with contextlib.suppress(OSError):  # the parent is gone: standard input says so
                if select.select((), (out,), (), 0)[1]:
                    os.write(out, line)
        if full:
            log.error("too_many_calls_hang", threads=threads.hung)
            _end_at_once(TOO_MANY_HANG)
        full = threads.hung >= MAX_HUNG  # which tracks these are is written down until the next beat
        await asyncio.sleep(BEAT_S)


def _end_at_once(code: int) -> NoReturn:
    """Threads that hang would be waited for for ever otherwise."""
    sys.stderr.flush()
    os._exit(code)


async def _end_signal() -> asyncio.Event:
    """Set when standard input closes or SIGTERM comes. An interrupt typed at a terminal is for the parent."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    await loop.connect_read_pipe(lambda: _EndOfInput(ended), sys.stdin)
    return ended


class _EndOfInput(asyncio.Protocol):
    """Whatever still comes is ignored."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()


def _configure_log(level: str) -> None:
    """As the node's: events on standard error, one a line; JSON unless a person is looking."""
    person = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if person else [structlog.processors.format_exc_info]),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if person
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
