"""Each video codec that the configuration may prefer is published by one page and decoded by the other."""

from pathlib import Path

import pytest

from tests.support.chromium import Json, RoomPage, Rooms
from tests.support.studio import start_studio

FRAMES = 45
"""Decoded more, at least, while the test looks on."""


async def video_report(room: RoomPage, type: str) -> Json:
    """The page's only video report of `inbound-rtp` or `outbound-rtp`, with its `codec` in capitals."""
    reports = await room.stats(type, "codec")
    codecs = {report["id"]: report["mimeType"].split("/")[1].upper() for report in reports if report["type"] == "codec"}
    (video,) = [report for report in reports if report["type"] == type and report["kind"] == "video"]
    return video | {"codec": codecs[video["codecId"]]}


@pytest.mark.parametrize("codec", ["VP8", "VP9", "H264", "AV1"])
async def test_a_codec_is_published_forwarded_and_decoded(codec: str, tmp_path: Path, rooms: Rooms) -> None:
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
