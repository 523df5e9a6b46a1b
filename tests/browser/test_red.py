"""With `media.red` Chromium sends its sound as RED, another Chromium plays it, and the file has plain Opus."""

from pathlib import Path

from tests.support.chromium import Rooms
from tests.support.evidence import collect
from tests.support.studio import start_studio

RECORDED_S = 4.0


async def test_sound_as_red_is_sent_played_and_recorded_as_opus(tmp_path: Path, rooms: Rooms) -> None:
    async with start_studio(tmp_path / "studio", {"media": {"red": True}}) as studio:
        session = await studio.create_session("Twice")
        ann = await rooms.join(session["host_url"], "Ann")
        bob = await rooms.join(session["guest_url"], "Bob")
        await bob.plays(1)
        await bob.hears(1)
        await ann.start_recording()
        await ann.sends_for(RECORDED_S)
        await ann.stop_recording()
        (received,) = [report for report in await bob.stats("inbound-rtp") if report["kind"] == "audio"]
        people = [await ann.participant_id(), await bob.participant_id()]
        errors = await ann.errors() + await bob.errors()
        (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
        evidence = await collect(studio, session, recording["recording_id"], [], tmp_path, local_copies=2)
    assert received["packetsLost"] == 0
    # Each carries the one before, which is read and found to be there already.
    assert 0.8 * received["packetsReceived"] < received["packetsDiscarded"] <= received["packetsReceived"]
    for participant_id in people:
        (file,) = [
            file
            for file in evidence.files
            if (file.take["participant_id"], file.take["kind"]) == (participant_id, "microphone")
            and file.segment["copy"] == "server"
        ]
        assert file.segment["codec"] == "opus"
        assert file.report.sound, file.report
        assert file.segment["gaps"] == []
        assert file.report.stream("audio").packets > 0.8 * 50 * RECORDED_S
    assert errors == []
