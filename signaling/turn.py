"""Credentials for a TURN server (draft-uberti-behave-turn-rest-00): a name that says until when, and its HMAC. A core.

The server needs nothing but the secret to check them, so nothing is kept here and nothing is revoked: they end by their
time. Whoever may use them at all is limited by the server: it must relay to the media port alone (docs/operator.md).
"""

import hmac
from base64 import b64encode

from signaling.messages import IceServer
from signaling.settings import TurnSettings


def ice_servers(settings: TurnSettings, participant_id: str, unix_s: float) -> list[IceServer]:
    """What a participant's page hands to its peer connections; empty without a TURN server. `unix_s`: now."""
    if not settings.urls:
        return []
    username = f"{int(unix_s) + settings.ttl_s}:{participant_id}"
    tag = hmac.digest(settings.secret.encode(), username.encode(), "sha1")
    return [IceServer(urls=list(settings.urls), username=username, credential=b64encode(tag).decode())]
