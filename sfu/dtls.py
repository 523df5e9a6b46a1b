"""DTLS-SRTP (RFC 5764) for one transport: aiortc's RTCDtlsTransport over a bounded queue.

We are the server, but for a peer whose offer leaves us no choice (`setup:passive`, as FFmpeg's).

After the handshake SRTP never comes here: the packet path takes the keys and works synchronously. What stays is the
reading of DTLS records (retransmitted flights, alerts, close_notify).

All connections of a certificate share one SSL context: it holds the certificate, the ciphers and the profiles, nothing
of a peer. Whose certificate the peer showed is judged per connection, by its fingerprints.

`RTCDtlsTransport` needs of its transport `role`, `_recv` and `_send`, both raising ConnectionError at the end. These,
`_role`, `_srtp_profiles`, `_setup_srtp`, `_set_state`, `_ssl` and the certificate's `_create_ssl_context` are not
public: aiortc is pinned to a minor version, and tests/unit/test_sfu_dtls_handshake.py holds on to each.
"""

import asyncio
from collections.abc import Callable, Iterator

from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
    State,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from sfu.srtp import MasterKeys, Profile, keys_from_exporter

HANDSHAKE_S = 10.0
"""A handshake that takes longer has failed; browsers need 0.1 s."""

MAX_QUEUED = 32
"""DTLS records waiting, of at most 1,500 bytes each; a flight of a browser has five or six. Overflow: the newest is
dropped and counted."""

APPLICATION_DATA = 23
_PLAINTEXT_TYPES = frozenset({20, 21, 22, APPLICATION_DATA, 24, 26})
"""First bytes of records that say their length (RFC 6347 4.1, RFC 9147 4)."""

_RECORD_BYTES = 13
"""Before the content of such a record."""

MAX_RECORD_BYTES = 1500
"""Of one datagram that DTLS hands out."""

HASHES = frozenset({"sha-256", "sha-384", "sha-512"})
"""Hash functions taken in a fingerprint (RFC 8122 5 forbids the weaker ones)."""


class SharedCertificate(RTCCertificate):
    """A certificate with one SSL context for each list of profiles it is used with."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, cert: x509.Certificate) -> None:
        super().__init__(key, cert)
        self._contexts: dict[tuple[bytes, ...], SSL.Context] = {}

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        names = tuple(profile.openssl_profile for profile in srtp_profiles)
        context = self._contexts.get(names)
        if context is None:
            context = self._contexts[names] = super()._create_ssl_context(srtp_profiles)
            # A session resumed on another connection would bring the certificate of whoever began it.
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        return context


class Channel:
    """The transport below DTLS: datagrams in by `feed`, out by the given function."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_QUEUED)
        self._send_datagram = send
        self._closed = False
        self.dropped = 0
        self.unread = 0
        """Records of application data: there are no data channels here."""

    def feed(self, datagram: bytes) -> None:
        """Take a datagram apart into its records. aiortc reads once for each thing it is given: what one datagram has
        beyond its first record would pile up in OpenSSL without a bound, and a close_notify among it go unseen."""
        for record in records(datagram):
            if record[0] == APPLICATION_DATA:
                self.unread += 1
                continue
            try:
                self._queue.put_nowait(record)
            except asyncio.QueueFull:
                self.dropped += 1

    def close(self) -> None:
        self._closed = True
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def _recv(self) -> bytes:
        datagram = None if self._closed and self._queue.empty() else await self._queue.get()
        if datagram is None:
            raise ConnectionError
        return datagram

    async def _send(self, datagram: bytes) -> None:
        if self._closed or not self._send_datagram(datagram):
            raise ConnectionError


def records(datagram: bytes) -> Iterator[bytes]:
    """The records of a datagram; one that is cut, or does not say its length, is the rest of it."""
    at = 0
    while at < len(datagram) and 20 <= datagram[at] < 64:
        end = at + _RECORD_BYTES + int.from_bytes(datagram[at + 11 : at + _RECORD_BYTES], "big")
        if datagram[at] not in _PLAINTEXT_TYPES or end > len(datagram):
            end = len(datagram)
        yield datagram[at:end]
        at = end


class Dtls(RTCDtlsTransport):
    """Runs the handshake and exports the SRTP master keys."""

    def __init__(self, channel: Channel, certificate: RTCCertificate) -> None:
        super().__init__(channel, [certificate])  # type: ignore[arg-type]  # a Channel has all that is used of an RTCIceTransport
        self.keys: MasterKeys | None = None
        self._role = "server"
        by_name = {profile.openssl_profile: profile for profile in SRTP_PROFILES}
        self._srtp_profiles = [by_name[profile.value] for profile in Profile if profile.value in by_name]

    def be_client(self) -> None:
        """Send the ClientHello. To be called before `handshake`."""
        self._role = "client"

    @property
    def is_client(self) -> bool:
        return self._role == "client"

    def _setup_srtp(self) -> None:
        name = self._ssl.get_selected_srtp_profile() if self._ssl else b""
        if not name or self._ssl is None:
            self._set_state(State.FAILED)
            return
        profile = Profile(name)
        material = self._ssl.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (profile.key_bytes + profile.salt_bytes)
        )
        self.keys = keys_from_exporter(profile, material, is_server=not self.is_client)

    async def handshake(self, fingerprints: list[tuple[str, str]]) -> MasterKeys | None:
        """The keys, or None: refused, wrong certificate, or not done within HANDSHAKE_S.

        `fingerprints`: (hash function, value) of the peer's certificate from its SDP; each known one must match.
        """
        known = [RTCDtlsFingerprint(algorithm=name, value=value) for name, value in fingerprints]
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await self.start(RTCDtlsParameters(fingerprints=known))
        except TimeoutError:
            self._set_state(State.FAILED)
        return self.keys if self.state == "connected" else None

    def close_notify(self) -> list[bytes]:
        """The records that tell the other end that we close; none before the handshake is done or after its end."""
        if self._ssl is None or self.state != "connected":
            return []
        records: list[bytes] = []
        try:
            self._ssl.shutdown()
            while True:
                records.append(self._ssl.bio_read(MAX_RECORD_BYTES))
        except SSL.Error:  # nothing more to send, or a connection that is broken
            return records
