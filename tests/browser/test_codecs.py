"""Each video codec that the configuration may prefer is published by one page, decoded by the other, and recorded."""

from pathlib import Path

import pytest

from tests.support import counter, media
from tests.support.chromium import Json, RoomPage, Rooms
from tests.support.evidence import collect, witness
from tests.support.studio import start_studio

FRAMES = 45
"""Decoded more, at least, while the test looks on."""
RECORDED_S = 3.0
KEPT_AS_SENT = ("VP8", "VP9")
"""Go into a file byte for byte; H264 and AV1 are framed anew."""


async def video_report(room: RoomPage, type: str) -> Json:
    """The page's only video report of `inbound-rtp` or `outbound-rtp`, with its `codec` in capitals."""
    reports = await room.stats(type, "codec")
    codecs = {report["id"]: report["mimeType"].split("/")[1].upper() for report in reports if report["type"] == "codec"}
    (video,) = [report for report in reports if report["type"] == type and report["kind"] == "video"]
    return video | {"codec": codecs[video["codecId"]]}


@pytest.mark.parametrize("codec", ["VP8", "VP9", "H264", "AV1"])
async def test_a_codec_is_published_forwarded_decoded_and_recorded(codec: str, tmp_path: Path, rooms: Rooms) -> None:
    async with start_studio(tmp_path, {"media": {"video_codecs": [codec]}}) as studio:
        session = await studio.create_session(codec)
        ann = await rooms.join(session["host_url"], "Ann")
        bob = await rooms.join(session["guest_url"], "Bob")
        for room in (ann, bob):
            await room.plays(1)
            assert (await video_report(room, "outbound-rtp"))["codec"] == codec
            before = await video_report(room, "inbound-rtp")
            assert before["codec"] == codec
            await room.until(
                """async (wanted) => (await __probe.stats('inbound-rtp'))
                    .some((s) => s.kind === 'video' && s.framesDecoded >= wanted)""",
                before["framesDecoded"] + FRAMES,
            )
            await room.until("() => __probe.numbers().every((number) => number !== null)")
            assert await room.errors() == []
        await ann.start_recording()
        await ann.sends_for(RECORDED_S)
        await ann.stop_recording()
        people = [await witness(room) for room in (ann, bob)]
        (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
        evidence = await collect(studio, session, recording["recording_id"], people, tmp_path, local_copies=0)
    for name in ("Ann", "Bob"):
        file = evidence.server(name, "camera")
        video = file.report.stream("video")
        assert file.report.sound, file.report
        assert (file.segment["codec"], video.codec) == (codec.lower(), codec.lower())
        assert file.path.suffix == (".mkv" if codec == "H264" else ".webm")
        assert file.segment["gaps"] == []
        readings = counter.read_file(file.path)
        assert len(readings) == video.packets > 20
        assert None not in [reading.number for reading in readings]
        assert max(counter.steps(readings)) < media.FRAMES / 2, "backwards"
        if codec in KEPT_AS_SENT:
            found = evidence.match(name, "video")
            assert (found.missing, found.extra) == ((), ())
