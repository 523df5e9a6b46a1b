"""A snapshot of a file that grows is a whole file: it opens, says how long it is, is decoded and searched."""

import functools
import io
import tempfile
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.journal import JournalPacket, Record
from recorder.live_index import LiveIndex, NoSuchSnapshot, Read
from recorder.settings import RecorderSettings
from tests.support.encoded import opus_packets, vp8_frames, vp8_payloads
from tests.support.files import inspect
from tests.support.journals import audio_packets, make_file, pipeline, video_packets


@functools.cache
def camera() -> list[JournalPacket]:
    """6 s, with a key frame every second."""
    return video_packets(vp8_frames(180, keyframe_every=30), vp8_payloads)


@functools.cache
def microphone() -> list[JournalPacket]:
    return audio_packets(opus_packets(1500))


@functools.cache
def growing_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        made = pipeline("opus", Path(folder), RecorderSettings(index_bytes=400))
        made.feed(list[Record](microphone()[:300]))
        data = made.path.read_bytes()
        made.abandon()
    return data


MEDIA = {"vp8": camera, "opus": microphone}


def reader(data: bytes) -> Read:
    return lambda offset, length: data[offset : offset + length]


def snapshot(index: LiveIndex, data: bytes, size_bytes: int) -> bytes:
    head = index.head(reader(data), size_bytes)
    return head + data[len(head) : size_bytes]


@pytest.mark.parametrize("codec", MEDIA)
def test_every_snapshot_on_the_way_is_a_file_of_its_own(codec: str, tmp_path: Path) -> None:
    packets = MEDIA[codec]()
    made = pipeline(codec, tmp_path)
    index = LiveIndex()
    seen: dict[int, bytes] = {}
    for at in range(0, len(packets), 7):
        made.feed(list[Record](packets[at : at + 7]))
        if not made.path.exists():
            continue
        data = made.path.read_bytes()
        index.extend(reader(data), len(data))
        latest = index.latest
        if latest is None or latest.size_bytes in seen:
            continue
        assert len(data) - latest.size_bytes > 0
        seen[latest.size_bytes] = snapshot(index, data, latest.size_bytes)
        file = tmp_path / "so_far"
        file.write_bytes(seen[latest.size_bytes])
        report = inspect(file)
        assert report.sound
        assert report.duration_s == pytest.approx(latest.duration_ms / 1000, abs=0.001)
        [stream] = report.streams
        assert stream.span_s == pytest.approx(latest.duration_ms / 1000, abs=0.04)
    assert len(seen) >= 4
    made.finish()
    final = made.path.read_bytes()
    index.extend(reader(final), len(final))
    for size_bytes, data in seen.items():
        assert snapshot(index, final, size_bytes) == data, "it does not change when there is more"
        head = len(index.head(reader(final), size_bytes))
        assert data[head:] == final[head:size_bytes]


@pytest.mark.parametrize("growing", [True, False])
def test_a_snapshot_can_be_searched_without_reading_what_lies_between(growing: bool, tmp_path: Path) -> None:
    made = pipeline("vp8", tmp_path)
    made.feed(list[Record](camera()))
    if not growing:
        made.finish()
    data = made.path.read_bytes()
    index = LiveIndex()
    index.extend(reader(data), len(data))
    assert index.latest is not None
    content = snapshot(index, data, index.latest.size_bytes)
    with av.open(io.BytesIO(content)) as file:
        file.seek(3_500_000)
        packet = next(file.demux(video=0))
        assert packet.pts is not None
        assert packet.time_base is not None
        assert (packet.is_keyframe, float(packet.pts * packet.time_base)) == (True, 3.0)
    with av.open(io.BytesIO(content)) as file:
        places = {packet.pts: packet.pos for packet in file.demux(video=0)}
    torn = bytearray(content)
    begin, end = places[1_000], places[2_500]
    assert begin is not None
    assert end is not None
    torn[begin:end] = bytes(end - begin)  # who reads it loses its way
    with av.open(io.BytesIO(torn)) as file:
        file.seek(3_500_000)
        packet = next(file.demux(video=0))
        assert packet.pts is not None
        assert packet.time_base is not None
        assert float(packet.pts * packet.time_base) == 3.0


@pytest.mark.parametrize("index_bytes", [64, 200, 300, 1000])
def test_a_small_room_for_cues_has_those_that_fit_and_none_too_many(index_bytes: int, tmp_path: Path) -> None:
    made = pipeline("opus", tmp_path, RecorderSettings(index_bytes=index_bytes))
    made.feed(list[Record](microphone()))
    data = made.path.read_bytes()
    index = LiveIndex()
    index.extend(reader(data), len(data))
    assert index.latest is not None
    file = tmp_path / "so_far"
    file.write_bytes(snapshot(index, data, index.latest.size_bytes))
    assert inspect(file).sound
    assert index.latest.duration_ms > 27_000


def test_only_what_ends_where_a_cluster_begins_can_be_had(tmp_path: Path) -> None:
    _, path = make_file("vp8", camera(), tmp_path)
    data = path.read_bytes()
    index = LiveIndex()
    index.extend(reader(data), len(data))
    assert index.latest is not None
    size = index.latest.size_bytes
    for other in (0, 1, size - 1, size + 1, len(data), -1, 1 << 60):
        with pytest.raises(NoSuchSnapshot):
            index.head(reader(data), other)
    with pytest.raises(NoSuchSnapshot):
        index.head(reader(data[:1000]), size)


def test_a_file_that_has_no_two_clusters_yet_has_no_snapshot(tmp_path: Path) -> None:
    _, path = make_file("vp8", camera(), tmp_path)
    data = path.read_bytes()
    index = LiveIndex()
    for end in range(0, 70_000, 997):
        index.extend(reader(data[:end]), end)
        assert index.latest is None
    index.extend(reader(data), len(data))
    assert index.latest is not None


@given(st.data())
def test_damage_ends_what_is_found_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(growing_file())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        noise = data.draw(st.binary(min_size=1, max_size=40))
        whole[at : at + len(noise)] = noise
    index = LiveIndex()
    index.extend(reader(bytes(whole)), len(whole))
    if (latest := index.latest) is not None:
        assert latest.size_bytes <= len(whole)
        assert len(index.head(reader(bytes(whole)), latest.size_bytes)) <= latest.size_bytes


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(noise: bytes) -> None:
    index = LiveIndex()
    index.extend(reader(noise), len(noise))
    assert index.latest is None or index.latest.size_bytes <= len(noise)
