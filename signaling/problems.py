"""Every refusal has a stable id, shared by REST (RFC 9457 problem details), WebSocket and docs/protocol.md.

Guarantees: no traceback, path or secret ever reaches a client; what is not a known refusal is logged with ids, counted
and answered as `internal`.
"""

from collections import Counter
from typing import Any

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy.exc import SQLAlchemyError

from storage.objects import ObjectStoreError

log = structlog.get_logger()

TYPE_PREFIX = "urn:stemroom:error:"
RETRY_AFTER_S = 2

PROBLEMS: dict[str, tuple[int, str]] = {
    "already_purged": (409, "The range was purged: nothing of it is left to put back"),
    "already_recording": (409, "The session is being recorded already"),
    "bad_fingerprint": (422, "The offer has no usable certificate fingerprint"),
    "bad_request": (400, "The request cannot be understood"),
    "bad_sdp": (400, "The session description cannot be understood"),
    "bad_tracks": (422, "The offer has no track to publish"),
    "body_too_large": (413, "The body is too large"),
    "body_too_slow": (408, "The body did not come in time"),
    "bundle_required": (422, "The sections of the offer must share one transport (BUNDLE)"),
    "capture_closed": (409, "The recording takes no new local copy"),
    "capture_finished": (409, "The local copy is finished"),
    "chunk_mismatch": (422, "The chunk in the store is not the chunk that was announced"),
    "chunk_missing": (404, "The chunk is not in the store"),
    "chunk_refused": (409, "The local copy is finished, and this chunk is not part of it"),
    "chunks_beyond": (409, "Chunks lie beyond what the local copy has or is about to have"),
    "chunks_missing": (409, "Chunks of the local copy are not verified"),
    "dtls_required": (422, "Only media over DTLS-SRTP is taken"),
    "forbidden": (403, "Only a host may do this"),
    "foreign_origin": (403, "The page comes from another site"),
    "internal": (500, "The server failed"),
    "journals_gone": (409, "The journals of the recording were deleted: nothing in it can be changed any more"),
    "manifest_not_ready": (404, "The manifest is not written yet"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "no_common_codec": (422, "No codec of the offer is taken here"),
    "not_found": (404, "There is nothing here"),
    "not_json": (415, "The body must be application/json"),
    "not_sdp": (415, "The body must be application/sdp"),
    "not_sdp_fragment": (415, "The body must be application/trickle-ice-sdpfrag"),
    "nothing_off_record": (409, "Nothing of the recording is off the record"),
    "nothing_to_watch": (409, "Nothing is published that may be watched"),
    "off_record_outside": (422, "The range does not lie in what is recorded so far"),
    "other_ice_session": (412, "If-Match names another ICE session"),
    "range_not_satisfiable": (416, "The range lies outside the object"),
    "redaction_pending": (409, "A file without what is off the record is not there yet"),
    "restart_unsupported": (422, "ICE is not restarted here: send a new offer"),
    "session_full": (409, "The session is full"),
    "spool_full": (507, "There is no space for recordings on the studio's disk"),
    "spool_unavailable": (503, "The disk for journals does not answer"),
    "store_unavailable": (503, "The object store does not answer"),
    "connection_gone": (409, "The peer connection was given up: make a new one"),
    "database_unavailable": (503, "The database does not answer"),
    "too_many_captures": (409, "Too many local copies in this recording"),
    "too_many_off_record": (409, "Too many ranges of this recording are off the record"),
    "too_many_rooms": (503, "The node has no place for another room"),
    "too_many_tracks": (422, "The offer has too many tracks"),
    "unauthorized": (401, "A valid token is needed"),
    "unknown_capture": (404, "There is no such local copy"),
    "unknown_object": (404, "There is no such object"),
    "unknown_off_record": (404, "There is no such range off the record"),
    "unknown_participant": (404, "There is no such participant"),
    "unknown_recording": (404, "There is no such recording"),
    "unknown_resource": (404, "There is no such WHIP or WHEP session, or it has ended"),
    "unknown_session": (404, "There is no such session"),
    "url_refused": (403, "The signed URL is not valid or has expired"),
    "wrong_access": (403, "The token is for something else"),
    "wrong_host_secret": (403, "The host secret is wrong"),
    "wrong_size": (422, "The object has another size than was announced"),
}
"""id -> (status, title) of every problem the REST interface gives."""

WEBSOCKET_ERRORS: dict[str, str] = {
    "bad_message": "The message cannot be understood",
    "connection_gone": "The peer connection was given up: make new ones",
    "rate_limited": "Too many messages: this one was dropped",
    "sends_too_much": "More media comes from the participant than is taken: some of it is dropped",
    "session_full": "The session is full",
    "too_many_streams": "More RTP streams come on one connection than are taken: the further ones are dropped",
    "too_many_subscriptions": "There are more tracks than one participant is sent: the further ones are left out",
    "unauthorized": "The token is wrong, or no hello came in time",
    "unknown_session": "There is no such session",
    "unknown_track": "The track is not one of the sender's",
    "unsupported": "The server does not take this kind of offer or answer",
}
"""Ids of `error` messages beside those of the media plane's negotiation; `sfu.interfaces.Limit` is among them."""

_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 416: "range_not_satisfiable"}


class Problem(Exception):
    """Answer the request with problem `id`; `members` are added to the document."""

    def __init__(self, id: str, detail: str = "", **members: Any) -> None:
        super().__init__(id)
        self.id = id
        self.detail = detail
        self.members = members


def response(id: str, detail: str = "", **members: Any) -> web.Response:
    status, title = PROBLEMS[id]
    document = {
        "type": TYPE_PREFIX + id,
        "title": title,
        "status": status,
        "detail": detail or title,
        "id": id,
        **members,
    }
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503 or id == "nothing_to_watch":
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return web.Response(
        body=msgspec.json.encode(document), status=status, content_type="application/problem+json", headers=headers
    )


def _of_http(error: web.HTTPException) -> web.Response:
    known = _BY_STATUS.get(error.status, "bad_request")
    answer = response(known)
    if error.status == 405 and "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


def middleware(counters: Counter[str]) -> Any:
    """Turn everything a handler raises into a problem document; `counters` gets `problem_<id>`."""

    @web.middleware
    async def problem_details(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            answer = response(problem.id, problem.detail, **problem.members)
            id = problem.id
        except web.HTTPException as error:
            if error.status < 400:
                raise
            answer = _of_http(error)
            id = f"http_{error.status}"
        except ObjectStoreError as error:
            log.warning("object_store_failed", id=error.id, detail=error.detail, path=request.path)
            answer, id = response("store_unavailable"), "store_unavailable"
        except SQLAlchemyError as error:
            log.warning("database_failed", error=type(error).__name__, path=request.path)
            answer, id = response("database_unavailable"), "database_unavailable"
        except Exception:
            log.exception("request_failed", method=request.method, path=request.path)
            answer, id = response("internal"), "internal"
        counters[f"problem_{id}"] += 1
        return answer

    return problem_details
