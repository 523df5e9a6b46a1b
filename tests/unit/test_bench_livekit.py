"""What the comparison with LiveKit says and understands of LiveKit's signaling."""

import base64
import hashlib
import hmac
import json

from bench.livekit import ROOM, early, token


def test_a_token_is_a_signed_jwt_with_the_right_to_join_the_room() -> None:
    given = token("secret")
    head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in given.split("."))
    assert json.loads(head) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(claims)["video"] == {"roomJoin": True, "room": ROOM}
    signed = given.rpartition(".")[0].encode()
    assert signature == hmac.digest(b"secret", signed, hashlib.sha256)
    assert token("secret") != token("secret"), "two participants have two identities"


def delimited(field: int, content: bytes) -> bytes:
    assert len(content) < 1 << 14
    return bytes((field << 3 | 2, len(content) & 0x7F | 0x80, len(content) >> 7)) + content


def test_offers_and_candidates_in_protobuf_read_like_those_in_json() -> None:
    description = "v=0" + 300 * " "
    offer = delimited(3, delimited(1, b"offer") + delimited(2, description.encode()))
    assert early(offer) == {"offer": {"type": "offer", "sdp": description}}
    candidate = delimited(4, delimited(1, b"{}") + b"\x10\x01")
    assert early(candidate) == {"trickle": {"candidateInit": "{}", "target": "SUBSCRIBER"}}
    assert early(delimited(4, delimited(1, b"{}")))["trickle"]["target"] == "PUBLISHER"
    assert early(delimited(16, b"a refreshed token")) == {}
