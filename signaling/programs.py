"""REST: tokens for programs that publish into a room (WHIP) or watch it (WHEP) without a page.

Guarantees: only a host makes them; a token is good for one of both, and is shown once and kept as a hash. One token is
one participant: it takes a place in the room while it is used, not before.
"""

from aiohttp import web

from signaling import auth, rest, text
from signaling.clock import wall_time
from signaling.problems import Problem
from signaling.studio import Studio
from storage.ids import hash_secret, new_id, new_secret
from storage.models import Participant, Session


class ProgramsApi:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/sessions/{session_id}/ingests", self.create_ingest),
            web.post("/api/v1/sessions/{session_id}/egresses", self.create_egress),
        ]

    async def create_ingest(self, request: web.Request) -> web.Response:
        session = await self._session_of_host(request)
        body = await rest.decode(request, rest.CreateIngest)
        row, token = self._participant(session, body.display_name, "publish")
        await self._studio.catalog.add_participant(row)
        self._studio.counters["ingests_created"] += 1
        return rest.reply(
            rest.IngestCreated(
                participant_id=row.id,
                display_name=row.display_name,
                whip_url=f"{self._studio.origins.base_url(request)}/api/v1/sessions/{session.id}/whip",
                token=token,
            ),
            201,
        )

    async def create_egress(self, request: web.Request) -> web.Response:
        session = await self._session_of_host(request)
        body = await rest.decode(request, rest.CreateEgress)
        if body.participant_id is not None:
            watched = await self._studio.catalog.participant(body.participant_id)
            if watched is None or watched.session_id != session.id:
                raise Problem("unknown_participant")
        row, token = self._participant(session, body.display_name, "watch")
        row.watch_participant_id = body.participant_id
        row.watch_kinds = ",".join(dict.fromkeys(body.kinds)) if body.kinds else None
        await self._studio.catalog.add_participant(row)
        self._studio.counters["egresses_created"] += 1
        return rest.reply(
            rest.EgressCreated(
                participant_id=row.id,
                display_name=row.display_name,
                whep_url=f"{self._studio.origins.base_url(request)}/api/v1/sessions/{session.id}/whep",
                token=token,
            ),
            201,
        )

    async def _session_of_host(self, request: web.Request) -> Session:
        session = await auth.session_of(request, self._studio.catalog)
        await auth.require_host(request, self._studio.catalog, session)
        return session

    def _participant(self, session: Session, display_name: str, access: auth.Access) -> tuple[Participant, str]:
        token = new_secret()
        row = Participant(
            id=new_id("par"),
            session_id=session.id,
            display_name=rest.cleaned(display_name, text.MAX_DISPLAY_NAME, "display_name"),
            role="guest",
            token_hash=hash_secret(token),
            joined_at=wall_time(self._studio.clock),
            left_at=None,
            access=access,
        )
        return row, token
