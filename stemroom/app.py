"""The composition root: opens every part, hands each what it needs, and closes them in the opposite order.

Order of opening: data folder lock, database (migrated), object store, recorder process, spool writer, media plane,
studio, the watch of the disk's space, the two listeners. So on the way down nobody new comes in first, then rooms and
their media end, then journals get their end records, and the recorder process, the store and the database go last.
"""

import asyncio
import gc
import os
import resource
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import msgspec
import structlog
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

import signaling.app
import signaling.operators
from recorder.live_files import LiveFiles
from recorder.settings import RecorderConfig
from recorder.space_watch import SpaceReport, SpaceWatch
from recorder.writer import SpoolWriter
from sfu.engine import Sfu
from signaling.clock import NodeClock
from signaling.live_api import LiveDesk
from signaling.recorder_watch import RecorderWatch
from signaling.settings import HttpSettings
from signaling.studio import Studio, StudioSettings
from stemroom import __version__
from stemroom.config import Config
from stemroom.data_folder import claim
from stemroom.supervisor import Supervisor
from storage import open_store
from storage.catalog import Catalog
from storage.database import MigrationError, open_database
from storage.folder_lock import FolderInUse
from storage.objects import ObjectStoreError
from storage.signing import load_secret

log = structlog.get_logger()

KEEPALIVE_S = 15
"""A connection that asks for nothing is closed after so long: also one that never sends its first request whole."""
SWITCH_S = 0.0005
"""For how long a thread may keep the interpreter while another one wants it; media waits meanwhile. Of the default
of 5 ms the writer of journals used all."""

REQUESTS_END_S = 5.0
"""How long requests that are being answered may take when the program ends; WebSockets are closed before."""


class StartError(Exception):
    """The program cannot start; the message is for the operator."""


async def run(config: Config, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends the process at once.

    `announce` gets the lines a person wants to see: where to open the studio and where files will be.
    Raises StartError; whatever was opened is closed again.
    """
    stop = _stop_signal()
    allow_open_files()
    async with AsyncExitStack() as stack:
        await _open_all(config, stack, announce)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


async def migrate_database(config: Config) -> str:
    """Bring the database to head; a line that says from where to where. Raises StartError."""
    data = Path(config.data.folder)
    with _opening("data folder"):
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _opening("database"):
        database = open_database(config.database, data)
        try:
            before = await database.current()
            await database.migrate()
            return f"database: {before or 'empty'} -> {database.head}"
        finally:
            await database.close()


def tls_context(http: HttpSettings) -> ssl.SSLContext | None:
    """None without TLS. Raises StartError."""
    if not http.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with _opening("http.tls_cert and http.tls_key"):
        context.load_cert_chain(http.tls_cert, http.tls_key)
    return context


def allow_open_files() -> None:
    """As many open files as the system lets this user have: each connection and each track's journal is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        log.warning("open_files_limited", limit=soft, reason=str(error))


async def _open_all(config: Config, stack: AsyncExitStack, announce: Callable[[str], None]) -> None:
    data = Path(config.data.folder)
    tls = tls_context(config.http)
    with _opening("data folder"):
        stack.enter_context(claim(data))
    with _opening("database"):
        database = open_database(config.database, data)
        stack.push_async_callback(database.close)
        await database.migrate()
    with _opening("object store"):
        secret = load_secret(data / "secret")
        store = open_store(config.object_store, data)
        stack.push_async_callback(store.close)
        await store.start()

    watch = RecorderWatch()
    recorder = Supervisor(
        "recorder",
        [sys.executable, "-m", "recorder"],
        _recorder_config(config),
        lambda line: watch.hear(line, time.monotonic()),
    )
    stack.push_async_callback(recorder.close)
    recorder.start()
    spool = SpoolWriter(data / "spool", config.recorder)
    stack.callback(spool.close)
    with _opening("spool"):
        spool.start()
    sfu = Sfu(config.media)
    stack.push_async_callback(sfu.close)
    with _opening(f"media port {config.media.port}"):
        await sfu.start()
    studio = Studio(
        catalog=Catalog(database),
        store=store,
        sfu=sfu,
        spool_writer=spool,
        live=LiveDesk(LiveFiles(data / "spool", data / "work"), secret),
        settings=StudioSettings(
            http=config.http,
            operators=config.operators,
            session=config.session,
            media=config.media,
            object_store=config.object_store,
            turn=config.turn,
        ),
        clock=NodeClock(),
        recorder_alarm=lambda: recorder.alarm,
        recorder=watch,
    )
    stack.push_async_callback(studio.close)
    await studio.start()
    _watch_space(SpaceWatch(data, config.recorder, lambda: spool.refusals), studio, stack)

    url = await _listen(stack, signaling.app.build(studio), config.http.host, config.http.port, tls)
    operators = config.operators
    operators_url = await _listen(stack, signaling.operators.build(studio), operators.host, operators.port, None)
    url = config.http.public_url or url
    files = "s3 bucket " + config.object_store.s3.bucket if config.object_store.kind == "s3" else str(data / "objects")
    # The event loop wants the interpreter back from a thread (the spool's writer) sooner than after 5 ms: media waits.
    sys.setswitchinterval(SWITCH_S)
    # What is loaded by now lives as long as the process; a full collection then stops the media for 3 ms, not 130.
    gc.collect()
    gc.freeze()
    log.info("serving", url=url, operators_url=operators_url, media_port=sfu.port, data=str(data), version=__version__)
    announce(f"Stemroom {__version__}")
    announce(f"  open       {url}")
    announce(f"  operators  {operators_url}")
    announce(f"  media      UDP{' and TCP' if config.media.tcp else ''} port {sfu.port}")
    announce(f"  files      {files}")


def _watch_space(watch: SpaceWatch, studio: Studio, stack: AsyncExitStack) -> None:
    """The studio knows the state before anybody can ask for a recording."""
    loop = asyncio.get_running_loop()

    def seen(report: SpaceReport) -> None:
        loop.call_soon_threadsafe(studio.space.seen, report)

    studio.space.seen(watch.look())
    stack.callback(watch.close)
    watch.start(seen)


async def _listen(
    stack: AsyncExitStack, application: web.Application, host: str, port: int, tls: ssl.SSLContext | None
) -> str:
    """Start a listener; the URL under which this machine reaches it. No access log: URLs may carry signatures."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=REQUESTS_END_S, keepalive_timeout=KEEPALIVE_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    with _opening(f"address {host}, port {port}"):
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    port = runner.addresses[0][1]
    shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def _recorder_config(config: Config) -> bytes:
    return msgspec.json.encode(
        RecorderConfig(
            data=config.data.folder,
            log_level=config.log.level,
            recorder=config.recorder,
            database=config.database,
            object_store=config.object_store,
        )
    )


@contextmanager
def _opening(what: str) -> Iterator[None]:
    """What goes wrong while opening is the operator's to mend: said in one line."""
    try:
        yield
    except (OSError, ValueError, SQLAlchemyError, MigrationError, ObjectStoreError, FolderInUse) as error:
        raise StartError(f"{what}: {error}") from error


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()

    def received() -> None:
        if stop.is_set():
            os._exit(1)  # journals are made to be cut off anywhere
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received)
    return stop
