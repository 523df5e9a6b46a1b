"""TCP servers of a few lines, and one that stands before a real server and cuts connections as a test wants it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that does what `handler` does to each connection; its endpoint."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class CutLine:
    """Passes everything on to a server, and cuts each of the next `cuts` connections that sends more than `after_bytes`
    to it."""

    def __init__(self, endpoint: str) -> None:
        self._host, self._port = urlsplit(endpoint).hostname, urlsplit(endpoint).port
        self.cuts = 0
        self.after_bytes = 0
        self.cut = asyncio.Event()
        """Set by each cut."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(self._host, self._port)

        async def back() -> None:
            while data := await to_reader.read(1 << 16):
                writer.write(data)
                await writer.drain()

        answers = asyncio.create_task(back())
        passed = 0
        try:
            while data := await reader.read(1 << 16):
                passed += len(data)
                if self.cuts and passed > self.after_bytes:
                    self.cuts -= 1
                    self.cut.set()
                    return
                to_writer.write(data)
                await to_writer.drain()
        finally:
            answers.cancel()
            await asyncio.wait((answers,))
            to_writer.close()
