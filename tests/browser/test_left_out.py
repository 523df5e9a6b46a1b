"""What Chromium leaves out because nothing changes: silence by DTX, and the frames of a screen that stands still. Files
count the time all the same, and neither is taken for loss."""

from pathlib import Path

import pytest

from tests.support import media
from tests.support.chromium import chromium
from tests.support.evidence import NS, Evidence, File, collect, witness
from tests.support.studio import start_studio

SAMPLE_RATE_HZ = 48_000
EDGE_S = 2.5
"""A screen that stands still has a key frame a second later than one is asked for."""
DTX = """
const original = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    return original.call(this, { type, sdp: sdp.replaceAll('usedtx=0', 'usedtx=1') });
};"""
SHARE = """
const context = new AudioContext();
navigator.mediaDevices.getUserMedia = async ({ video }) => {
    if (video) return navigator.mediaDevices.getDisplayMedia({ video: true });
    const destination = context.createMediaStreamDestination();
    const tone = context.createOscillator();
    tone.connect(destination);
    tone.start();
    return destination.stream;
};
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
    send.call(this, typeof data === 'string' ? data.replaceAll('"kind":"camera"', '"kind":"screen"') : data);
};"""
SLIDES = "<!doctype html><title>Slides</title><h1>The first slide</h1>"


def covers(file: File, evidence: Evidence) -> bool:
    """From about the recording's beginning to its end."""
    begin_s = file.segment["start_ns"] * NS
    end_s = begin_s + file.segment["duration_ns"] * NS
    return begin_s - evidence.started_s < EDGE_S and abs(end_s - evidence.stopped_s) < EDGE_S


async def test_silence_that_was_left_out_is_concealed_and_called_that(tmp_path: Path) -> None:
    async with start_studio(tmp_path) as studio, chromium(media.voice()) as rooms:
        session = await studio.create_session("Silence")
        ann = await rooms.join(session["host_url"], "Ann", [DTX])
        await ann.start_recording()
        await ann.sends_for(media.AUDIO_S)
        await ann.stop_recording()
        people = [await witness(ann)]
        (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
        evidence = await collect(studio, session, recording["recording_id"], people, tmp_path, local_copies=0)
    file = evidence.server("Ann", "microphone")
    assert {gap["reason"] for gap in file.segment["gaps"]} == {"dtx"}
    assert file.report.sound
    assert covers(file, evidence)
    sound = file.report.stream("audio")
    assert sound.samples / SAMPLE_RATE_HZ == pytest.approx(file.segment["duration_ns"] * NS, abs=0.1)
    assert file.segment["packets"]["lost"] == 0


async def test_a_shared_screen_that_stands_still_is_whole(tmp_path: Path) -> None:
    async with start_studio(tmp_path) as studio, chromium(shared="Slides") as rooms:
        slides = await rooms.browser.new_page()
        await slides.set_content(SLIDES)
        session = await studio.create_session("Slides")
        ann = await rooms.join(session["host_url"], "Ann", [SHARE])
        await ann.start_recording()
        await ann.sends_for(4)
        await slides.set_content(SLIDES.replace("first", "second"))
        await ann.sends_for(6)
        await ann.stop_recording()
        people = [await witness(ann)]
        (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
        evidence = await collect(studio, session, recording["recording_id"], people, tmp_path, local_copies=0)
    file = evidence.server("Ann", "screen")
    assert {gap["reason"] for gap in file.segment["gaps"]} <= {"static"}
    assert len(file.report.stream("video").pts_s) < 2 * (evidence.stopped_s - evidence.started_s), "it stands still"
    assert file.report.sound
    assert covers(file, evidence)
    assert file.report.duration_s == pytest.approx(file.segment["duration_ns"] * NS, abs=0.1)
