"""Handshakes that stall, that prove the wrong thing, and descriptions that want none."""

import asyncio

import pytest
from aiortc.rtcdtlstransport import RTCCertificate

import sfu.dtls
from sfu.engine import Sfu
from sfu.interfaces import NegotiationError, TrackKind, TrackRequest, TransportName
from tests.support import sdp
from tests.support.hostile import AUDIO, Call, at_a_pace, binding_request, client_hello
from tests.support.sfu_client import SfuClient


async def test_a_handshake_that_stops_halfway_fails_at_its_deadline_and_is_forgotten(
    sfu_: Sfu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sfu.dtls, "HANDSHAKE_S", 0.3)
    alice = SfuClient(sfu_.open_room("r"), "alice")
    offer = sdp.offer(alice.publishing.credentials, [AUDIO])
    answer = sdp.Description.parse(alice.peer.publish(offer, [TrackRequest("0", TrackKind.MICROPHONE)]))
    alice.publishing.socket.connect(answer.candidates()[0])
    check = binding_request(answer.first("ice-ufrag"), answer.first("ice-pwd"))
    fragments = [b"\x16\xfe\xfd" + bytes(8) + b"\x05\x00" + bytes(1280)] * 500
    await at_a_pace(sfu_, alice.publishing.send_datagram, [check, client_hello(), *fragments])
    transport = alice.peer.publisher.transport
    assert transport is not None
    assert transport.state == "connecting"
    assert transport._channel._queue.qsize() <= sfu.dtls.MAX_QUEUED
    await alice.until(lambda: (TransportName.PUBLISH, "failed") in alice.states)
    refused, dropped = sfu_.counters()["refused_checks"], sfu_.counters()["dropped_source"]
    await at_a_pace(sfu_, alice.publishing.send_datagram, [check, client_hello()])
    assert sfu_.counters()["refused_checks"] == refused + 1
    assert sfu_.counters()["dropped_source"] == dropped + 1
    assert [t.kind for t in alice.ended] == [TrackKind.MICROPHONE]
    await alice.close()


async def test_a_certificate_that_was_not_announced_fails_the_transport(sfu_: Sfu) -> None:
    alice = SfuClient(sfu_.open_room("r"), "alice")
    genuine = alice.publishing.credentials
    (foreign,) = (f.value for f in RTCCertificate.generateCertificate().getFingerprints() if f.algorithm == "sha-256")
    alice.publishing.credentials = sdp.Credentials(genuine.ufrag, genuine.password, foreign)
    connecting = asyncio.create_task(alice.publish(AUDIO))
    await alice.until(lambda: (TransportName.PUBLISH, "failed") in alice.states)
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    assert [state for _, state in alice.states] == ["connecting", "failed"]
    assert [t.kind for t in alice.ended] == [TrackKind.MICROPHONE]
    await alice.close()


def described(call: Call, old: str, new: str) -> None:
    """Alice offers again, with something else in her description."""
    text = sdp.offer(call.alice.publishing.credentials, [AUDIO])
    assert old in text
    call.alice.peer.publish(text.replace(old, new), [TrackRequest(AUDIO.mid, TrackKind.MICROPHONE)])


@pytest.mark.parametrize(
    ("old", "new", "id"),
    [
        ("a=fingerprint:sha-256 ", "a=fingerprint:sha-1 ", "bad_fingerprint"),
        ("a=fingerprint:sha-256 ", "a=fingerprint:md5 ", "bad_fingerprint"),
        ("a=fingerprint:sha-256 ", "a=x-fingerprint:sha-256 ", "bad_fingerprint"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP", "dtls_required"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVPF", "dtls_required"),
        ("UDP/TLS/RTP/SAVPF", "RTP/SAVPF", "dtls_required"),
        ("a=setup:actpass", "a=setup:passive", "bad_sdp"),
    ],
    ids=["sha-1", "md5", "no fingerprint", "plain RTP", "plain RTP with feedback", "keys in the description", "server"],
)
async def test_a_description_without_a_handshake_that_proves_something_is_refused_by_name(
    call: Call, old: str, new: str, id: str
) -> None:
    """Alice's call, whose connection stands, is not touched by her offer that was refused."""
    with pytest.raises(NegotiationError) as refused:
        described(call, old, new)
    assert refused.value.id == id


async def test_keys_in_the_description_are_no_keys(call: Call) -> None:
    """SDES beside DTLS (RFC 4568): the line is not read."""
    described(call, "a=rtcp-mux", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\r\na=rtcp-mux")
