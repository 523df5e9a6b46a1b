"""What WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) have in common: an offer by POST, an answer, a resource.

Guarantees: an offer that cannot be answered is refused before anybody in the room hears of it; one token has one
resource, and a new offer with it takes the place of the older one, so that an encoder that lost its network comes back
at once. Candidates that are trickled (PATCH) are taken and not needed: our side is ICE-lite and complete in its answer.
ICE is not restarted over PATCH (422).

Pages of any site may call: the right is in the token, and no cookie or other ambient credential means anything here.
"""

import re
from abc import ABC, abstractmethod

from aiohttp import web

from sfu.interfaces import NegotiationError
from signaling import auth, rest
from signaling.media import MediaPeer
from signaling.participants import LiveParticipant
from signaling.problems import Problem
from signaling.rooms import LiveRoom
from signaling.studio import Studio
from storage.ids import new_id
from storage.models import Participant

SDP = "application/sdp"
SDP_FRAGMENT = "application/trickle-ice-sdpfrag"

_PATH = re.compile(r"/api/v1/sessions/[^/]+/(whip|whep)(/[^/]+)?")
_UFRAG = re.compile(r"^a=ice-ufrag:(\S+)\s*$", re.MULTILINE)

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After, "
    "Access-Control-Allow-Methods",
}
"""Exposed is what clients in pages read; some learn from Access-Control-Allow-Methods whether PATCH is there."""

PREFLIGHT = {
    "Access-Control-Allow-Methods": "OPTIONS, POST, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, ETag",
    "Access-Control-Max-Age": "7200",
    "Accept-Post": SDP,
    "Accept-Patch": SDP_FRAGMENT,
}


async def allow_pages(request: web.Request, response: web.StreamResponse) -> None:
    """Let pages of any site read the answers of these resources (an `on_response_prepare` signal)."""
    if _PATH.fullmatch(request.path):
        response.headers.update(CORS)


class MediaEndpoint(ABC):
    """One of both protocols."""

    name: str
    """In paths and counters."""
    access: auth.Access

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    @abstractmethod
    def check(self, room: LiveRoom, row: Participant, offer: str) -> None:
        """Raises NegotiationError if the offer cannot be answered. Changes nothing."""

    @abstractmethod
    def answer(self, peer: MediaPeer, room: LiveRoom, row: Participant, offer: str) -> str:
        """Answer an offer that was checked."""

    def routes(self) -> list[web.RouteDef]:
        endpoint = f"/api/v1/sessions/{{session_id}}/{self.name}"
        resource = f"{endpoint}/{{resource_id}}"
        return [
            web.options(endpoint, self.options),
            web.post(endpoint, self.create),
            web.options(resource, self.options),
            web.patch(resource, self.patch),
            web.delete(resource, self.delete),
        ]

    async def options(self, request: web.Request) -> web.Response:
        """Preflight requests carry no token, and there is nothing secret in the answer."""
        return web.Response(headers=PREFLIGHT)

    async def create(self, request: web.Request) -> web.Response:
        session = await auth.session_of(request, self._studio.catalog)
        row = await auth.require_participant(request, self._studio.catalog, session, self.access)
        offer = await _text(request, SDP, "not_sdp", "bad_sdp")
        room = self._studio.rooms.open(session)
        try:
            self.check(room, row, offer)
            participant = room.attend(row)
            if participant is None or participant.peer is None:
                raise Problem("session_full")
            answer = self.answer(participant.peer, room, row, offer)
        except NegotiationError as error:
            self._studio.counters[f"negotiation_{error.id}"] += 1
            raise Problem(error.id, error.detail) from None
        finally:
            room.close_if_empty()
        participant.resource_id = new_id("res")
        participant.ice_ufrag = _ufrag(offer)
        self._studio.counters[f"{self.name}_sessions"] += 1
        path = f"/api/v1/sessions/{session.id}/{self.name}/{participant.resource_id}"
        return web.Response(
            body=answer.encode(),
            status=201,
            content_type=SDP,
            headers={
                "Location": self._studio.origins.base_url(request) + path,
                "ETag": _etag(participant),
                "Accept-Patch": SDP_FRAGMENT,
                "Cache-Control": "no-store",
            },
        )

    async def patch(self, request: web.Request) -> web.Response:
        _, participant = await self._resource(request)
        fragment = await _text(request, SDP_FRAGMENT, "not_sdp_fragment", "bad_sdp")
        if request.headers.get("If-Match", "*") not in ("*", _etag(participant)):
            raise Problem("other_ice_session")
        if _ufrag(fragment) not in ("", participant.ice_ufrag):
            raise Problem("restart_unsupported")
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        room, participant = await self._resource(request)
        room.leave(participant, "left")
        return web.Response()

    async def _resource(self, request: web.Request) -> tuple[LiveRoom, LiveParticipant]:
        """The resource of the path, if it is the token's; raises Problem."""
        session = await auth.session_of(request, self._studio.catalog)
        row = await auth.require_participant(request, self._studio.catalog, session, self.access)
        room = self._studio.rooms.get(session.id)
        participant = room.participants.get(row.id) if room is not None else None
        if room is None or participant is None or participant.resource_id != request.match_info["resource_id"]:
            raise Problem("unknown_resource")
        return room, participant


async def _text(request: web.Request, content_type: str, wrong_type: str, malformed: str) -> str:
    if request.content_type != content_type:
        raise Problem(wrong_type)
    try:
        return (await rest.read(request)).decode()
    except UnicodeDecodeError:
        raise Problem(malformed) from None


def _etag(participant: LiveParticipant) -> str:
    """Of the resource's one ICE session."""
    return f'"{participant.resource_id}"'


def _ufrag(description: str) -> str:
    """The first user fragment of an offer or a fragment of one: they are bundled. Empty: none."""
    found = _UFRAG.search(description)
    return found[1] if found else ""
