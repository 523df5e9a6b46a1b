"""RED for sound (RFC 2198): a packet that carries earlier ones once more, so that a lost one is not missed."""

MAX_BLOCKS = 32
"""Headers of one packet that are read; Chromium sends one or two earlier packets."""


def primary(payload: bytes, payload_type: int) -> bytes | None:
    """The newest of the packets in a RED payload (without RTP padding): what the packet would have been without RED.

    None: malformed, or one of the packets is not of `payload_type`. Never raises.
    """
    position = skipped = 0
    for _ in range(MAX_BLOCKS):
        if position >= len(payload):
            return None
        first = payload[position]
        if first & 0x7F != payload_type:
            return None
        if first < 0x80:
            begin = position + 1 + skipped
            return payload[begin:] if begin < len(payload) else None
        if position + 4 > len(payload):
            return None
        skipped += (payload[position + 2] & 3) << 8 | payload[position + 3]
        position += 4
    return None


def relabelled(payload: bytes, payload_type: int) -> bytes:
    """A RED payload that `primary` has read, with its packets under another payload type: a receiver looks each up by
    the number that it gave the codec, and drops what it does not know."""
    out = bytearray(payload)
    position = 0
    while out[position] >= 0x80:
        out[position] = 0x80 | payload_type
        position += 4
    out[position] = payload_type
    return bytes(out)
