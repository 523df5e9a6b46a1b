"""Levels of RFC 6464: read from authentic packets of sound, whatever form the extension has, and from nothing else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.descriptions import Local, Outgoing, write_answer, write_offer
from sfu.encoding import VIEWER_LEVEL_ID, Encoding
from sfu.inbound import Inbound
from sfu.negotiation import AUDIO_LEVEL, Chosen, choose
from sfu.sdp import parse
from tests.support.properties import any_input
from tests.support.sfu_media import (
    AUDIO_LEVEL_ID,
    MID_ID,
    OPUS,
    ORIENTATION_ID,
    TRANSPORT_SEQUENCE_ID,
    VP8,
    Publisher,
    deliver,
    encoding,
    one_byte_extensions,
    section,
    vp8,
)

SSRC = 1111
VECTORS = Path(__file__).parents[1] / "vectors"


class Microphone:
    def __init__(self) -> None:
        self.encoding = encoding(OPUS, SSRC)
        self.publisher = Publisher(SSRC, OPUS.payload_type)
        self.index = 0

    def send(self, extensions: bytes) -> None:
        packet = self.publisher.seal(self.index, b"\x78sound", timestamp=960 * self.index, extensions=extensions)
        first, second = packet[0], packet[1]
        self.encoding.receive(packet, first, second, self.index & 0xFFFF, 960 * self.index, 1.0)
        self.index += 1

    def level(self, extensions: bytes) -> int | None:
        self.send(extensions)
        return self.encoding.take_level()


def level(value: int) -> tuple[int, bytes]:
    return AUDIO_LEVEL_ID, bytes((value,))


@pytest.mark.parametrize("loudness", [0, 1, 30, 126, 127])
@pytest.mark.parametrize("voice", [0, 0x80])
def test_a_level_is_read_with_and_without_the_bit_for_voice(loudness: int, voice: int) -> None:
    assert Microphone().level(one_byte_extensions(level(voice | loudness))) == loudness


def test_the_level_stands_beside_other_extensions() -> None:
    numbered = one_byte_extensions((TRANSPORT_SEQUENCE_ID, b"\x12\x34"), (MID_ID, b"0"), level(0x80 | 25))
    microphone = Microphone()
    assert microphone.level(numbered) == 25
    assert microphone.encoding._arrivals.arrivals == [(0x1234, 1.0)]


def test_the_two_byte_form_is_read() -> None:
    assert Microphone().level(b"\x10\x00\x00\x01" + bytes((AUDIO_LEVEL_ID, 1, 0x80 | 33, 0))) == 33


@pytest.mark.parametrize(
    "extensions",
    [
        b"",
        one_byte_extensions((MID_ID, b"0")),
        one_byte_extensions((AUDIO_LEVEL_ID, b"\x10\x20")),
        one_byte_extensions((AUDIO_LEVEL_ID, b"\x10\x20\x30\x40")),
        b"\x10\x00\x00\x01" + bytes((AUDIO_LEVEL_ID, 0, 0, 0)),
        b"\x10\x00\x00\x01" + bytes((AUDIO_LEVEL_ID, 2, 9, 9)),
        b"\x10\x00\x00\x01" + bytes((AUDIO_LEVEL_ID, 9, 9, 9)),
        b"\xbe\xde\x00\x01" + bytes((0, 0, 0, AUDIO_LEVEL_ID << 4)),
        b"\xab\xcd\x00\x01" + bytes((AUDIO_LEVEL_ID << 4, 9, 0, 0)),
    ],
    ids=["none", "others", "two", "four", "empty", "two_in_two", "beyond", "cut", "foreign"],
)
def test_an_absent_or_malformed_level_is_none_and_the_packet_is_taken(extensions: bytes) -> None:
    microphone = Microphone()
    assert microphone.level(extensions) is None
    assert microphone.encoding.packets == 1


def test_the_loudest_packet_since_the_last_reading_counts() -> None:
    microphone = Microphone()
    for value in (60, 0x80 | 20, 0x80 | 45):
        microphone.send(one_byte_extensions(level(value)))
    assert microphone.encoding.take_level() == 20
    assert microphone.encoding.take_level() is None, "nothing came since"
    assert microphone.level(one_byte_extensions(level(70))) == 70


def test_a_packet_that_is_not_authentic_or_was_seen_says_nothing() -> None:
    microphone = Microphone()
    microphone.send(one_byte_extensions(level(50)))
    microphone.encoding.take_level()
    packet = bytearray(microphone.publisher.seal(1, b"\x78", extensions=one_byte_extensions(level(50))))
    packet[17] = 1
    microphone.encoding.receive(bytes(packet), packet[0], packet[1], 1, 0, 1.0)
    replayed = microphone.publisher.seal(0, b"\x78sound", extensions=one_byte_extensions(level(5)))
    microphone.encoding.receive(replayed, replayed[0], replayed[1], 0, 0, 1.0)
    assert (microphone.encoding.failed, microphone.encoding.replayed) == (1, 1)
    assert microphone.encoding.take_level() is None


@pytest.mark.parametrize("said", [0x80 | 50, 50])
def test_viewers_are_told_the_level_under_the_id_that_they_were_offered(said: int) -> None:
    microphone = Microphone()
    microphone.send(one_byte_extensions(level(said)))
    microphone.send(b"")
    kept, without = microphone.encoding.history.get(0), microphone.encoding.history.get(1)
    assert kept is not None
    assert without is not None
    assert (kept.extension, without.extension) == (one_byte_extensions((VIEWER_LEVEL_ID, bytes((said,)))), b"")
    section = Outgoing("0", "audio", OPUS, 0, 1, 0, "p", "t")
    (offered,) = parse(write_offer([section], Local("u" * 8, "p" * 24, "AB", []), 1)).sections
    assert offered.extensions[AUDIO_LEVEL] == VIEWER_LEVEL_ID


@any_input
@given(st.binary(max_size=40), st.sampled_from([b"\xbe\xde", b"\x10\x00", b"\x10\x0f"]))
def test_any_extension_block_gives_a_level_in_range_or_none(block: bytes, profile: bytes) -> None:
    block += bytes(-len(block) % 4)
    found = Microphone().level(profile + (len(block) // 4).to_bytes(2, "big") + block)
    assert found is None or 0 <= found <= 127


def test_sound_and_pictures_of_one_connection_are_each_read_for_their_own() -> None:
    touched: list[Encoding] = []
    inbound = Inbound(touched, lambda _source, _encoding: None)
    for mid, kind, chosen in (("0", "audio", Chosen(OPUS, 0)), ("1", "video", Chosen(VP8, 0))):
        described = section(mid, kind)
        inbound.negotiated(described.extensions)
        inbound.add(f"t_{mid}", described, chosen)
    microphone, camera = Publisher(1, OPUS.payload_type), Publisher(2, VP8.payload_type)
    for index in range(4):
        both = (level(0x80 | 40 + index), (ORIENTATION_ID, b"\x03"))
        deliver(inbound, microphone.seal(index, b"\x78", extensions=one_byte_extensions((MID_ID, b"0"), *both)), 1.0)
        deliver(inbound, camera.seal(index, vp8(index), extensions=one_byte_extensions((MID_ID, b"1"), *both)), 1.0)
    sound, pictures = inbound.streams[1], inbound.streams[2]
    assert isinstance(sound, Encoding)
    assert isinstance(pictures, Encoding)
    assert (sound.take_level(), pictures.take_level()) == (40, None)
    kept = pictures.history.get(3)
    assert kept is not None
    assert kept.extension[5] == 3


def test_the_uri_is_that_of_the_rfc() -> None:
    assert AUDIO_LEVEL == "urn:ietf:params:rtp-hdrext:ssrc-audio-level"


@pytest.mark.parametrize("name", ["chromium_publish", "firefox_publish", "chromium_video_first_data"])
def test_a_browser_is_answered_that_levels_of_sound_are_taken_under_its_own_id(name: str) -> None:
    offer = parse((VECTORS / f"{name}.sdp").read_bytes().decode())
    chosen = {s.mid: pick for s in offer.sections if (pick := choose(s, ["VP8"])) is not None}
    answer = parse(write_answer(offer, chosen, Local("u" * 8, "p" * 24, "AB", []), "passive", 1, 1_000_000))
    for offered, answered in zip(offer.sections, answer.sections, strict=True):
        if offered.kind == "audio":
            assert answered.extensions[AUDIO_LEVEL] == offered.extensions[AUDIO_LEVEL] > 0
        else:
            assert AUDIO_LEVEL not in answered.extensions
