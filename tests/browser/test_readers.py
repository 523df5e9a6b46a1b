"""The head of a track's file says the same to ffprobe, mkvinfo and Chromium."""

from pathlib import Path

import pytest

from recorder.journal import JournalEnd
from recorder.manifest import Segment
from tests.support import readers
from tests.support.chromium import Rooms
from tests.support.encoded import opus_packets
from tests.support.journals import ZERO_NS, S, audio_packets, make_file, video_packets
from tests.support.payloads import PAYLOADS, encode

NS = 1e-9
MILLISECOND = 0.001
"""What the head of a file counts in."""
URL = "http://files.test/"
LOAD = """(name) => new Promise((resolve, reject) => {
    const video = document.createElement('video');
    video.onloadedmetadata = () => resolve([video.duration, video.videoWidth, video.videoHeight]);
    video.onerror = () => reject(new Error(video.error.message));
    video.src = name;
    document.body.append(video);
})"""


async def chromium(rooms: Rooms, path: Path) -> readers.Said:
    """What a page knows of a file before it plays it."""
    page = await rooms.browser.new_page()
    await page.route(URL, lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    await page.route(URL + path.name, lambda route: route.fulfill(path=path))
    await page.goto(URL)
    duration_s, width, height = await page.evaluate(LOAD, path.name)
    await page.close()
    return readers.Said(duration_s, (width, height))


def of(segment: Segment) -> readers.Said:
    return readers.Said(segment.duration_ns * NS, (segment.width, segment.height))


@pytest.mark.parametrize("codec", list(PAYLOADS))
async def test_all_readers_agree_on_duration_and_size(codec: str, rooms: Rooms, tmp_path: Path) -> None:
    """Also of a picture that becomes smaller, and of a last one that stood for a minute."""
    frames = encode(codec, 60) + encode(codec, 30, width=160, height=120)
    records = [*video_packets(frames, PAYLOADS[codec]), JournalEnd(ZERO_NS + 64 * S, 0)]
    segment, path = make_file(codec, records, tmp_path)
    assert of(segment).duration_s == pytest.approx(63, abs=MILLISECOND)
    said = [readers.ffprobe(path), readers.mkvinfo(path), await chromium(rooms, path)]
    assert [reader.size for reader in said] == [(320, 240)] * 3
    assert [reader.duration_s for reader in said] == [pytest.approx(of(segment).duration_s, abs=2 * MILLISECOND)] * 3
    assert of(segment).size == (320, 240)


@pytest.mark.parametrize("codec", list(PAYLOADS))
async def test_the_head_has_the_largest_of_a_picture_that_grows(codec: str, rooms: Rooms, tmp_path: Path) -> None:
    """FFmpeg and Chromium may look into the first picture and believe that instead."""
    frames = encode(codec, 30, width=160, height=120) + encode(codec, 30)
    segment, path = make_file(codec, video_packets(frames, PAYLOADS[codec]), tmp_path)
    assert readers.mkvinfo(path).size == of(segment).size == (320, 240)
    said = [readers.ffprobe(path), await chromium(rooms, path)]
    assert {reader.size for reader in said} <= {(160, 120), (320, 240)}
    assert [reader.duration_s for reader in said] == [pytest.approx(of(segment).duration_s, abs=2 * MILLISECOND)] * 2


async def test_all_readers_agree_on_the_duration_of_sound(rooms: Rooms, tmp_path: Path) -> None:
    segment, path = make_file("opus", audio_packets(opus_packets(150)), tmp_path)
    said = [readers.ffprobe(path), readers.mkvinfo(path), await chromium(rooms, path)]
    assert said == [readers.Said(pytest.approx(of(segment).duration_s, abs=0.02), (0, 0))] * 3
