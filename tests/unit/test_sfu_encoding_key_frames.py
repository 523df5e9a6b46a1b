"""Where a key frame begins and how large its picture is, in the payloads of every codec: viewers start there."""

import pytest

from sfu.codecs.h264 import FU_A, IDR
from sfu.sdp import Codec
from tests.support.payloads import PAYLOADS, encode
from tests.support.sfu_media import H264
from tests.unit.test_sfu_subscription_switching import Room

CODECS = [Codec(name, 96, 90_000, 1, "", ("nack", "nack pli")) for name in PAYLOADS]
KEY_EVERY = 5


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_each_key_frame_counts_once_and_tells_its_size(codec: Codec) -> None:
    room = Room(codec)
    source = room.source(1)
    room.track.heard(source)
    index = 0
    for number, frame in enumerate(encode(codec.name, 11, key_every=KEY_EVERY)):
        for payload in PAYLOADS[codec.name](frame, number):
            room.send(source, index, payload, 3000 * number)
            index += 1
    assert source.key_frames == 3
    assert source.size == (320, 240)
    assert len(room.got()) == index, "from the first packet on"


def test_a_viewer_of_h264_starts_with_parameter_sets_and_not_with_the_picture_behind_them() -> None:
    room = Room(H264)
    source = room.source(1)
    frames = [list(PAYLOADS["h264"](frame, 0)) for frame in encode("h264", 6, key_every=KEY_EVERY)]
    sets, *picture = frames[0]
    room.send(source, 0, sets)
    room.track.heard(source)
    for index, payload in enumerate(picture, 1):
        room.send(source, index, payload)
    assert room.got() == []
    assert source.requests.due(1.0)
    first = index + 1
    for number, frame in enumerate(frames[1:], 1):
        for payload in frame:
            index += 1
            room.send(source, index, payload, 3000 * number)
            first = index if payload is frames[5][0] else first
    assert [packet.media for packet in room.got()] == frames[5]
    assert room.subscription.first_index == first


def test_where_no_parameter_sets_are_sent_the_picture_is_the_beginning() -> None:
    """They may be in the session description alone (RFC 6184 8.1)."""
    room = Room(H264)
    source = room.source(1)
    room.track.heard(source)
    payloads = list(PAYLOADS["h264"](encode("h264", 1)[0], 0))
    picture = payloads[next(n for n, p in enumerate(payloads) if p[0] & 31 == FU_A and p[1] == 0x80 | IDR) :]
    for index, payload in enumerate(picture):
        room.send(source, index, payload)
    assert (source.key_frames, source.size) == (1, None)
    assert len(room.got()) == len(picture)
