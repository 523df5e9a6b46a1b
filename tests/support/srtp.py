"""SRTP with AEAD_AES_128_GCM (RFC 7714) for raw peers, written apart from the program's so that one checks the other.

Guarantees: an index is used once per SSRC as long as callers go on counting; nothing here can check it. No replay
window: a raw peer wants to see duplicates.
"""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES, SALT_BYTES, TAG_BYTES = 16, 12, 16
EXPORT_BYTES = 2 * (KEY_BYTES + SALT_BYTES)
"""What DTLS is asked to export (RFC 5764 4.2): client key, server key, client salt, server salt."""
_INDEX = struct.Struct("!I")
_ENCRYPTED = 0x8000_0000


class Direction:
    """Session keys of one direction."""

    __slots__ = ("_rtcp", "_rtcp_salt", "decrypt", "encrypt", "rtcp_index", "salt")

    def __init__(self, key: bytes, salt: bytes) -> None:
        rtp = AESGCM(_derive(key, salt, 0, KEY_BYTES))
        self.encrypt = rtp.encrypt
        """(nonce, payload, header) -> payload and tag."""
        self.decrypt = rtp.decrypt
        self.salt = int.from_bytes(_derive(key, salt, 2, SALT_BYTES), "big")
        """Nonce: salt ^ ssrc << 48 ^ index, 12 bytes, big-endian."""
        self._rtcp = AESGCM(_derive(key, salt, 3, KEY_BYTES))
        self._rtcp_salt = int.from_bytes(_derive(key, salt, 5, SALT_BYTES), "big")
        self.rtcp_index = 0

    def protect(self, header: bytes, payload: bytes, ssrc: int, index: int) -> bytes:
        """A whole SRTP packet; `header` with its extensions, which stay readable."""
        return header + self.encrypt((self.salt ^ ssrc << 48 ^ index).to_bytes(12, "big"), payload, header)

    def unprotect(self, packet: bytes, ssrc: int, index: int) -> tuple[bytes, bytes]:
        """(header, payload). Raises InvalidTag."""
        size = header_bytes(packet)
        nonce = (self.salt ^ ssrc << 48 ^ index).to_bytes(12, "big")
        return packet[:size], self.decrypt(nonce, packet[size:], packet[:size])

    def protect_rtcp(self, compound: bytes) -> bytes:
        self.rtcp_index = index = self.rtcp_index + 1
        head, tail = compound[:8], _INDEX.pack(index | _ENCRYPTED)
        return head + self._rtcp.encrypt(self._rtcp_nonce(head, index), compound[8:], head + tail) + tail

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """None when it is not authentic."""
        head, tail = packet[:8], packet[-4:]
        if len(packet) < 8 + TAG_BYTES + 4:
            return None
        index = _INDEX.unpack(tail)[0] & ~_ENCRYPTED
        try:
            return head + self._rtcp.decrypt(self._rtcp_nonce(head, index), packet[8:-4], head + tail)
        except InvalidTag:
            return None

    def _rtcp_nonce(self, head: bytes, index: int) -> bytes:
        return (self._rtcp_salt ^ int.from_bytes(head[4:8], "big") << 48 ^ index).to_bytes(12, "big")


def client_directions(exported: bytes) -> tuple[Direction, Direction]:
    """(outgoing, incoming) of the DTLS client from EXPORT_BYTES of keying material."""
    client_key, server_key = exported[:KEY_BYTES], exported[KEY_BYTES : 2 * KEY_BYTES]
    salts = exported[2 * KEY_BYTES :]
    return Direction(client_key, salts[:SALT_BYTES]), Direction(server_key, salts[SALT_BYTES:])


def header_bytes(packet: bytes) -> int:
    """Size of an RTP header with CSRCs and extension (RFC 3550 5.1)."""
    size = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        size += 4 + 4 * int.from_bytes(packet[size + 2 : size + 4], "big")
    return size


def _derive(key: bytes, salt: bytes, label: int, size: int) -> bytes:
    """RFC 3711 4.3.1 with a rate of zero; the 12-byte salt is padded as RFC 7714 12 says."""
    block = bytearray(salt + bytes(4))
    block[7] ^= label
    return Cipher(algorithms.AES(key), modes.CTR(bytes(block))).encryptor().update(bytes(size))
