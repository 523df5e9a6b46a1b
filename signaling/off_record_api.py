"""REST: take a range of a recording off the record, see what is, put it back, purge it. For hosts only."""

from aiohttp import web

from signaling import auth, off_record, rest
from signaling.problems import Problem
from signaling.recording_api import RECORDING
from signaling.studio import Studio
from storage.models import Participant, Recording, Session

OFF_RECORD = RECORDING + "/off-record"


class OffRecordApi:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(OFF_RECORD, self.mark),
            web.get(OFF_RECORD, self.list, allow_head=False),
            web.post(RECORDING + "/purge", self.purge),
            web.delete(OFF_RECORD + "/{off_record_id}", self.unmark),
        ]

    async def mark(self, request: web.Request) -> web.Response:
        session, recording, host = await self._asked(request)
        wish = await rest.decode(request, rest.MarkOffRecord)
        return rest.reply(off_record.view(await self._studio.off_record.mark(session, recording, host, wish)), 201)

    async def list(self, request: web.Request) -> web.Response:
        _, recording, _ = await self._asked(request)
        return await self._all(recording)

    async def unmark(self, request: web.Request) -> web.Response:
        session, recording, _ = await self._asked(request)
        await rest.decode_empty(request)
        await self._studio.off_record.unmark(session, recording, request.match_info["off_record_id"])
        return await self._all(recording)

    async def purge(self, request: web.Request) -> web.Response:
        session, recording, host = await self._asked(request)
        wish = await rest.decode(request, rest.PurgeOffRecord)
        if wish.confirm != recording.id:
            raise Problem("bad_request", "`confirm` is not the id of this recording")
        await self._studio.off_record.purge(session, recording, host)
        return await self._all(recording)

    async def _all(self, recording: Recording) -> web.Response:
        return rest.reply(rest.OffRecordList(off_record=await self._studio.off_record.views(recording)))

    async def _asked(self, request: web.Request) -> tuple[Session, Recording, Participant | None]:
        catalog = self._studio.catalog
        session = await auth.session_of(request, catalog)
        host = await auth.require_host(request, catalog, session)
        return session, await auth.recording_of(request, catalog, session), host
