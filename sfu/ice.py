"""The lite side of ICE (RFC 8445 2.5) for one transport: answers connectivity checks, learns and selects addresses.

A core: datagrams and `now` in, answers out. It never sends a check of its own and keeps no state for a request that
is not authentic; an answer is never longer than the request plus 24 bytes of address attributes and error text.
"""

import secrets
import struct
from collections.abc import Callable

import msgspec
from aioice import stun

Address = tuple[str, int] | tuple[str, int, int, int]
"""As the socket gives it (IPv4 or IPv6)."""

MAX_ADDRESSES = 16
"""Addresses of one peer that passed a check. Overflow: the one checked longest ago is forgotten."""

LOST_AFTER_S = 30.0
"""A peer without a valid check for this long is gone (RFC 7675 5.1: consent expires after 30 s)."""


class Answer(msgspec.Struct, frozen=True):
    """What to do about a request: `data` goes back to where it came from; `valid`: the address passed a check;
    `selects`: its pair, which includes the local socket it came to, is the one to send on."""

    data: bytes
    valid: bool
    selects: bool = False


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
        self.selected: Address | None = None
        self.addresses: dict[Address, float] = {}
        """Validated address -> time of its last check."""
        self.last_check = now
        self.checks = 0

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
        if not message.check_message_integrity(self.password.encode()):
            return None
        if "ICE-CONTROLLED" in message.attributes:
            return Answer(self._reply(message, stun.Class.ERROR, {"ERROR-CODE": (487, "Role Conflict")}), valid=False)
        if not claim():
            return None
        self.checks += 1
        self.last_check = now
        self.addresses[address] = now
        if len(self.addresses) > MAX_ADDRESSES:
            others = (a for a in self.addresses if a not in (address, self.selected))
            del self.addresses[min(others, key=self.addresses.__getitem__)]
        selects = self.selected is None or "USE-CANDIDATE" in message.attributes
        if selects:
            self.selected = address
        reply = self._reply(message, stun.Class.RESPONSE, {"XOR-MAPPED-ADDRESS": address[:2]})
        return Answer(reply, valid=True, selects=selects)

    def _reply(self, request: stun.Message, kind: stun.Class, attributes: dict[str, object]) -> bytes:
        reply = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=kind,
            transaction_id=request.transaction_id,
            attributes=attributes,
        )
        reply.add_message_integrity(self.password.encode())
        return bytes(reply)

    def is_lost(self, now: float) -> bool:
        return now - self.last_check > LOST_AFTER_S
