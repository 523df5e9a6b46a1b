"""REST: start and stop recording, see what was recorded. For hosts only."""

from aiohttp import web

from signaling import auth, files, rest
from signaling.clock import NS_PER_MS
from signaling.messages import RecordingView
from signaling.problems import Problem
from signaling.recording_log import durable
from signaling.recordings import LiveRecording
from signaling.rooms import LiveRoom
from signaling.studio import Studio
from storage.models import Recording, Session

RECORDINGS = "/api/v1/sessions/{session_id}/recordings"
RECORDING = RECORDINGS + "/{recording_id}"


class RecordingsApi:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(RECORDINGS, self.start),
            web.post(RECORDING + "/stop", self.stop),
            web.get(RECORDINGS, self.list, allow_head=False),
            web.get(RECORDING, self.show, allow_head=False),
            web.get(RECORDING + "/manifest", self.manifest, allow_head=False),
        ]

    async def start(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        await rest.decode_empty(request)
        room = self._studio.rooms.open(session)
        if room.recording is not None or room.starting.locked():
            raise Problem("already_recording")
        try:
            self._studio.space.require()
            async with room.starting:
                recording = await self._studio.recordings.start(session, room.clock)
                room.begin_recording(recording)
                await _begun(room, recording)
        finally:
            room.close_if_empty()
        return rest.reply(recording.view(), 201)

    async def stop(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        await rest.decode_empty(request)
        row = await auth.recording_of(request, self._studio.catalog, session)
        room = self._studio.rooms.get(session.id)
        if room is not None and room.recording is not None and room.recording.id == row.id:
            room.stop_recording()
            room.close_if_empty()
        await self._studio.recordings.settled(row.id)
        return rest.reply(_view(await auth.recording_of(request, self._studio.catalog, session)))

    async def list(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        rows = await self._studio.catalog.recordings(session.id)
        return rest.reply(rest.RecordingList(recordings=[_view(row) for row in rows]))

    async def show(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        row = await auth.recording_of(request, self._studio.catalog, session)
        studio = self._studio
        url_life_s = studio.settings.object_store.url_life_s
        return rest.reply(await files.detail(studio.catalog, studio.store, studio.live, row, url_life_s))

    async def manifest(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        row = await auth.recording_of(request, self._studio.catalog, session)
        body = await files.manifest(self._studio.store, row)
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def _session(self, request: web.Request) -> Session:
        session = await auth.session_of(request, self._studio.catalog)
        await auth.require_host(request, self._studio.catalog, session)
        return session


async def _begun(room: LiveRoom, recording: LiveRecording) -> None:
    """Until it is on the disk that it was started. Raises Problem `spool_unavailable`: it was stopped."""
    try:
        await durable(recording.log.begun)
    except Problem:
        if room.recording is recording:
            room.stop_recording()
        raise


def _view(row: Recording) -> RecordingView:
    return RecordingView(
        recording_id=row.id,
        state=files.state_of(row),
        started_ms=row.started_ns / NS_PER_MS,
        stopped_ms=None if row.stopped_ns is None else row.stopped_ns / NS_PER_MS,
    )
