"""DTLS over channels in memory, with aiortc's own client at the other end; and what we use of aiortc below its API."""

import asyncio
import inspect
import random
import re

import pytest
from aiortc import rtcdtlstransport
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    certificate_digest,
)
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

import sfu.dtls
from sfu.dtls import APPLICATION_DATA, MAX_QUEUED, Channel, Dtls, SharedCertificate, records
from sfu.srtp import MasterKeys, Profile, keys_from_exporter
from tests.support.properties import any_input

CERTIFICATES = [RTCCertificate.generateCertificate() for _ in range(3)]
OURS, THEIRS, FOREIGN = CERTIFICATES


def fingerprints(certificate: RTCCertificate) -> list[tuple[str, str]]:
    return [(f.algorithm, f.value) for f in certificate.getFingerprints()]


class Client(RTCDtlsTransport):
    """aiortc's client; `exported` is the keying material, if it got so far."""

    role = "controlling"

    def __init__(self, profiles: list[object] | None = None) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.outgoing: list[bytes] = []
        self.deliver = lambda datagram: None
        super().__init__(self, [THEIRS])  # type: ignore[arg-type]
        self._role = "client"
        if profiles is not None:
            self._srtp_profiles = profiles  # type: ignore[assignment]
        self.keys: MasterKeys | None = None

    async def _recv(self) -> bytes:
        return await self.inbox.get()

    async def _send(self, datagram: bytes) -> None:
        self.outgoing.append(datagram)
        self.deliver(datagram)  # type: ignore[no-untyped-call]

    def _setup_srtp(self) -> None:
        super()._setup_srtp()
        if self._ssl is not None and (name := self._ssl.get_selected_srtp_profile()):
            profile = Profile(name)
            size = 2 * (profile.key_bytes + profile.salt_bytes)
            material = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", size)
            self.keys = keys_from_exporter(profile, material, is_server=self._role == "server")


def record(kind: int, content: bytes) -> bytes:
    """RFC 6347 4.1."""
    return bytes((kind, 0xFE, 0xFD)) + bytes(8) + len(content).to_bytes(2, "big") + content


FRAGMENT = record(22, bytes(1400))


class Ends:
    """A server and a client, joined."""

    def __init__(self, profiles: list[object] | None = None, certificate: RTCCertificate = OURS) -> None:
        self.client = Client(profiles)
        self.channel = Channel(self._to_client)
        self.certificate = certificate
        self.server = Dtls(self.channel, certificate)
        self.client.deliver = self.channel.feed

    def _to_client(self, datagram: bytes) -> bool:
        self.client.inbox.put_nowait(datagram)
        return True

    async def handshake(self, expected: list[tuple[str, str]] | None = None) -> MasterKeys | None:
        known = RTCDtlsParameters([RTCDtlsFingerprint(*f) for f in fingerprints(self.certificate)])
        client = asyncio.create_task(self.client.start(known))
        keys = await self.server.handshake(fingerprints(THEIRS) if expected is None else expected)
        if keys is not None:
            await client
        client.cancel()
        await asyncio.gather(client, return_exceptions=True)
        return keys

    async def close(self) -> None:
        self.channel.close()
        await self.server.stop()
        await self.client.stop()


@pytest.fixture
async def ends() -> Ends:
    return Ends()


# --- the handshake


async def test_both_ends_have_the_same_keys_crosswise(ends: Ends) -> None:
    keys = await ends.handshake()
    assert keys is not None
    assert ends.client.keys is not None
    assert keys.profile is Profile.AEAD_AES_128_GCM, "our first preference"
    assert (keys.send, keys.receive) == (ends.client.keys.receive, ends.client.keys.send)
    assert len(keys.send) == keys.profile.key_bytes + keys.profile.salt_bytes
    await ends.close()


async def test_a_peer_that_only_waits_is_called(ends: Ends) -> None:
    ends.client._role = "server"
    ends.server.be_client()
    keys = await ends.handshake()
    assert keys is not None
    assert ends.client.keys is not None
    assert (keys.send, keys.receive) == (ends.client.keys.receive, ends.client.keys.send)
    await ends.close()


async def test_a_called_peer_with_another_certificate_gets_no_keys(ends: Ends) -> None:
    ends.client._role = "server"
    ends.server.be_client()
    assert await ends.handshake(fingerprints(FOREIGN)) is None
    await ends.close()


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (SRTP_AEAD_AES_128_GCM, Profile.AEAD_AES_128_GCM),
        (SRTP_AEAD_AES_256_GCM, Profile.AEAD_AES_256_GCM),
        (SRTP_AES128_CM_SHA1_80, Profile.AES128_CM_SHA1_80),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_a_client_with_one_profile_gets_it(profile: object, expected: Profile) -> None:
    ends = Ends([profile])
    keys = await ends.handshake()
    assert keys is not None
    assert keys.profile is expected
    assert ends.client.keys is not None
    assert keys.send == ends.client.keys.receive
    await ends.close()


async def test_a_wrong_fingerprint_gives_no_keys(ends: Ends) -> None:
    assert await ends.handshake(fingerprints(FOREIGN)) is None
    assert ends.server.state == "failed"
    await ends.close()


async def test_each_known_fingerprint_must_match(ends: Ends) -> None:
    mixed = [fingerprints(THEIRS)[0], next(f for f in fingerprints(FOREIGN) if f[0] != fingerprints(THEIRS)[0][0])]
    assert await ends.handshake(mixed) is None
    await ends.close()


async def test_a_weak_hash_alone_gives_no_keys(ends: Ends) -> None:
    assert await ends.handshake([("sha-1", "AA:BB"), ("md5", "CC")]) is None
    await ends.close()


async def test_a_weak_hash_beside_a_good_one_is_ignored(ends: Ends) -> None:
    assert await ends.handshake([("sha-1", "AA:BB"), *fingerprints(THEIRS)]) is not None
    await ends.close()


async def test_no_common_srtp_profile_gives_no_keys() -> None:
    ends = Ends([SRTP_AEAD_AES_256_GCM])
    ends.server._srtp_profiles = [SRTP_AES128_CM_SHA1_80]
    assert await ends.handshake() is None
    await ends.close()


async def test_noise_before_and_during_the_handshake_does_not_disturb_it(ends: Ends) -> None:
    noise = random.Random(1)

    def deliver(datagram: bytes) -> None:
        for _ in range(3):
            ends.channel.feed(bytes((noise.randrange(20, 64),)) + noise.randbytes(noise.randrange(200)))
        ends.channel.feed(datagram)

    deliver(b"\x16\xfe\xff")
    ends.client.deliver = deliver
    assert await ends.handshake() is not None
    await ends.close()


# --- one context for all connections of a certificate


def shake(server: SSL.Connection, client: SSL.Connection) -> None:
    """A handshake in memory between two bare connections."""
    server.set_accept_state()
    client.set_connect_state()
    ends = [(client, server), (server, client)]
    for _ in range(10):
        for end, other in ends:
            try:
                end.do_handshake()
            except SSL.WantReadError:
                pass
            try:
                while True:
                    other.bio_write(end.bio_read(65_536))
            except SSL.WantReadError:
                pass


def test_the_context_is_made_once_for_each_list_of_profiles() -> None:
    certificate = SharedCertificate.generateCertificate()
    usual = certificate._create_ssl_context([SRTP_AEAD_AES_128_GCM])
    assert certificate._create_ssl_context([SRTP_AEAD_AES_128_GCM]) is usual
    assert certificate._create_ssl_context([SRTP_AEAD_AES_256_GCM]) is not usual
    assert SharedCertificate.generateCertificate()._create_ssl_context([SRTP_AEAD_AES_128_GCM]) is not usual


async def test_connections_that_share_a_context_have_own_keys_and_are_judged_by_own_fingerprints() -> None:
    certificate = SharedCertificate.generateCertificate()
    three = [Ends(certificate=certificate) for _ in range(3)]
    expected = [None, fingerprints(FOREIGN), None]
    keys = await asyncio.gather(*(ends.handshake(known) for ends, known in zip(three, expected, strict=True)))
    assert [found is not None for found in keys] == [True, False, True]
    assert keys[0] is not None
    assert keys[2] is not None
    assert keys[0].send != keys[2].send
    contexts = {id(ends.server._ssl.get_context()) for ends in three if ends.server._ssl is not None}
    assert len(contexts) == 1
    for ends in three:
        await ends.close()


def test_no_session_is_resumed_with_the_certificate_of_somebody_else() -> None:
    shared = SharedCertificate.generateCertificate()._create_ssl_context([SRTP_AEAD_AES_128_GCM])
    clients = THEIRS._create_ssl_context([SRTP_AEAD_AES_128_GCM])
    first = SSL.Connection(clients)
    shake(SSL.Connection(shared), first)
    session = first.get_session()
    assert session is not None
    second = SSL.Connection(clients)
    second.use_certificate(FOREIGN._cert)
    second.use_privatekey(FOREIGN._key)
    second.set_session(session)
    server = SSL.Connection(shared)
    shake(server, second)
    shown = server.get_peer_certificate(as_cryptography=True)
    assert shown is not None
    assert certificate_digest(shown, "sha-256") == dict(fingerprints(FOREIGN))["sha-256"]


# --- what does not end


async def test_a_handshake_that_is_never_begun_fails_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sfu.dtls, "HANDSHAKE_S", 0.02)
    server = Dtls(Channel(lambda _datagram: True), OURS)
    assert await server.handshake(fingerprints(THEIRS)) is None
    assert server.state == "failed"
    await server.stop()


async def test_a_handshake_that_stops_halfway_fails_at_its_deadline(
    monkeypatch: pytest.MonkeyPatch, ends: Ends
) -> None:
    monkeypatch.setattr(sfu.dtls, "HANDSHAKE_S", 0.2)
    begun: list[bytes] = []

    def only_the_first(datagram: bytes) -> None:
        begun.append(datagram)
        if len(begun) == 1:
            ends.channel.feed(datagram)

    ends.client.deliver = only_the_first
    assert await ends.handshake() is None
    assert ends.server.state == "failed"
    await ends.close()


async def test_closing_the_channel_ends_a_handshake(ends: Ends) -> None:
    handshake = asyncio.create_task(ends.server.handshake(fingerprints(THEIRS)))
    await asyncio.sleep(0)
    ends.channel.close()
    assert await handshake is None


async def test_a_flood_of_fragments_fills_the_queue_and_no_more() -> None:
    channel = Channel(lambda _datagram: True)
    for _ in range(10 * MAX_QUEUED):
        channel.feed(FRAGMENT)
    assert channel.dropped == 9 * MAX_QUEUED
    channel.close()
    assert [await channel._recv() for _ in range(MAX_QUEUED - 1)] == [FRAGMENT] * (MAX_QUEUED - 1)
    with pytest.raises(ConnectionError):
        await channel._recv()
    with pytest.raises(ConnectionError):
        await channel._recv()


async def received(channel: Channel) -> list[bytes]:
    """What waits in a channel that is closed."""
    got: list[bytes] = []
    try:
        while True:
            got.append(await channel._recv())
    except ConnectionError:
        return got


async def test_a_datagram_is_given_record_by_record_and_data_not_at_all() -> None:
    channel = Channel(lambda _datagram: True)
    first, second, data = record(22, b"hello"), record(20, b"\1"), record(APPLICATION_DATA, b"sctp")
    cut = first[:-1]
    for datagram in (
        first + second,
        data * 30 + second,
        second + cut,
        b"\x2f\0\1whole",
        first + b"\0\0",
        b"\x16",
        data,
    ):
        channel.feed(datagram)
    channel.close()
    assert await received(channel) == [first, second, second, second, cut, b"\x2f\0\1whole", first, b"\x16"]
    assert channel.unread == 31


@any_input
@given(st.binary(max_size=200))
def test_no_datagram_raises_and_its_records_are_pieces_of_it_in_order(datagram: bytes) -> None:
    pieces = list(records(datagram))
    assert datagram.startswith(b"".join(pieces))
    assert all(pieces)


async def test_a_close_behind_other_records_in_one_datagram_is_seen(ends: Ends) -> None:
    assert await ends.handshake() is not None
    closed = asyncio.Event()
    ends.server.add_listener("statechange", closed.set)
    sealed: list[bytes] = []
    ends.client.deliver = sealed.append
    for _ in range(20):
        await ends.client._send_data(b"x")
    await ends.client.stop()
    assert len(b"".join(sealed)) < 1500
    ends.channel.feed(b"".join(sealed))
    async with asyncio.timeout(5):
        await closed.wait()
    assert ends.server.state == "closed"
    await ends.close()


async def test_a_closed_channel_sends_nothing() -> None:
    sent: list[bytes] = []
    channel = Channel(lambda datagram: not sent.append(datagram))  # type: ignore[func-returns-value]
    await channel._send(b"one")
    channel.close()
    with pytest.raises(ConnectionError):
        await channel._send(b"two")
    assert sent == [b"one"]
    with pytest.raises(ConnectionError):
        await Channel(lambda _datagram: False)._send(b"three")


async def test_the_peer_closing_is_seen(ends: Ends) -> None:
    assert await ends.handshake() is not None
    states: list[str] = []
    closed = asyncio.Event()
    ends.server.add_listener("statechange", lambda: (states.append(ends.server.state), closed.set()))
    await ends.client.stop()
    async with asyncio.timeout(5):
        await closed.wait()
    assert states == ["closed"]
    await ends.close()


async def test_our_closing_is_seen_by_the_peer(ends: Ends) -> None:
    assert ends.server.close_notify() == [], "before the handshake there is nobody to tell"
    assert await ends.handshake() is not None
    closed = asyncio.Event()
    ends.client.add_listener("statechange", closed.set)
    for record in ends.server.close_notify():
        ends.client.inbox.put_nowait(record)
    async with asyncio.timeout(5):
        await closed.wait()
    assert ends.client.state == "closed"
    await ends.close()
    assert ends.server.close_notify() == []


# --- private attributes of aiortc 1.16


def test_everything_that_is_used_below_the_api_of_aiortc_is_there() -> None:
    transport = RTCDtlsTransport(Channel(lambda _datagram: True), [OURS])  # type: ignore[arg-type]
    for attribute in ("_role", "_srtp_profiles", "_ssl", "_state"):
        assert hasattr(transport, attribute), attribute
    for method in ("_setup_srtp", "_set_state", "start", "stop", "emit", "add_listener"):
        assert callable(getattr(transport, method)), method
    assert transport.state == "new"
    assert [p.openssl_profile for p in transport._srtp_profiles], "a list that a subclass may replace"
    assert {p.value for p in Profile} <= {p.openssl_profile for p in rtcdtlstransport.SRTP_PROFILES}
    assert {"CONNECTED", "FAILED", "CLOSED"} <= {state.name for state in rtcdtlstransport.State}


def test_the_role_is_kept_and_the_profiles_are_taken_from_the_instance() -> None:
    source = inspect.getsource(RTCDtlsTransport.start)
    assert 'self._role == "auto"' in source
    assert "srtp_profiles=self._srtp_profiles" in source
    assert "__local_certificate._create_ssl_context(" in source, "the context comes from the certificate"


def test_a_certificate_is_made_through_its_constructor_and_its_context_resumes_nothing_by_ticket() -> None:
    assert isinstance(SharedCertificate.generateCertificate(), SharedCertificate)
    source = inspect.getsource(RTCCertificate._create_ssl_context)
    assert "SSL.OP_NO_TICKET" in source
    assert "lambda *args: True" in source, "the context itself judges no peer and keeps nothing of one"


def test_aiortc_asks_of_its_transport_what_a_channel_has_and_no_more() -> None:
    used = set(re.findall(r"self\.transport\.(\w+)", inspect.getsource(RTCDtlsTransport)))
    assert used == {"_recv", "_send", "role"}
    assert all(hasattr(Channel, name) for name in used)
