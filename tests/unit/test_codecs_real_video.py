"""Real encodes through the packetizers of tests/support come out as the frames that went in."""

import base64
from collections.abc import Callable

import pytest

from sfu.codecs import CodedFrame, PayloadError, av1, first_size, h264, keyframe, vp8, vp9
from sfu.codecs.vp8_descriptor import descriptor_size
from tests.support.payloads import PAYLOADS, encode, obus

FRAME: dict[str, Callable[[list[bytes]], CodedFrame]] = {
    "vp8": vp8.frame,
    "vp9": vp9.frame,
    "h264": h264.frame,
    "av1": av1.frame,
}
FRAGMENT: dict[str, Callable[[bytes], bool]] = {
    "h264": lambda payload: payload[0] & 31 == 28 and payload[1] & 0x80 == 0,
    "av1": lambda payload: payload[0] & 0x80 != 0,
}
"""This payload goes on with a unit that an earlier one began."""
CODECS = list(FRAME)
SIZES = [(320, 240), (322, 178), (64, 66)]


@pytest.mark.parametrize("codec", CODECS)
def test_frames_come_out_as_they_went_in(codec: str) -> None:
    for number, frame in enumerate(encode(codec, 12, key_every=5)):
        joined = FRAME[codec](list(PAYLOADS[codec](frame, number)))
        if codec == "av1":
            assert list(obus(joined.data)) == [obu for obu in obus(frame) if obu[0] >> 3 & 15 != 2]
        elif codec == "h264":
            assert joined.data.replace(b"\0\0\0\1", b"\0\0\1") == frame.replace(b"\0\0\0\1", b"\0\0\1")
        else:
            assert joined.data == frame


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("codec", CODECS)
def test_key_frames_tell_their_size(codec: str, size: tuple[int, int]) -> None:
    width, height = size
    frame = encode(codec, 1, width=width, height=height)[0]
    joined = FRAME[codec](list(PAYLOADS[codec](frame, 0)))
    assert (joined.key, joined.size) == (True, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("codec", CODECS)
def test_the_first_payload_of_a_key_frame_tells_its_size_and_no_other_does(codec: str, size: tuple[int, int]) -> None:
    width, height = size
    told = first_size(codec)
    assert told is not None
    for number, frame in enumerate(encode(codec, 3, width=width, height=height)):
        payloads = list(PAYLOADS[codec](frame, number))
        if codec == "vp9" and number == 0:
            width, height = (320, 240)  # as the packetizer's structure says, which goes before the picture's own
        assert told(payloads[0]) == ((width, height) if number == 0 else None)
        assert [told(payload) for payload in payloads[1:]] == [None] * (len(payloads) - 1)


@pytest.mark.parametrize("codec", CODECS)
def test_only_the_first_payload_of_a_key_frame_begins_one(codec: str) -> None:
    for number, frame in enumerate(encode(codec, 12, key_every=5)):
        payloads = list(PAYLOADS[codec](frame, number))
        found = [keyframe(codec)(payload) for payload in payloads]
        assert FRAME[codec](payloads).key == found[0] == (number % 5 == 0)
        if codec == "h264":  # after the parameter sets the slice begins one too
            found = found[0:1] + found[2:] if found[0] else found
        assert not any(found[1:]) or codec == "h264"


@pytest.mark.parametrize("codec", CODECS)
def test_a_frame_without_its_first_packet_is_refused(codec: str) -> None:
    payloads = list(PAYLOADS[codec](encode(codec, 1)[0], 0))
    if codec in ("h264", "av1"):
        # what comes before the picture is whole in itself; of the picture the second fragment is the first to continue
        continues = FRAGMENT[codec]
        payloads = payloads[next(place for place, payload in enumerate(payloads) if continues(payload)) - 1 :]
    with pytest.raises(PayloadError):
        FRAME[codec](payloads[1:])


@pytest.mark.parametrize("codec", ["vp9", "h264", "av1"])
def test_a_frame_without_its_last_packet_is_refused(codec: str) -> None:
    """A VP8 frame does not say where it ends: there the RTP marker does."""
    payloads = list(PAYLOADS[codec](encode(codec, 1)[0], 0))
    with pytest.raises(PayloadError):
        FRAME[codec](payloads[:-1])


def test_picture_ids_are_read_with_their_modulus() -> None:
    frame = encode("vp8", 1)[0]
    assert vp8.picture_id(next(PAYLOADS["vp8"](frame, 4_711))) == (4_711, 1 << 15)
    assert vp9.picture_id(next(PAYLOADS["vp9"](encode("vp9", 1)[0], 4_711))) == (4_711, 1 << 15)
    assert vp8.picture_id(b"\x90\x80\x05" + frame) == (5, 1 << 7)
    assert vp8.picture_id(b"\x10" + frame) is None


def test_a_vp8_descriptor_with_every_field_is_read() -> None:
    payload = bytes((0x90, 0xF0, 0x81, 0x02, 0x33, 0x44)) + encode("vp8", 1)[0]
    assert descriptor_size(payload) == 6
    assert vp8.picture_id(payload) == (0x102, 1 << 15)
    assert vp8.keyframe(payload)


def test_h264_parameter_sets_may_come_with_the_session_description() -> None:
    unit = encode("h264", 1)[0]
    stap = next(PAYLOADS["h264"](unit, 0))
    sps = stap[3 : 3 + int.from_bytes(stap[1:3], "big")]
    pps = stap[3 + len(sps) + 2 :]
    sets = ",".join(base64.b64encode(part).decode() for part in (sps, pps))
    found = h264.parameter_sets(f"packetization-mode=1; sprop-parameter-sets={sets}")
    assert found is not None
    assert found.size == (320, 240)
    assert found.data == b"\0\0\0\1" + sps + b"\0\0\0\1" + pps
    assert h264.parameter_sets("packetization-mode=1") is None
    assert h264.parameter_sets("sprop-parameter-sets=AAAA") is None


def test_vp9_with_more_references_than_allowed_is_refused() -> None:
    with pytest.raises(PayloadError):
        vp9.parse(bytes((0xD8, 0x01, 0x03, 0x03, 0x03, 0x03, 0x00)))


def test_vp9_layers_of_one_picture_are_joined() -> None:
    base, upper = bytes((0xAC, 1, 0x01, 0)) + b"base", bytes((0xEC, 1, 0x03, 0)) + b"upper"
    assert vp9.parse(base).spatial_id == 0
    assert vp9.parse(upper).spatial_id == 1
    assert not vp9.keyframe(upper)
    delta = bytes((0xEC, 1, 0x01, 0)) + b"base"
    assert vp9.frame([delta, upper]) == CodedFrame(b"baseupper", False, None, 2)


def test_an_av1_obu_with_a_wrong_size_field_is_refused() -> None:
    with pytest.raises(PayloadError):
        av1.frame([b"\x10" + bytes((0x32, 9)) + b"short"])


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, (1 << 32) - 1])
def test_leb128_goes_round(value: int) -> None:
    data = av1.encode_leb128(value)
    assert av1.leb128(b"x" + data + b"y", 1) == (value, 1 + len(data))
