"""What the program asks of the system, and how long it keeps a connection that says nothing."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from stemroom import app


@pytest.fixture
def few_files() -> Iterator[int]:
    """A soft limit below the hard one, which is given."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_it_takes_as_many_open_files_as_it_may(few_files: int) -> None:
    app.allow_open_files()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (few_files, few_files)
    app.allow_open_files()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_connection_that_asks_for_nothing_is_closed(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "KEEPALIVE_S", 0.2)
    async with AsyncExitStack() as stack:
        url = await app._listen(stack, web.Application(), "127.0.0.1", 0, None)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(sent)
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()
        await writer.wait_closed()
