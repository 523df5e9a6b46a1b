"""The lite side of ICE (RFC 8445 2.5) for one transport: answers connectivity checks, learns and selects addresses.

A core: datagrams and `now` in, answers out. It never sends a check of its own and keeps no state for a request that
is not authentic; an answer is never longer than the request plus 24 bytes of address attributes and error text.

A restart (RFC 8445 9) gives new credentials. Those that were in use before are answered beside them until the first
check with the new ones; from then on they are nobody's.
"""

import secrets
import struct
from collections.abc import Callable, Sequence

import msgspec
from aioice import stun

Address = tuple[str, int] | tuple[str, int, int, int]
"""As the socket gives it (IPv4 or IPv6)."""

MAX_ADDRESSES = 16
"""Addresses of one peer that passed a check. Overflow: the one checked longest ago is forgotten."""

LOST_AFTER_S = 30.0
"""A peer without a valid check for this long is gone (RFC 7675 5.1: consent expires after 30 s)."""


SILENCE_S = 5.0
"""Two intervals of Chromium's checks: a peer that is heard again after so long was cut off, in both directions."""

KNOWN_REQUIRED = frozenset({0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0014, 0x0015, 0x0020, 0x0024, 0x0025})
"""Comprehension-required attributes (RFC 8489 18.3, RFC 8445 16.1) that a binding request may have without a 420."""

MAX_UNKNOWN = 16
"""Unknown attributes named in an answer, so that it stays shorter than the request."""

_INTEGRITY = 0x0008
_UNKNOWN_ATTRIBUTES = 0x000A
_FINGERPRINT = 0x8028


class Answer(msgspec.Struct, frozen=True):
    """What to do about a request: `data` goes back to where it came from; `valid`: the address passed a check;
    `selects`: its pair, which includes the local socket it came to, is the one to send on; `resumes`: the peer was cut
    off and is back."""

    data: bytes
    valid: bool
    selects: bool = False
    resumes: bool = False


def username(datagram: bytes) -> str | None:
    """Our part of USERNAME in a STUN binding request, read without the cost of a whole parse; None if there is none."""
    if len(datagram) < 28 or datagram[:2] != b"\x00\x01" or datagram[4:8] != b"\x21\x12\xa4\x42":
        return None
    position, end = 20, len(datagram)
    while position + 4 <= end:
        kind, size = (
            int.from_bytes(datagram[position : position + 2], "big"),
            int.from_bytes(datagram[position + 2 : position + 4], "big"),
        )
        if kind == 0x0006:
            local, colon, _ = datagram[position + 4 : position + 4 + size].partition(b":")
            return local.decode("ascii", "replace") if colon else None
        position += 4 + size + (-size % 4)
    return None


class IceLite:
    """Credentials, validated addresses and the selected one of a transport."""

    def __init__(self, now: float) -> None:
        self.ufrag = secrets.token_hex(4)
        self.password = secrets.token_hex(12)
        self._in_use = ""
        """The ufrag that was checked last; empty before the first check."""
        self._passwords = {self.ufrag: self.password}
        """Of every ufrag that is answered: the present one and, during a restart, the one in use. At most two."""
        self.selected: Address | None = None
        self.addresses: dict[Address, float] = {}
        """Validated address -> time of its last check."""
        self.last_check = now
        self.checks = 0

    @property
    def ufrags(self) -> frozenset[str]:
        """Those whose checks are answered."""
        return frozenset(self._passwords)

    def restart(self) -> None:
        """New credentials, for the next description that the peer gets."""
        self.ufrag = secrets.token_hex(4)
        self.password = secrets.token_hex(12)
        kept = {known: word for known, word in self._passwords.items() if known == self._in_use}
        self._passwords = kept | {self.ufrag: self.password}

    def answer(
        self, datagram: bytes, address: Address, now: float, claim: Callable[[], bool] = lambda: True
    ) -> Answer | None:
        """Answer a binding request (RFC 8445 7.3). None: malformed or not authentic, to be dropped and counted.

        `claim` is asked once the request is authentic; False: the address is another peer's, the request is dropped."""
        try:
            message = stun.parse_message(datagram)
        except (ValueError, struct.error):
            return None
        if message.message_class != stun.Class.REQUEST or message.message_method != stun.Method.BINDING:
            return None
        ufrag = message.attributes.get("USERNAME", "").partition(":")[0]
        password = self._passwords.get(ufrag)
        if password is None or not message.check_message_integrity(password.encode()):
            return None
        unknown = _unknown_attributes(datagram)
        if unknown:
            attributes: dict[str, object] = {"ERROR-CODE": (420, "Unknown Attribute")}
            return Answer(_reply(message, stun.Class.ERROR, attributes, password, unknown), valid=False)
        if "ICE-CONTROLLED" in message.attributes:
            attributes = {"ERROR-CODE": (487, "Role Conflict")}
            return Answer(_reply(message, stun.Class.ERROR, attributes, password), valid=False)
        if not claim():
            return None
        self.checks += 1
        resumes = self._in_use != "" and now - self.last_check > SILENCE_S
        self.last_check = now
        self.addresses[address] = now
        if len(self.addresses) > MAX_ADDRESSES:
            others = (a for a in self.addresses if a not in (address, self.selected))
            del self.addresses[min(others, key=self.addresses.__getitem__)]
        is_first = ufrag == self.ufrag != self._in_use
        if is_first:
            self._in_use = ufrag
            self._passwords = {ufrag: password}
        selects = is_first or "USE-CANDIDATE" in message.attributes
        if selects:
            self.selected = address
        reply = _reply(message, stun.Class.RESPONSE, {"XOR-MAPPED-ADDRESS": address[:2]}, password)
        return Answer(reply, valid=True, selects=selects, resumes=resumes)

    def is_lost(self, now: float) -> bool:
        return now - self.last_check > LOST_AFTER_S


def _reply(
    request: stun.Message, kind: stun.Class, attributes: dict[str, object], password: str, unknown: Sequence[int] = ()
) -> bytes:
    """A sealed answer; `unknown`: attributes to name in UNKNOWN-ATTRIBUTES (RFC 8489 14.13), which aioice cannot
    write."""
    reply = stun.Message(stun.Method.BINDING, kind, request.transaction_id, attributes)
    if not unknown:
        reply.add_message_integrity(password.encode())
        return bytes(reply)
    named = b"".join(number.to_bytes(2, "big") for number in unknown)
    plain = _with_attribute(bytes(reply), _UNKNOWN_ATTRIBUTES, named)
    sealed = _with_attribute(plain, _INTEGRITY, stun.message_integrity(plain, password.encode()))
    return _with_attribute(sealed, _FINGERPRINT, stun.message_fingerprint(sealed).to_bytes(4, "big"))


def _with_attribute(message: bytes, kind: int, value: bytes) -> bytes:
    padded = value + bytes(-len(value) % 4)
    size = len(message) - 20 + 4 + len(padded)
    head = kind.to_bytes(2, "big") + len(value).to_bytes(2, "big")
    return message[:2] + size.to_bytes(2, "big") + message[4:] + head + padded


def _unknown_attributes(datagram: bytes) -> list[int]:
    """Comprehension-required attributes before MESSAGE-INTEGRITY that are not known here, the first MAX_UNKNOWN."""
    found: list[int] = []
    position = 20
    while position + 4 <= len(datagram) and len(found) < MAX_UNKNOWN:
        kind = int.from_bytes(datagram[position : position + 2], "big")
        if kind == _INTEGRITY:
            break
        if kind < 0x8000 and kind not in KNOWN_REQUIRED:
            found.append(kind)
        size = int.from_bytes(datagram[position + 2 : position + 4], "big")
        position += 4 + size + (-size % 4)
    return found
