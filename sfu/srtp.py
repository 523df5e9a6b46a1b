"""SRTP and SRTCP (RFC 3711, RFC 7714): keys, nonces, and one uniform pair of calls for the packet path.

AES-GCM runs through `cryptography`: one call with nonce, data and associated data, about half the cost of libsrtp for
a packet of 1100 bytes (docs/decisions/0002-own-srtp.md). AES-CM with HMAC-SHA1 is there for clients that offer nothing
else, through pylibsrtp.

GCM is broken by encrypting two different texts under one nonce, and the nonce is (SSRC, packet index): the callers
keep the promise that an index is used once per SSRC; nothing here can check it.
"""

import enum
from array import array
from collections.abc import Callable

import msgspec
import pylibsrtp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pylibsrtp._binding import ffi

Crypt = Callable[[bytes, bytes, bytes], bytes]
"""(nonce of 12 bytes, text, associated data) -> text. Decryption raises InvalidTag."""

WINDOW = 4096
"""Replay window in packets: about 8 s of 4 Mbit/s video, so that a late retransmission is still taken."""

RTCP_WINDOW = 128
"""The same for RTCP: of each sender (SSRC), because each counts its packets itself (RFC 3711 3.2.3). Browsers report
under one for sound, another for pictures."""

MAX_RTCP_SENDERS = 256
"""SSRCs of one connection under which RTCP comes: those of tracks and of reports on others'. Overflow: what comes under
a further one is refused."""

_LIBSRTP_BUFFER_BYTES = 4096
"""The longest datagram, what a retransmission adds to it, and 148 bytes that pylibsrtp keeps free."""

_LABEL_RTP, _LABEL_RTP_SALT, _LABEL_RTCP, _LABEL_RTCP_SALT = 0, 2, 3, 5


class Profile(enum.Enum):
    """Protection profiles by their names in OpenSSL, in our order of preference."""

    AEAD_AES_128_GCM = b"SRTP_AEAD_AES_128_GCM"
    AEAD_AES_256_GCM = b"SRTP_AEAD_AES_256_GCM"
    AES128_CM_SHA1_80 = b"SRTP_AES128_CM_SHA1_80"

    @property
    def key_bytes(self) -> int:
        return 32 if self is Profile.AEAD_AES_256_GCM else 16

    @property
    def salt_bytes(self) -> int:
        return 14 if self is Profile.AES128_CM_SHA1_80 else 12


class MasterKeys(msgspec.Struct, frozen=True):
    """Key followed by salt, for each direction, as seen from this end."""

    profile: Profile
    send: bytes
    receive: bytes


def keys_from_exporter(profile: Profile, material: bytes, *, is_server: bool) -> MasterKeys:
    """Split what DTLS exports (RFC 5764 4.2): client key, server key, client salt, server salt."""
    k, s = profile.key_bytes, profile.salt_bytes
    client = material[:k] + material[2 * k : 2 * k + s]
    server = material[k : 2 * k] + material[2 * k + s : 2 * k + 2 * s]
    return MasterKeys(profile, server, client) if is_server else MasterKeys(profile, client, server)


def derive(master: bytes, key_bytes: int, label: int, size: int) -> bytes:
    """AES-CM key derivation (RFC 3711 4.3.1, RFC 7714 12) with a key derivation rate of zero."""
    block = bytearray(master[key_bytes:] + bytes(16 - (len(master) - key_bytes)))
    block[7] ^= label
    return Cipher(algorithms.AES(master[:key_bytes]), modes.CTR(bytes(block))).encryptor().update(bytes(size))


class ReplayWindow:
    """Which of the last WINDOW packet indices were taken (RFC 3711 3.3.2). `slots[index % WINDOW] == index`: taken."""

    __slots__ = ("slots",)

    def __init__(self, size: int = WINDOW) -> None:
        self.slots = array("q", [-1]) * size


class _RtcpWindow(ReplayWindow):
    """Of one sender of RTCP."""

    __slots__ = ("_highest",)

    def __init__(self) -> None:
        super().__init__(RTCP_WINDOW)
        self._highest = -1

    def has_seen(self, index: int) -> bool:
        """It was taken, or is too old to say."""
        return index <= self._highest - RTCP_WINDOW or self.slots[index % RTCP_WINDOW] == index

    def note(self, index: int) -> None:
        self.slots[index % RTCP_WINDOW] = index
        self._highest = max(self._highest, index)


class SendKeys:
    """What a sender of RTP needs: `encrypt(nonce, payload, header)` and the salt the nonce is made of."""

    __slots__ = ("_index", "_protect_rtcp", "encrypt", "salt")

    def __init__(self, profile: Profile, master: bytes) -> None:
        self._index = 0
        if profile is Profile.AES128_CM_SHA1_80:
            session = _libsrtp(master, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
            self.salt = 0
            self.encrypt: Crypt = lambda _nonce, payload, header: session.protect(header + payload)[len(header) :]
            self._protect_rtcp: Callable[[bytes], bytes] = session.protect_rtcp
            return
        k = profile.key_bytes
        self.encrypt = AESGCM(derive(master, k, _LABEL_RTP, k)).encrypt
        self.salt = int.from_bytes(derive(master, k, _LABEL_RTP_SALT, 12), "big")
        rtcp = AESGCM(derive(master, k, _LABEL_RTCP, k)).encrypt
        rtcp_salt = int.from_bytes(derive(master, k, _LABEL_RTCP_SALT, 12), "big")

        def protect(packet: bytes) -> bytes:
            self._index = index = self._index + 1
            trailer = (index | 0x80000000).to_bytes(4, "big")
            header = packet[:8]
            nonce = rtcp_salt ^ int.from_bytes(header[4:], "big") << 48 ^ index
            return header + rtcp(nonce.to_bytes(12, "big"), packet[8:], header + trailer) + trailer

        self._protect_rtcp = protect

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Encrypt a compound packet; each call uses the next SRTCP index."""
        return self._protect_rtcp(packet)


class ReceiveKeys:
    """What a receiver needs; the replay check of RTP is its caller's, that of RTCP is here."""

    __slots__ = ("_seen", "_unprotect_rtcp", "decrypt", "salt")

    def __init__(self, profile: Profile, master: bytes) -> None:
        self._seen: dict[int, _RtcpWindow] = {}
        """By SSRC; whose first packet is authentic gets one."""
        if profile is Profile.AES128_CM_SHA1_80:
            session = _libsrtp(master, pylibsrtp.Policy.SSRC_ANY_INBOUND)
            self.salt = 0

            def unprotect(_nonce: bytes, payload: bytes, header: bytes) -> bytes:
                try:
                    return session.unprotect(header + payload)[len(header) :]
                except pylibsrtp.Error as error:
                    raise InvalidTag from error

            def unprotect_rtcp(packet: bytes) -> bytes | None:
                try:
                    return session.unprotect_rtcp(packet)
                except pylibsrtp.Error:
                    return None

            self.decrypt: Crypt = unprotect
            self._unprotect_rtcp: Callable[[bytes], bytes | None] = unprotect_rtcp
            return
        k = profile.key_bytes
        self.decrypt = AESGCM(derive(master, k, _LABEL_RTP, k)).decrypt
        self.salt = int.from_bytes(derive(master, k, _LABEL_RTP_SALT, 12), "big")
        rtcp = AESGCM(derive(master, k, _LABEL_RTCP, k)).decrypt
        rtcp_salt = int.from_bytes(derive(master, k, _LABEL_RTCP_SALT, 12), "big")

        def open_rtcp(packet: bytes) -> bytes | None:
            header, trailer = packet[:8], packet[-4:]
            index = int.from_bytes(trailer, "big")
            if len(packet) < 28 or not index & 0x80000000:
                return None
            index &= 0x7FFFFFFF
            ssrc = int.from_bytes(header[4:], "big")
            window = self._seen.get(ssrc)
            if window is None:
                if len(self._seen) >= MAX_RTCP_SENDERS:
                    return None
            elif window.has_seen(index):
                return None
            nonce = rtcp_salt ^ ssrc << 48 ^ index
            try:
                plain = header + rtcp(nonce.to_bytes(12, "big"), packet[8:-4], header + trailer)
            except InvalidTag:
                return None
            if window is None:
                window = self._seen[ssrc] = _RtcpWindow()
            window.note(index)
            return plain

        self._unprotect_rtcp = open_rtcp

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The plain compound packet, or None: not authentic, not encrypted, or seen before."""
        return self._unprotect_rtcp(packet)


def _libsrtp(master: bytes, direction: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(
        key=master, ssrc_type=direction, srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80
    )
    policy.window_size = WINDOW
    session = pylibsrtp.Session(policy)
    # Its buffer of 1,500 bytes seals at most 1,356, and what is longer raises in the packet path (not public; a test
    # holds on to it).
    session._cdata = ffi.new("char[]", _LIBSRTP_BUFFER_BYTES)
    session._buffer = ffi.buffer(session._cdata)
    return session
