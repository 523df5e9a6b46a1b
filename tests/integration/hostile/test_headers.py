"""Authentic packets whose headers lie: the packet passes without what cannot be read, or is dropped."""

import random
import struct

import pytest

from tests.support.hostile import AUDIO, Call, sealed

MID = b"\x40" + AUDIO.mid.encode()


def block(profile: int, elements: bytes, words: int | None = None) -> bytes:
    padded = elements + bytes(-len(elements) % 4)
    return struct.pack("!HH", profile, len(padded) // 4 if words is None else words) + padded


def audio(call: Call, payload: bytes, extensions: bytes, *, first: int = 0x90, csrcs: bytes = b"") -> bytes:
    """The next packet of Alice's microphone, authentic, with this header."""
    index, call.audio.index = call.audio.index, call.audio.index + 1
    header = struct.pack("!BBHII", first, 111, index & 0xFFFF, 0, AUDIO.ssrc) + csrcs + extensions
    return sealed(call, header, payload, index, AUDIO.ssrc)


def heard(call: Call, mark: bytes) -> list[bytes]:
    return [payload for _, _, _, payload in call.bob.got if payload[: len(mark)] == mark]


READABLE = {
    "transport sequence of three bytes": block(0xBEDE, MID + b"\x32abc"),
    "audio level of sixteen bytes": block(0xBEDE, b"\x1f" + bytes(16) + MID),
    "mid of sixteen bytes": block(0xBEDE, b"\x4f" + bytes(range(16))),
    "id 0 with a length": block(0xBEDE, b"\x03abcd" + MID),
    "id 15": block(0xBEDE, b"\xf1ab" + MID),
    "an element that overruns the block": block(0xBEDE, MID + b"\x3f"),
    "padding only": block(0xBEDE, bytes(40)),
    "nothing": block(0xBEDE, b""),
    "two-byte form": block(0x1000, b"\x04\x01" + AUDIO.mid.encode() + b"\x03\x02ab"),
    "two-byte form that overruns": block(0x100F, b"\x04\xff" + AUDIO.mid.encode()),
    "two-byte form, cut after an id": block(0x1000, bytes(3) + b"\x04"),
    "a profile that nobody knows": block(0x4242, bytes(range(64))),
    "as long as a datagram allows": block(0xBEDE, (b"\x5f" + bytes(16)) * 75),
}


@pytest.mark.parametrize("name", READABLE)
async def test_an_extension_that_cannot_be_read_does_not_cost_its_packet(call: Call, name: str) -> None:
    await call.from_alice(*(audio(call, b"\x08%d" % n, READABLE[name]) for n in range(20)))
    await call.still_works()
    assert heard(call, b"\x08") == [b"\x08%d" % n for n in range(20)]


async def test_any_block_between_honest_ones_does_not_cost_the_honest_ones_anything(call: Call) -> None:
    noise = random.Random(11)
    packets = []
    for n in range(200):
        profile = noise.choice((0xBEDE, 0x1000, 0x100A, noise.getrandbits(16)))
        packets.append(audio(call, b"\x08%d" % n, block(profile, noise.randbytes(noise.randrange(0, 60)))))
    await call.from_alice(*packets)
    await call.still_works()
    assert heard(call, b"\x08") == [b"\x08%d" % n for n in range(200)]


async def test_a_block_longer_than_its_packet_drops_the_packet(call: Call) -> None:
    packets = [audio(call, b"\x08", block(0xBEDE, MID, words)) for words in (20, 300, 0xFFFF)]
    packets += [packet[:size] for packet in packets for size in (22, 28, 30)]
    await call.from_alice(*packets)
    await call.still_works()
    assert heard(call, b"\x08") == []


async def test_contributors_are_left_out_and_a_packet_too_short_for_them_is_dropped(call: Call) -> None:
    await call.from_alice(audio(call, b"\x08", block(0xBEDE, MID), first=0x9F, csrcs=bytes(range(60))))
    for first in (0x8F, 0x9F):
        await call.from_alice(audio(call, b"\x08short", b"", first=first))
    await call.still_works()
    assert heard(call, b"\x08") == [b"\x08"]


async def test_more_padding_than_payload_is_passed_on_as_an_empty_packet(call: Call) -> None:
    """The number is kept, so that nobody asks for it; nothing of the lie reaches a decoder."""
    honest = b"\x08honest" + bytes(4) + b"\x05"
    lies = [b"\x08" + bytes((200,)), b"\x08" + bytes(9), b"\xff", b""]
    await call.from_alice(*(audio(call, payload, block(0xBEDE, MID), first=0xB0) for payload in (honest, *lies)))
    await call.still_works()
    empty = [payload for _, _, _, payload in call.bob.got if payload == b""]
    assert (heard(call, b"\x08"), len(empty)) == ([b"\x08honest"], len(lies))
