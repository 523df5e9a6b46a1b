"""Datagrams in a TCP stream: each behind its length in two bytes (RFC 4571 2). A core.

What is kept between two reads is less than one frame.
"""

from sfu.rtp import MAX_DATAGRAM_BYTES


class FramingError(ValueError):
    """A frame is longer than any datagram that is taken: from here on the stream cannot be followed."""


def framed(datagram: bytes) -> bytes:
    return len(datagram).to_bytes(2, "big") + datagram


class Deframer:
    """Cuts what was read into datagrams, wherever the reads fall."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that are complete now, also empty ones. Raises FramingError."""
        if self._rest:
            data = self._rest + data
        datagrams: list[bytes] = []
        position, end = 0, len(data)
        while position + 2 <= end:
            size = data[position] << 8 | data[position + 1]
            if size > MAX_DATAGRAM_BYTES:
                raise FramingError(f"a frame of {size} bytes")
            if position + 2 + size > end:
                break
            datagrams.append(data[position + 2 : position + 2 + size])
            position += 2 + size
        self._rest = data[position:]
        return datagrams
