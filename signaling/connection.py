"""One WebSocket's outgoing side: a bounded queue, one writer task, one closing code.

Guarantees: `send` never waits, so a broadcast costs the same whoever is slow; what waits for one connection is at most
`max_queued_bytes`, beyond which it is closed with 1013 and its queue dropped; the first close wins; after `run` no task
and no socket is left.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from signaling.messages import Message, encode

log = structlog.get_logger()

CLOSE_S = 2.0
"""Time for the last messages and for the peer's answer to our close frame."""

CLOSE_OK = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_POLICY = 1008
CLOSE_INTERNAL = 1011
CLOSE_TRY_LATER = 1013
CLOSE_UNAUTHORIZED = 4401
CLOSE_FULL = 4403
CLOSE_UNKNOWN_SESSION = 4404
CLOSE_SILENT = 4408
CLOSE_REPLACED = 4409


class Connection:
    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        counters: Counter[str],
        max_queued_bytes: int,
    ) -> None:
        self.socket = socket
        self._transport = transport
        self._counters = counters
        self._max_queued_bytes = max_queued_bytes
        self._queue: deque[str] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self.close_code = CLOSE_OK
        self._close_reason = ""

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def send(self, message: Message) -> None:
        self.send_text(encode(message).decode())

    def send_text(self, text: str) -> None:
        """Queue an encoded message. Sizes are counted in characters: our JSON is nearly all ASCII."""
        if self.closing:
            return
        if self._queued_bytes + len(text) > self._max_queued_bytes:
            self._counters["websocket_closed_slow"] += 1
            self._queue.clear()
            self._queued_bytes = 0
            self.close(CLOSE_TRY_LATER, "too slow")
            return
        self._queue.append(text)
        self._queued_bytes += len(text)
        self._wake.set()

    def close(self, code: int, reason: str = "") -> None:
        """Ask for the end; messages queued before it are still sent. Idempotent."""
        if not self.closing:
            self.close_code, self._close_reason = code, reason
            self._closing.set()
            self._wake.set()

    async def run(self, read: Callable[[], Awaitable[None]]) -> None:
        """Read with `read` and write until either ends or `close` is called."""
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(read))
                writer = tasks.create_task(self._write())
                await self._closing.wait()
                reader.cancel()
                await asyncio.wait({writer}, timeout=CLOSE_S)
                writer.cancel()
        finally:
            self._closing.set()
            await self._shut()

    async def _read(self, read: Callable[[], Awaitable[None]]) -> None:
        try:
            await read()
        except Exception:
            self._counters["websocket_failed"] += 1
            log.exception("websocket_failed")
            self.close(CLOSE_INTERNAL, "internal error")
        finally:
            self.close(CLOSE_OK)

    async def _write(self) -> None:
        try:
            while self._queue or not self.closing:
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                text = self._queue.popleft()
                self._queued_bytes -= len(text)
                await self.socket.send_str(text)
        except ConnectionError:
            self.close(CLOSE_OK)

    async def _shut(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.socket.close(code=self.close_code, message=self._close_reason.encode())
        except TimeoutError:
            pass
        finally:
            if self._transport is not None:
                self._transport.abort()
