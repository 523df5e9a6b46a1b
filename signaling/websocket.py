"""The WebSocket: greeting, limits, and handing each message on.

Guarantees: a page of another site gets 403; nothing is sent to, or done for, a connection before a `hello` with the
right token; a message costs one token of the bucket; MAX_BAD_MESSAGES refused ones end the connection; nothing heard
for `session.dead_after_s` ends it too. The token is read from `hello` alone, never from the URL.
"""

import asyncio

import msgspec
import structlog
from aiohttp import WSMsgType, web

from signaling import connection as closing
from signaling.clock import NS_PER_S
from signaling.connection import Connection
from signaling.conversation import Conversation
from signaling.limits import TokenBucket
from signaling.messages import (
    MAX_MESSAGE_BYTES,
    CaptureProfile,
    Error,
    FromParticipant,
    Hello,
    Welcome,
    decode,
)
from signaling.participants import LiveParticipant
from signaling.problems import WEBSOCKET_ERRORS, Problem
from signaling.rooms import LiveRoom
from signaling.studio import Studio
from signaling.turn import ice_servers
from storage.ids import ID_PATTERN, hash_secret

log = structlog.get_logger()

MESSAGES_PER_S = 50.0
MESSAGES_BURST = 200
MAX_BAD_MESSAGES = 10
"""A page of ours sends none; a program that does not know the protocol learns it from ten answers."""


class WebSocketApi:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/ws/{session_id}", self.handle, allow_head=False)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self._studio.origins.require_own(request)
        socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, compress=False, timeout=closing.CLOSE_S)
        if not socket.can_prepare(request):
            raise Problem("bad_request", "a WebSocket upgrade is expected")
        await socket.prepare(request)
        log.debug("websocket_opened", client=self._studio.origins.client(request))
        queue_bytes = self._studio.settings.session.queue_bytes
        connection = Connection(socket, request.transport, self._studio.counters, queue_bytes)
        participant_id = request.query.get("participant_id", "")
        visit = Visit(self._studio, connection, request.match_info["session_id"], participant_id)
        await connection.run(visit.run)
        return socket


class Refused(Exception):
    """The greeting ends with error `id` and close code `code`."""

    def __init__(self, id: str, code: int) -> None:
        super().__init__(id)
        self.id = id
        self.code = code


class Visit:
    """One connection, from its upgrade to its end."""

    def __init__(self, studio: Studio, connection: Connection, session_id: str, participant_id: str) -> None:
        self._studio = studio
        self._connection = connection
        self._session_id = session_id
        self._participant_id = participant_id
        self._bad_messages = 0

    async def run(self) -> None:
        try:
            room, participant = await self._greet()
        except Refused as refused:
            self._studio.counters[f"websocket_{refused.id}"] += 1
            self._connection.send(Error(id=refused.id, detail=WEBSOCKET_ERRORS[refused.id], fatal=True))
            self._connection.close(refused.code, refused.id)
            return
        try:
            await self._converse(Conversation(self._studio, room, participant))
        finally:
            room.disconnected(participant, self._connection)

    # --- greeting

    async def _greet(self) -> tuple[LiveRoom, LiveParticipant]:
        catalog = self._studio.catalog
        session = await catalog.session(self._session_id) if ID_PATTERN.match(self._session_id) else None
        if session is None:
            raise Refused("unknown_session", closing.CLOSE_UNKNOWN_SESSION)
        hello = await self._hello()
        row = await catalog.participant_by_token(session.id, hash_secret(hello.token))
        if row is None or row.id != self._participant_id or row.access != "page":
            raise Refused("unauthorized", closing.CLOSE_UNAUTHORIZED)
        try:
            room = self._studio.rooms.open(session)
        except Problem:
            raise Refused("session_full", closing.CLOSE_TRY_LATER) from None
        entered = room.enter(row, self._connection, hello.resume)
        if entered is None:
            raise Refused("session_full", closing.CLOSE_FULL)
        participant, resumed = entered
        self._connection.send(self._welcome(room, participant, resumed))
        room.greeted(participant, resumed)
        log.info("participant_connected", session_id=session.id, participant_id=row.id, resumed=resumed)
        return room, participant

    async def _hello(self) -> Hello:
        """The first message, if it is a `hello` and comes in time."""
        try:
            async with asyncio.timeout(self._studio.settings.session.hello_s):
                data = await self._receive()
        except TimeoutError:
            data = None
        message = None if data is None else _decoded(data)
        if not isinstance(message, Hello):
            raise Refused("unauthorized", closing.CLOSE_UNAUTHORIZED)
        return message

    def _welcome(self, room: LiveRoom, participant: LiveParticipant, resumed: bool) -> Welcome:
        settings = self._studio.settings
        return Welcome(
            participant_id=participant.id,
            role=participant.role,
            session_id=room.session.id,
            title=room.session.title,
            participants=[other.view() for other in room.participants.values()],
            ice_servers=ice_servers(settings.turn, participant.id, self._studio.clock.wall_ns() / NS_PER_S),
            session_ms=room.clock.now_ms(),
            heartbeat_ms=round(settings.session.heartbeat_s * 1000),
            recording=room.recording.view() if room.recording else None,
            recording_space=self._studio.space.report.state,
            capture_profile=CaptureProfile(
                video_bps=settings.session.capture_video_bps, audio_bps=settings.session.capture_audio_bps
            ),
            video_codecs=list(settings.media.video_codecs),
            max_video_bps=settings.media.max_video_bps,
            simulcast=settings.media.simulcast,
            temporal_layers=settings.media.temporal_layers,
            resumed=resumed,
        )

    # --- conversation

    async def _converse(self, conversation: Conversation) -> None:
        loop = asyncio.get_running_loop()
        bucket = TokenBucket(MESSAGES_PER_S, MESSAGES_BURST, loop.time())
        dead_after_s = self._studio.settings.session.dead_after_s
        while not self._connection.closing:
            try:
                async with asyncio.timeout(dead_after_s):
                    data = await self._receive()
            except TimeoutError:
                self._studio.counters["websocket_silent"] += 1
                self._connection.close(closing.CLOSE_SILENT, "nothing heard")
                return
            if data is None:
                return
            if not bucket.take(loop.time()):
                self._bad("rate_limited", WEBSOCKET_ERRORS["rate_limited"])
                continue
            message = _decoded(data)
            if message is None or isinstance(message, Hello):
                self._bad("bad_message", WEBSOCKET_ERRORS["bad_message"])
            elif (refusal := conversation.take(message)) is not None:
                self._connection.send(refusal)

    async def _receive(self) -> str | bytes | None:
        """The next text (str) or binary (bytes) message; None: the connection ended."""
        message = await self._connection.socket.receive()
        if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
            data: str | bytes = message.data
            return data
        return None

    def _bad(self, id: str, detail: str) -> None:
        self._studio.counters[f"websocket_{id}"] += 1
        self._bad_messages += 1
        fatal = self._bad_messages >= MAX_BAD_MESSAGES
        self._connection.send(Error(id=id, detail=detail, fatal=fatal))
        if fatal:
            self._connection.close(closing.CLOSE_POLICY, id)


def _decoded(data: str | bytes) -> FromParticipant | None:
    """None: nothing of ours."""
    if isinstance(data, bytes):
        return None
    try:
        message: FromParticipant = decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return message
