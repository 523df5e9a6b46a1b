"""REST: local copies. For the participant who captures, with its own token; going on after it left the room is fine."""

from aiohttp import web

from signaling import auth, rest
from signaling.capture_progress import MAX_CHUNKS
from signaling.captures import chunk_key
from signaling.messages import CaptureStatus
from signaling.problems import Problem
from signaling.recording_api import RECORDING
from signaling.studio import Studio
from storage.ids import ID_PATTERN
from storage.models import Participant, Recording, Segment, Session

CAPTURES = RECORDING + "/captures"
CAPTURE = CAPTURES + "/{segment_id}"
CHUNK = CAPTURE + "/chunks/{index}"


class CapturesApi:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(CAPTURES, self.open),
            web.post(CHUNK, self.announce),
            web.post(CHUNK + "/confirm", self.confirm),
            web.post(CAPTURE + "/finish", self.finish),
        ]

    async def open(self, request: web.Request) -> web.Response:
        session, participant, recording = await self._caller(request)
        wish = await rest.decode(request, rest.OpenCapture)
        segment_id = await self._studio.captures.open(session, recording, participant, wish)
        if (room := self._studio.rooms.get(session.id)) and (live := room.participants.get(participant.id)):
            live.copy.opened(recording.id, segment_id)
        return rest.reply(rest.CaptureOpened(segment_id=segment_id), 201)

    async def announce(self, request: web.Request) -> web.Response:
        session, participant, recording = await self._caller(request)
        segment = await self._segment(request, recording, participant)
        index = _index(request)
        chunk = await rest.decode(request, rest.AnnounceChunk)
        await self._studio.captures.announced(segment, index, chunk)
        expires_s = self._studio.settings.object_store.url_life_s
        key = chunk_key(session.id, recording.id, segment.id, index)
        url = self._studio.store.presign_put(key, expires_s=expires_s, size_bytes=chunk.size_bytes)
        return rest.reply(rest.ChunkUrl(url=url, method="PUT", headers={}, expires_in_s=expires_s))

    async def confirm(self, request: web.Request) -> web.Response:
        session, participant, recording = await self._caller(request)
        segment = await self._segment(request, recording, participant)
        index = _index(request)
        chunk = await rest.decode(request, rest.ConfirmChunk)
        confirmed = await self._studio.captures.confirm(session, recording, segment, index, chunk)
        self._tell(session, recording, participant, segment, confirmed)
        return rest.reply(confirmed)

    async def finish(self, request: web.Request) -> web.Response:
        session, participant, recording = await self._caller(request)
        segment = await self._segment(request, recording, participant)
        body = await rest.decode(request, rest.FinishCapture)
        state = await self._studio.captures.finish(session, recording, segment, body.chunks)
        return rest.reply(rest.CaptureFinished(segment_id=segment.id, state=state))

    async def _caller(self, request: web.Request) -> tuple[Session, Participant, Recording]:
        session = await auth.session_of(request, self._studio.catalog)
        participant = await auth.require_participant(request, self._studio.catalog, session)
        return session, participant, await auth.recording_of(request, self._studio.catalog, session)

    async def _segment(self, request: web.Request, recording: Recording, participant: Participant) -> Segment:
        id = request.match_info["segment_id"]
        if not ID_PATTERN.match(id):
            raise Problem("unknown_capture")
        return await self._studio.captures.segment_of(recording, participant, id)

    def _tell(
        self,
        session: Session,
        recording: Recording,
        participant: Participant,
        segment: Segment,
        confirmed: rest.ChunkConfirmed,
    ) -> None:
        """The room sees how much of the participant's copy is safe."""
        room = self._studio.rooms.get(session.id)
        live = room.participants.get(participant.id) if room else None
        if room is None or live is None:
            return
        view = live.copy.verified(segment.id, confirmed.verified_bytes, confirmed.safe_ms)
        if view is not None:
            room.broadcast(
                CaptureStatus(recording_id=recording.id, capture=view, participant_id=participant.id),
                but=participant.id,
            )


def _index(request: web.Request) -> int:
    digits = request.match_info["index"]
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 6 and int(digits) < MAX_CHUNKS):
        raise Problem("bad_request", f"the index of a chunk is a number below {MAX_CHUNKS}")
    return int(digits)
