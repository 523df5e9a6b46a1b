"""SQLite shared by several processes: nobody meets a lock, nothing is lost, migrations happen once."""

import asyncio
import sqlite3
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from storage.catalog import Catalog
from storage.database import Database, MigrationError, alembic_config, open_database, sqlite_url
from storage.models import Base, Session
from storage.settings import DatabaseSettings

ROOT = Path(__file__).parents[2]

WRITER = """
import asyncio, sys
from pathlib import Path
from datetime import UTC, datetime
from storage.catalog import Catalog
from storage.database import Database, sqlite_url
from storage.models import Recording

async def main(path, name, count):
    database = Database(sqlite_url(Path(path)))
    await database.migrate()
    catalog = Catalog(database)
    print("ready", flush=True)
    sys.stdin.readline()

    async def write(number):
        id = f"{name}{number}"
        row = Recording(id=id, session_id="s_1", state="recording", started_at=datetime.now(UTC), started_ns=number)
        await catalog.create_recording(row)
        assert await catalog.stop_recording(id, number + 1)
        assert (await catalog.recording(id)).state == "finishing"

    await asyncio.gather(*(write(number) for number in range(count)))
    await database.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stemroom.sqlite"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    made = Database(sqlite_url(path))
    yield made
    await made.close()


def new_session(id: str) -> Session:
    return Session(
        id=id,
        title="t",
        host_secret_hash="h",
        max_participants=2,
        created_at=datetime.now(UTC),
        clock_zero_wall_ns=0,
        clock_zero_monotonic_ns=0,
        clock_boot_id="b",
    )


async def writer(path: Path, name: str, count: int) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), name, str(count), cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe
    )


async def test_processes_that_migrate_and_write_at_once_lose_nothing(database: Database, path: Path) -> None:
    processes = [await writer(path, name, 60) for name in "abc"]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n", (await process.communicate())[1].decode()
    catalog = Catalog(database)
    await catalog.create_session(new_session("s_1"))
    for _, errors in await asyncio.gather(*(process.communicate(b"go\n") for process in processes)):
        assert errors.decode() == ""
    rows = await catalog.recordings("s_1")
    assert len(rows) == 3 * 60
    assert {row.state for row in rows} == {"finishing"}


async def test_two_engines_in_one_process_write_at_once(database: Database, path: Path) -> None:
    await database.migrate()
    other = Database(sqlite_url(path))
    writes = [Catalog(each).create_session(new_session(f"s_{n}")) for n in range(50) for each in (database, other)][
        ::-1
    ]
    ends = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(end is None for end in ends) == 50  # each id twice: the second one is refused, none is locked out
    assert all("UNIQUE" in str(end) for end in ends if end is not None)
    await other.close()


async def test_migrating_again_changes_nothing(database: Database, path: Path) -> None:
    assert await database.current() is None
    await database.migrate()
    assert await database.current() == database.head
    await Catalog(database).create_session(new_session("s_1"))
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
        await asyncio.gather(database.migrate(), database.migrate(), Database(sqlite_url(path)).migrate())
        assert connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == before
    assert await Catalog(database).session("s_1") is not None


async def test_the_migrations_make_what_the_models_say(database: Database) -> None:
    await database.migrate()

    def differences(connection: Connection) -> object:
        options = {"compare_type": True, "compare_server_default": True, "render_as_batch": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)

    async with database.reading() as session:
        connection = await session.connection()
        assert await connection.run_sync(differences) == []


async def test_every_constraint_has_the_name_that_the_models_give_it(database: Database, path: Path) -> None:
    """Autogenerate does not compare check constraints, nor SQLite's other names."""
    await database.migrate()
    with closing(sqlite3.connect(path)) as connection:
        made = "\n".join(row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
    for table in Base.metadata.tables.values():
        for constraint in table.constraints:
            assert f"CONSTRAINT {constraint.name} " in made


async def test_a_database_of_a_newer_program_is_refused(database: Database, path: Path) -> None:
    await database.migrate()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(MigrationError, match="9999"):
        await database.migrate()


async def test_a_migration_that_fails_leaves_the_database_as_it_was(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recording (mine TEXT)")
    with pytest.raises(OperationalError, match="already exists"):
        await database.migrate()
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("recording",)]


async def test_what_is_committed_is_on_disk(database: Database) -> None:
    await database.migrate()
    async with database.reading() as session:
        settings = {
            name: (await session.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


async def test_a_block_that_raises_writes_nothing(database: Database) -> None:
    await database.migrate()

    async def fail() -> None:
        async with database.writing() as session:
            session.add(new_session("s_1"))
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await Catalog(database).session("s_1") is None
    await Catalog(database).create_session(new_session("s_1"))


async def test_a_cancelled_writer_gives_the_lock_back(database: Database) -> None:
    await database.migrate()
    holding = asyncio.Event()

    async def hold() -> None:
        async with database.writing() as session:
            session.add(new_session("s_1"))
            await session.flush()
            holding.set()
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    await holding.wait()
    waiter = asyncio.create_task(Catalog(database).create_session(new_session("s_1")))
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder
    await waiter
    assert await Catalog(database).session("s_1") is not None


async def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    await database.migrate()
    async with database.writing() as session:
        session.add(new_session("s_1"))
        await session.flush()
        assert await asyncio.gather(*(Catalog(database).session("s_1") for _ in range(20))) == [None] * 20
    assert await Catalog(database).session("s_1") is not None


@pytest.mark.parametrize("url", ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"])
def test_a_database_that_cannot_be_shared_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="name a file"):
        Database(url)


async def test_the_default_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    database = open_database(DatabaseSettings(), tmp_path)
    await database.migrate()
    await database.close()
    assert (tmp_path / "stemroom.sqlite").stat().st_size > 0


@pytest.mark.parametrize("name", ["with space", "100%", "%20", "a?b=c", "a#b", "ä&ö"])
async def test_any_folder_may_hold_the_database(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    database = Database(sqlite_url(tmp_path / name / "x.sqlite"))
    await database.migrate()
    assert await database.current() == database.head
    await database.close()
    assert (tmp_path / name / "x.sqlite").exists()


async def test_developers_may_run_alembic_without_the_program(database: Database, path: Path) -> None:
    config = alembic_config()
    config.cmd_opts = Namespace(x=[f"url={sqlite_url(path)}"])
    await asyncio.to_thread(command.upgrade, config, "head")
    assert await database.current() == database.head
    await asyncio.to_thread(command.downgrade, config, "base")
    assert await database.current() is None
