"""Chromium changes the codec of a camera by itself, on the same SSRC: the others go on seeing it, and its take has one
file more on the same timeline."""

from pathlib import Path

from tests.browser.test_codecs import video_report
from tests.support import counter
from tests.support.chromium import RoomPage, Rooms
from tests.support.evidence import collect, witness
from tests.support.studio import start_studio

RECORDED_S = 3.0
CHANGE = """async (mimeType) => {
    const senders = __probe.connections.flatMap((connection) => connection.getSenders());
    const sender = senders.find(({ track }) => track?.kind === 'video');
    const parameters = sender.getParameters();
    const negotiated = parameters.codecs.map((codec) => codec.mimeType);
    parameters.encodings[0].codec = parameters.codecs.find((codec) => codec.mimeType === mimeType);
    await sender.setParameters(parameters);
    return negotiated;
}"""
SHOWS = """async (mimeType) => {
    const reports = await __probe.stats('inbound-rtp', 'codec');
    const codecs = new Map(reports.filter((s) => s.type === 'codec').map((s) => [s.id, s.mimeType]));
    return reports.some((s) => s.kind === 'video' && codecs.get(s.codecId) === mimeType && s.framesDecoded > 20);
}"""


async def sees(room: RoomPage, mime_type: str) -> None:
    """The other's camera in this codec, in motion."""
    await room.until(SHOWS, mime_type)
    await room.plays(1)
    await room.until("() => __probe.numbers().every((number) => number !== null)")


async def test_a_camera_that_changes_its_codec_goes_on_in_another_file(tmp_path: Path, rooms: Rooms) -> None:
    async with start_studio(tmp_path) as studio:
        session = await studio.create_session("A change of codec")
        ann = await rooms.join(session["host_url"], "Ann")
        bob = await rooms.join(session["guest_url"], "Bob")
        await sees(bob, "video/VP8")
        before = await video_report(ann, "outbound-rtp")
        await ann.start_recording()
        await ann.sends_for(RECORDED_S)
        assert "video/VP9" in await ann.page.evaluate(CHANGE, "video/VP9")
        await sees(bob, "video/VP9")
        await ann.sends_for(RECORDED_S)
        after = await video_report(ann, "outbound-rtp")
        assert (before["codec"], after["codec"], before["ssrc"]) == ("VP8", "VP9", after["ssrc"])
        await ann.stop_recording()
        assert [await room.errors() for room in (ann, bob)] == [[], []]
        people = [await witness(room) for room in (ann, bob)]
        (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
        evidence = await collect(studio, session, recording["recording_id"], people, tmp_path, local_copies=0)
    first, second = [file for file in evidence.of("Ann", "server") if file.take["kind"] == "camera"]
    assert first.take["take_id"] == second.take["take_id"]
    assert [file.segment["codec"] for file in (first, second)] == ["vp8", "vp9"]
    assert [file.report.sound for file in (first, second)] == [True, True]
    ends_ns = first.segment["start_ns"] + first.segment["duration_ns"]
    # A new encoder takes its time: its first picture comes late, and its file begins before the change was seen.
    assert -1_000_000_000 < second.segment["start_ns"] - ends_ns < 1_000_000_000
    for file in (first, second):
        numbers = [reading.number for reading in counter.read_file(file.path)]
        assert len(numbers) > 20
        assert None not in numbers
    assert evidence.server("Ann", "microphone").segment["gaps"] == []
