"""A second socket on a media address, to which the kernel gives transport-wide feedback alone. It is read by the tick.

Every browser that watches sends such a report 15 to 20 times a second, in a datagram of its own (reduced size RTCP,
RFC 5506). Each would wake the loop from idle to run code that has left the caches; read together with those of other
viewers once per tick a report costs a quarter, and no wakeup (docs/decisions/0008-feedback-by-the-tick.md). Nothing
that waits is urgent: what is lost is asked for in packets of another kind, which do not come here.

Two sockets share an address by SO_REUSEPORT, and a program of classic BPF (SO_ATTACH_REUSEPORT_CBPF, Linux 4.5)
chooses between them by the first four bytes, which SRTCP leaves in the clear. Where that cannot be had, everything
comes to the first socket and is read at once. A report that the kernel drops because this socket is full is like one
that the network lost.
"""

import ctypes
import socket
import struct
from collections.abc import Callable, Mapping
from time import monotonic, time

import structlog

from sfu.ice import Address
from sfu.rtcp import TRANSPORT_FEEDBACK, TRANSPORT_WIDE
from sfu.rtp import MAX_DATAGRAM_BYTES

log = structlog.get_logger()

MAX_PER_TICK = 1024
"""Reports read in one tick: of a thousand viewers. The rest waits for the next one, in the kernel,"""

BATCH = 4
"""and so many in one go, then media can have its turn: 0.2-0.6 ms, by what they tell of."""

MAX_AGE_S = 0.2
"""A report waited for no longer than this: several ticks. Bounds what a step of the wall clock does to its arrival."""

_TRAILER_BYTES = 4 + 16
"""Index and longest authentication tag of SRTCP: what is longer has another packet behind the report."""

_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_TIMESTAMPNS = 35
"""asm-generic/socket.h; the socket module has no names for them."""
_TIMESPEC = struct.Struct("@qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)

_FIRST_BYTE = 2 << 6 | TRANSPORT_WIDE
_LOAD_BYTE, _LOAD_HALF, _LOAD_LENGTH = 0x30, 0x28, 0x80
_AND, _ADD, _SHIFT_LEFT, _TO_X, _RETURN = 0x54, 0x04, 0x64, 0x07, 0x06
_IF_EQUAL, _IF_GREATER_X = 0x15, 0x2D
_PROGRAM = (
    (_LOAD_BYTE, 0, 0, 1),
    (_IF_EQUAL, 0, 11, TRANSPORT_FEEDBACK),
    (_LOAD_BYTE, 0, 0, 0),
    (_AND, 0, 0, 0xDF),  # without the padding bit
    (_IF_EQUAL, 0, 8, _FIRST_BYTE),
    (_LOAD_HALF, 0, 0, 2),  # length in words, less one
    (_ADD, 0, 0, 1),
    (_SHIFT_LEFT, 0, 0, 2),
    (_ADD, 0, 0, _TRAILER_BYTES),
    (_TO_X, 0, 0, 0),
    (_LOAD_LENGTH, 0, 0, 0),
    (_IF_GREATER_X, 1, 0, 0),
    (_RETURN, 0, 0, 1),
    (_RETURN, 0, 0, 0),
)
"""linux/filter.h: code, jump if true, jump if false, constant. Returns which socket gets a datagram, 0 for the one that
was bound first; a read behind the end returns 0 as well."""


def feedback_socket(first: socket.socket) -> socket.socket | None:
    """A socket on the address of `first`, which gets the reports from now on. None: not on this system.

    `first` has been bound without SO_REUSEPORT, so that an address that is taken was noticed.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        return None
    second = socket.socket(first.family, socket.SOCK_DGRAM)
    try:
        if first.family == socket.AF_INET6:
            second.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        second.setblocking(False)
        second.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        for each in (first, second):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _PROGRAM))
        program = struct.pack("HL", len(_PROGRAM), ctypes.addressof(code))
        # In this order: a second socket without the program would get half of all peers.
        second.bind(first.getsockname()[:2])
        second.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)
    except OSError as error:
        log.info("feedback_socket_not_made", error=str(error))
        second.close()
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        return None
    return second


def read_feedback(
    reports: socket.socket, media: Mapping[Address, Callable[[bytes, float], None]], most: int
) -> tuple[int, int]:
    """Give each report that waits, up to `most`, to the receiver of its address, with its arrival. Returns how many
    came, and how many of them from addresses that are nobody's."""
    receive = reports.recvmsg
    came = unknown = 0
    now = monotonic()
    epoch = time() - now
    try:
        while came < most:
            data, ancillary, _, address = receive(MAX_DATAGRAM_BYTES, _ANCILLARY_BYTES)
            came += 1
            deliver = media.get(address)
            if deliver is None:
                unknown += 1
                continue
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            deliver(data, min(now, max(now - MAX_AGE_S, seconds + nanoseconds / 1e9 - epoch)))
    except (BlockingIOError, ConnectionError):
        pass  # drained; or an ICMP error, which is the sender's affair
    return came, unknown
