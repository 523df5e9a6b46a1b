"""An Ogg file of one silent Opus packet, in memory: the template from which a muxer takes its Opus stream.

PyAV's `add_mux_stream` sets neither channels nor CodecPrivate for Opus; `add_stream_from_template` of this does (RFC
7845: identification header, comment header, one packet).
"""

import struct

PRE_SKIP_TICKS = 312
"""What libopus, and so every browser, puts before the first sample (6.5 ms at 48 kHz)."""
_POLYNOMIAL = 0x04C11DB7
"""CRC of an Ogg page: not reflected, no final xor (RFC 3533 6)."""
_FIRST, _LAST = 2, 4
_SERIAL = 0x5354454D


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (_POLYNOMIAL if value & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(value)
    return table


_TABLE = _table()


def _checksum(data: bytes) -> int:
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFFFFFF) ^ _TABLE[value >> 24 ^ byte]
    return value


def _page(body: bytes, flags: int, number: int, granule: int) -> bytes:
    head = b"OggS" + struct.pack("<BBqII", 0, flags, granule, _SERIAL, number)
    rest = bytes((1, len(body))) + body
    return head + struct.pack("<I", _checksum(head + bytes(4) + rest)) + rest


def template(channels: int) -> bytes:
    """The whole file; `channels`: 1 or 2."""
    if channels not in (1, 2):
        raise ValueError("channels")
    identification = b"OpusHead" + struct.pack("<BBHIhB", 1, channels, PRE_SKIP_TICKS, 48_000, 0, 0)
    comment = b"OpusTags" + struct.pack("<I8sI", 8, b"stemroom", 0)
    silence = b"\xfc\xff\xfe" if channels == 2 else b"\xf8\xff\xfe"
    return _page(identification, _FIRST, 0, 0) + _page(comment, 0, 1, 0) + _page(silence, _LAST, 2, 960)
