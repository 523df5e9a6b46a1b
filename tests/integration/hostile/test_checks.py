"""Connectivity checks of strangers, of liars, and of members who want another's address."""

import socket
import struct

import pytest
from aioice import stun

from tests.support.hostile import Attacker, Call, at_a_pace, binding_request, client_hello, holds
from tests.support.sfu_client import SfuClient

SOURCES = 10_000


async def test_a_flood_of_checks_without_the_password_gets_no_answer_and_leaves_no_state(
    call: Call, mallory: Attacker
) -> None:
    transport = call.alice.peer.publisher.transport
    assert transport is not None
    ufrag, addresses = transport.ice.ufrag, dict(transport.ice.addresses)
    wrong = [binding_request(ufrag, f"guess{n}", USE_CANDIDATE=None) for n in range(500)]
    unknown = [binding_request(f"{n:08x}", "guess") for n in range(500)]
    bare = [b"\x00\x01\x00\x00\x21\x12\xa4\x42" + n.to_bytes(12, "big") for n in range(500)]
    await mallory.send(*wrong, *unknown, *bare)
    assert call.counted("refused_checks") == 1500
    assert mallory.answers() == []
    assert transport.ice.addresses == addresses


async def test_one_who_claims_to_be_controlled_is_told_of_the_conflict_and_not_taken(
    call: Call, mallory: Attacker
) -> None:
    transport = call.alice.peer.publisher.transport
    assert transport is not None
    selected = transport.ice.selected
    request = binding_request(transport.ice.ufrag, transport.ice.password, ICE_CONTROLLED=7, USE_CANDIDATE=None)
    await mallory.send(request)
    (answer,) = mallory.answers()
    assert stun.parse_message(answer).error_code == 487
    assert len(answer) <= len(request) + 24
    assert transport.ice.selected == selected
    await mallory.send(client_hello())
    assert call.counted("dropped_source") == 1, "its address is not taken for checked"


async def test_a_member_cannot_take_over_the_address_of_another(call: Call) -> None:
    transport = call.bob.peer.subscriber.transport
    assert transport is not None
    selected = transport.ice.selected
    await call.from_alice(binding_request(transport.ice.ufrag, transport.ice.password, USE_CANDIDATE=None))
    assert call.counted("refused_claims") == 1
    assert transport.ice.selected == selected


async def test_a_viewer_who_vanished_is_sent_nothing_once_its_consent_expired(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 7675 5.1. Time is not waited for: the last check is put into the past."""
    transport = call.bob.peer.subscriber.transport
    assert transport is not None
    carol = SfuClient(call.room, "carol")
    await carol.subscribe()
    await carol.subscribing.close(silently=True)
    gone = carol.peer.subscriber.transport
    assert gone is not None
    gone.ice.last_check -= 31.0
    await holds(lambda: gone.state == "failed")
    sent = call.sfu.counters()["sent"]
    await call.still_works()
    assert carol.peer.subscriber.subscriptions()[0].encoding is None
    assert call.sfu.counters()["sent"] - sent < 5 + 5 + 3
    await carol.publishing.close()


async def test_ten_thousand_sources_leave_no_state_and_get_no_answer(call: Call) -> None:
    transport = call.alice.peer.publisher.transport
    assert transport is not None
    (media,) = call.sfu._network._sockets
    known = (len(media.media), len(media.dtls), len(media._claims), len(call.sfu._network._by_ufrag))
    request = binding_request(transport.ice.ufrag, "guess")
    sources: set[tuple[str, int]] = set()

    def from_a_new_source(datagram: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            number = len(sources)
            stranger.bind((f"127.0.{1 + number // 250}.{1 + number % 250}", 0))
            stranger.sendto(datagram, ("127.0.0.1", call.sfu.port))
            sources.add(stranger.getsockname())

    sent = call.sfu.counters()["sent"]
    await at_a_pace(call.sfu, from_a_new_source, [request] * SOURCES)
    assert len(sources) == SOURCES
    assert call.counted("refused_checks") == SOURCES
    assert call.sfu.counters()["sent"] - sent < 100, "RTCP of the call, no answers"
    assert (len(media.media), len(media.dtls), len(media._claims), len(call.sfu._network._by_ufrag)) == known


async def test_a_check_with_attributes_that_must_be_understood_is_told_which_are_not(
    call: Call, mallory: Attacker
) -> None:
    """RFC 8489 6.3.1: 420 with UNKNOWN-ATTRIBUTES; what may be ignored is."""
    transport = call.alice.peer.publisher.transport
    assert transport is not None
    addresses = dict(transport.ice.addresses)
    plain = binding_request(transport.ice.ufrag, transport.ice.password)
    strange = with_attributes(transport.ice.password, plain, (0x7001, b"what"), (0xC001, b"ever"), (0x0033, b""))
    await mallory.send(strange)
    (answer,) = mallory.answers()
    message = stun.parse_message(answer)
    assert message.check_message_integrity(transport.ice.password.encode())
    assert message.error_code == 420
    assert attribute(answer, 0x000A) == struct.pack("!HH", 0x7001, 0x0033)
    assert transport.ice.addresses == addresses, "it is no valid check"
    await mallory.send(with_attributes("guess", plain, (0x7001, b"what")))
    assert mallory.answers() == [], "only who has the password is told"


def with_attributes(password: str, request: bytes, *added: tuple[int, bytes]) -> bytes:
    """The request with further attributes, and a new MESSAGE-INTEGRITY."""
    body = request[20 : 20 + int.from_bytes(request[2:4], "big")]
    kept, at = b"", 0
    while at < len(body):
        kind, size = struct.unpack_from("!HH", body, at)
        whole = body[at : at + 4 + size + -size % 4]
        at += len(whole)
        if kind not in (0x0008, 0x8028):
            kept += whole
    kept += b"".join(struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4) for kind, value in added)
    message = request[:2] + struct.pack("!H", len(kept) + 24) + request[4:20] + kept
    return message + struct.pack("!HH", 0x0008, 20) + stun.message_integrity(message, password.encode())


def attribute(message: bytes, wanted: int) -> bytes:
    at = 20
    while at < len(message):
        kind, size = struct.unpack_from("!HH", message, at)
        if kind == wanted:
            return message[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    raise AssertionError(f"no attribute {wanted:#06x}")
