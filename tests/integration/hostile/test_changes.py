"""A codec that changes: with a new description it is a new track and a new segment, without one it is not taken."""

from sfu.interfaces import TrackKind, TrackRequest
from tests.support import sdp
from tests.support.hostile import VIDEO, Call, holds, media
from tests.support.payloads import PAYLOADS, encode
from tests.support.sfu_client import Sink

H264 = sdp.Outgoing("1", "video", "H264", 5555, 6666)
AUDIO_LINE = sdp.Outgoing("0", "audio", "opus", 1111)


async def test_a_payload_type_that_changes_by_itself_is_not_taken(call: Call) -> None:
    await call.watch_video(3)
    encoding = call.room.peers["alice"].publisher.tracks["1"].encodings()[0]
    refused = encoding.wrong_type
    packets = []
    for payload_type in (111, 98, 103, 45):
        packets.append(media(call, VIDEO.ssrc, payload_type, b"other", mid=b"1", index=call.video.index))
        call.video.index += 1
    before = len(call.bob.got)
    await call.from_alice(*packets)
    assert encoding.wrong_type == refused + 4
    await call.still_works()
    assert len(call.bob.got) == before + 5, "the audio of the probe"


async def test_a_codec_that_is_negotiated_anew_is_a_new_track_and_a_new_segment(call: Call) -> None:
    sink = Sink()
    call.room.start_recording(sink)
    await call.watch_video(3)
    first = sink.taps["vp8"]
    seen = len(first.packets)
    offer = sdp.offer(call.alice.publishing.credentials, [AUDIO_LINE, H264])
    requests = [TrackRequest("0", TrackKind.MICROPHONE), TrackRequest("1", TrackKind.CAMERA)]
    answer = sdp.Description.parse(call.alice.peer.publish(offer, requests))
    assert next(iter(answer.media[1].codecs().values())) == "H264"
    assert [(track.kind, track.codec) for track in call.alice.ended] == [(TrackKind.CAMERA, "vp8")]
    assert (call.alice.published[-1].kind, call.alice.published[-1].codec) == (TrackKind.CAMERA, "h264")
    assert first.ended
    await call.still_works()
    for n, payload in enumerate(PAYLOADS["h264"](encode("h264", 1)[0], 0)):
        await call.from_alice(media(call, H264.ssrc, H264.payload_type, payload, mid=b"1", index=n))
    await holds(lambda: "h264" in sink.taps)
    assert sink.taps["h264"].packets
    assert len(first.packets) == seen
