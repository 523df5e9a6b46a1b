"""One database, reached by short transactions only.

Guarantees: a `writing()` transaction holds the write lock from its first statement (SQLite: BEGIN IMMEDIATE), so it
never fails half-way because another process wrote; writers of this process queue in order of arrival, writers of
other processes are waited for up to BUSY_TIMEOUT_S; what was committed survives a power loss (WAL, synchronous=FULL).
`migrate()` may be called by several processes at once and any number of times.

It does not retry, and knows no table: see `storage.catalog`.
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

from storage.settings import DatabaseSettings

BUSY_TIMEOUT_S = 10.0
"""How long a writer waits for the writer of another process: a transaction takes milliseconds, so this is an alarm."""

POOL_SIZE = 5
"""Connections kept; with SQLite each is a thread. Readers beyond it wait, up to the pool's 30 s."""

CACHE_KIB = 256
"""Pages that each connection to SQLite keeps, instead of 2,000 KiB: what is asked for is little and mostly new, and the
system caches the file. Five full caches look like a leak for half an hour."""

MIGRATION_LOCK = 0x73746D72
"""Number of PostgreSQL's advisory lock for migrations ("stmr")."""


class MigrationError(Exception):
    """The schema could not be brought to head; the database is as it was before."""


def sqlite_url(path: Path) -> str:
    url = URL.create("sqlite+aiosqlite", database=str(path.absolute()))
    return url.render_as_string(hide_password=False)


def open_database(settings: DatabaseSettings, data: Path) -> "Database":
    """The configured database; by default `stemroom.sqlite` in the data folder, which must exist."""
    return Database(settings.url or sqlite_url(data / "stemroom.sqlite"))


class Database:
    def __init__(self, url: str) -> None:
        """Opens nothing yet.

        Args:
            url: SQLAlchemy URL with an async driver. SQLite must be a file: other processes share it.

        Raises:
            ValueError: for SQLite in memory.
        """
        self._url = make_url(url)
        self.dialect = self._url.get_backend_name()
        self.is_sqlite = self.dialect == "sqlite"
        if self.is_sqlite and self._url.database in (None, "", ":memory:"):
            raise ValueError("SQLite in memory cannot be shared between processes: name a file")
        self._engine = self._create_engine(pool_size=POOL_SIZE, max_overflow=0)
        self._readers = async_sessionmaker(self._engine, expire_on_commit=False)
        self._writers = async_sessionmaker(_immediate(self._engine), expire_on_commit=False)
        self._write_turn = asyncio.Lock() if self.is_sqlite else nullcontext()

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A snapshot; nothing written in it is kept."""
        async with self._readers() as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A transaction that commits at the end of the block and rolls back if the block raises.

        Do nothing but queries in the block: others wait.
        """
        async with self._write_turn, self._writers.begin() as session:
            yield session

    @property
    def head(self) -> str:
        """The revision this program needs."""
        revision = ScriptDirectory.from_config(alembic_config()).get_current_head()
        if revision is None:
            raise MigrationError("the program has no migrations")
        return revision

    async def current(self) -> str | None:
        """The revision the database has; None before the first `migrate`."""
        async with self._engine.connect() as connection:
            return await connection.run_sync(_revision)

    async def migrate(self) -> None:
        """Bring the schema to `head` in one transaction: all of it or nothing.

        Raises:
            MigrationError: the database is newer than this program, or a migration broke a foreign key.
        """
        if self.is_sqlite:
            await asyncio.to_thread(_use_write_ahead_log, Path(self._url.database or ""))
        engine = self._create_engine(foreign_keys=False, poolclass=NullPool)
        try:
            async with _immediate(engine).begin() as connection:
                await connection.run_sync(_upgrade)
        except CommandError as error:
            raise MigrationError(str(error)) from error
        finally:
            await engine.dispose()

    def _create_engine(self, *, foreign_keys: bool = True, **pool: Any) -> AsyncEngine:
        """Foreign keys are off only for migrations: SQLite alters a table by dropping and rebuilding it."""
        if not self.is_sqlite:
            return create_async_engine(self._url, **pool)
        engine = create_async_engine(self._url, connect_args={"timeout": BUSY_TIMEOUT_S}, **pool)

        @event.listens_for(engine.sync_engine, "connect")
        def set_up(connection: Any, record: object) -> None:
            connection.isolation_level = None  # the driver begins no transaction of its own, `begin` below does
            cursor = connection.cursor()
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            cursor.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Connection) -> None:
            immediate = connection.get_execution_options().get("stemroom_immediate", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

        return engine


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _immediate(engine: AsyncEngine) -> AsyncEngine:
    """The same engine and pool; its transactions take SQLite's write lock at once."""
    return engine.execution_options(stemroom_immediate=True)


def _use_write_ahead_log(path: Path) -> None:
    """A property of the file from then on.

    Two processes that switch a new file at once get SQLITE_BUSY without any waiting, hence the lock; it is on a file of
    its own because closing a descriptor of the database would drop SQLite's own locks of this process.
    """
    with Path(f"{path}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATION_LOCK})
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise MigrationError(f"the migration left a broken foreign key in table {broken[0]}")
