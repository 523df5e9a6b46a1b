"""Who is asking: the session named by the path, and the holder of the bearer token.

Guarantees: secrets and tokens are compared by their SHA-256 (both have full entropy) and in constant time; a foreign id
is answered like one that does not exist.
"""

import hmac
from typing import Literal

from aiohttp import web

from signaling.problems import Problem
from storage.catalog import Catalog
from storage.ids import ID_PATTERN, hash_secret
from storage.models import Participant, Recording, Session

MAX_TOKEN = 128

Access = Literal["page", "publish", "watch"]
"""As storage.models.Participant has it."""


async def session_of(request: web.Request, catalog: Catalog) -> Session:
    """The session of the path; raises Problem `unknown_session`."""
    id = request.match_info["session_id"]
    session = await catalog.session(id) if ID_PATTERN.match(id) else None
    if session is None:
        raise Problem("unknown_session")
    return session


async def recording_of(request: web.Request, catalog: Catalog, session: Session) -> Recording:
    """The recording of the path, if it is one of the session; raises Problem `unknown_recording`."""
    id = request.match_info["recording_id"]
    recording = await catalog.recording(id) if ID_PATTERN.match(id) else None
    if recording is None or recording.session_id != session.id:
        raise Problem("unknown_recording")
    return recording


def is_host_secret(session: Session, secret: str) -> bool:
    return hmac.compare_digest(hash_secret(secret), session.host_secret_hash)


async def require_participant(
    request: web.Request, catalog: Catalog, session: Session, access: Access = "page"
) -> Participant:
    """The participant whose token is sent; raises Problem `unauthorized`, or `wrong_access` if the token is good for
    something else."""
    participant = await catalog.participant_by_token(session.id, hash_secret(_bearer(request)))
    if participant is None:
        raise Problem("unauthorized")
    if participant.access != access:
        raise Problem("wrong_access")
    return participant


async def require_host(request: web.Request, catalog: Catalog, session: Session) -> Participant | None:
    """Let through the host secret and the tokens of hosts; raises Problem `unauthorized` or `forbidden`.

    Returns: the host who asks; None: whoever has the host secret.
    """
    if is_host_secret(session, _bearer(request)):
        return None
    participant = await require_participant(request, catalog, session)
    if participant.role != "host":
        raise Problem("forbidden")
    return participant


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN:
        raise Problem("unauthorized")
    return token
