"""REST: create a session, look at it, join it.

Guarantees: the host secret is shown once, at creation, and kept only as a hash; a join that is answered has a place in
the room for the grace period; secrets travel in bodies and URL fragments, never in a path or query.
"""

from typing import Literal

from aiohttp import web

from signaling import auth, rest, text
from signaling.clock import wall_time
from signaling.problems import Problem
from signaling.studio import Studio
from storage.ids import hash_secret, new_id, new_secret
from storage.models import Participant, Session


class SessionsApi:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/sessions/create", self.create),
            web.get("/api/v1/sessions/{session_id}", self.show, allow_head=False),
            web.post("/api/v1/sessions/{session_id}/join", self.join),
        ]

    async def create(self, request: web.Request) -> web.Response:
        body = await rest.decode(request, rest.CreateSession)
        title = rest.cleaned(body.title, text.MAX_TITLE, "title")
        limit = self._studio.settings.session.max_participants
        max_participants = limit if body.max_participants is None else body.max_participants
        if max_participants > limit:
            raise Problem("bad_request", f"`max_participants` must be at most {limit} on this server")
        clock = self._studio.clock
        secret = new_secret()
        session = Session(
            id=new_id("ses"),
            title=title,
            host_secret_hash=hash_secret(secret),
            max_participants=max_participants,
            created_at=wall_time(clock),
            clock_zero_wall_ns=clock.wall_ns(),
            clock_zero_monotonic_ns=clock.monotonic_ns(),
            clock_boot_id=clock.boot_id,
        )
        guest_url = f"{self._studio.origins.base_url(request)}/session/{session.id}"
        await self._studio.catalog.create_session(session)
        self._studio.counters["sessions_created"] += 1
        created = rest.SessionCreated(
            session_id=session.id,
            title=title,
            host_secret=secret,
            host_url=f"{guest_url}#host={secret}",
            guest_url=guest_url,
            max_participants=max_participants,
        )
        return rest.reply(created, 201)

    async def show(self, request: web.Request) -> web.Response:
        session = await auth.session_of(request, self._studio.catalog)
        room = self._studio.rooms.get(session.id)
        return rest.reply(
            rest.SessionView(
                session_id=session.id,
                title=session.title,
                created_at=session.created_at.isoformat(),
                max_participants=session.max_participants,
                participants=room.connected if room else 0,
                recording=room is not None and room.recording is not None,
            )
        )

    async def join(self, request: web.Request) -> web.Response:
        session = await auth.session_of(request, self._studio.catalog)
        body = await rest.decode(request, rest.Join)
        display_name = rest.cleaned(body.display_name, text.MAX_DISPLAY_NAME, "display_name")
        if body.host_secret is not None and not auth.is_host_secret(session, body.host_secret):
            raise Problem("wrong_host_secret")
        role: Literal["host", "guest"] = "guest" if body.host_secret is None else "host"
        ws_url = self._studio.origins.websocket_url(request)
        room = self._studio.rooms.open(session)
        participant_id = new_id("par")
        if not room.keep_place(participant_id):
            raise Problem("session_full")
        token = new_secret()
        row = Participant(
            id=participant_id,
            session_id=session.id,
            display_name=display_name,
            role=role,
            token_hash=hash_secret(token),
            joined_at=wall_time(self._studio.clock),
            left_at=None,
        )
        try:
            await self._studio.catalog.add_participant(row)
        except BaseException:
            room.give_back_place(participant_id)
            raise
        self._studio.counters["joins"] += 1
        joined = rest.Joined(
            participant_id=participant_id,
            token=token,
            role=role,
            display_name=display_name,
            ws_url=f"{ws_url}/ws/{session.id}?participant_id={participant_id}",
        )
        return rest.reply(joined, 201)
