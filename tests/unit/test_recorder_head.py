"""The size of the picture in a file's head: found by its elements, changed in place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.head import HEAD_BYTES, HeadError, SizeFields, find_size, write_size
from recorder.settings import RecorderSettings
from tests.support.encoded import opus_packets
from tests.support.journals import audio_packets, make_file, pipeline, video_packets
from tests.support.payloads import PAYLOADS, encode

EBML = bytes.fromhex("1a45dfa3 84 ec820000")
VIDEO = bytes.fromhex("e0 8b 9a8102 b0820140 ba8200f0")


def file_of(path: Path, *elements: bytes) -> Path:
    """With these elements in its segment, whose length is not known yet."""
    path.write_bytes(EBML + bytes.fromhex("18538067 01ffffffffffffff") + b"".join(elements))
    return path


def test_the_size_is_found_behind_other_elements_and_changed(tmp_path: Path) -> None:
    void = bytes.fromhex("ec 85 b082ba8200")
    entry = bytes.fromhex("ae 90 d78101") + VIDEO
    path = file_of(tmp_path / "a", void, bytes.fromhex("1654ae6b 92") + entry)
    before = path.read_bytes()
    fields = find_size(path)
    assert [before[at : at + 2] for at in fields] == [b"\x01\x40", b"\x00\xf0"]
    write_size(path, fields, (1920, 1080))
    assert path.read_bytes() == before.replace(b"\x01\x40", b"\x07\x80").replace(b"\x00\xf0", b"\x04\x38")


@pytest.mark.parametrize("codec", list(PAYLOADS))
def test_it_is_found_in_every_file_that_is_made(codec: str, tmp_path: Path) -> None:
    _, path = make_file(codec, video_packets(encode(codec, 5), PAYLOADS[codec]), tmp_path)
    content = path.read_bytes()
    assert [int.from_bytes(content[at : at + 2], "big") for at in find_size(path)] == [320, 240]


def test_sound_and_what_is_too_narrow_or_cut_off_is_refused(tmp_path: Path) -> None:
    _, sound = make_file("opus", audio_packets(opus_packets(10)), tmp_path)
    with pytest.raises(HeadError, match="no element E0"):
        find_size(sound)
    narrow = bytes.fromhex("1654ae6b 8a ae88 e086 b081a0 ba8178")
    with pytest.raises(HeadError, match="a field of 1 bytes"):
        find_size(file_of(tmp_path / "narrow", narrow))
    with pytest.raises(HeadError):
        find_size(file_of(tmp_path / "empty"))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_have_a_size_or_none(tmp_path_factory: pytest.TempPathFactory, data: bytes, begun: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    file_of(path, data) if begun else path.write_bytes(data)
    try:
        fields = find_size(path)
    except HeadError:
        return
    assert all(0 < at <= path.stat().st_size for at in fields)


def test_what_the_field_does_not_hold_is_stated_as_the_largest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(8))
    write_size(path, SizeFields(2, 5), (70_000, 180))
    assert path.read_bytes() == b"\0\0\xff\xff\0\0\xb4\0"


@pytest.mark.parametrize("codec", list(PAYLOADS))
@pytest.mark.parametrize("index_bytes", [RecorderSettings().index_bytes, 64])
def test_the_head_has_the_largest_picture_whenever_it_came(codec: str, index_bytes: int, tmp_path: Path) -> None:
    """Also when the cues had to be written by a second pass."""
    sizes = ((320, 240), (640, 360), (160, 120))
    frames = [frame for width, height in sizes for frame in encode(codec, 20, width=width, height=height)]
    settings = RecorderSettings(index_bytes=index_bytes)
    segment, path = make_file(codec, video_packets(frames, PAYLOADS[codec]), tmp_path, settings=settings)
    assert (segment.width, segment.height) == (640, 360)
    content = path.read_bytes()
    assert [int.from_bytes(content[at : at + 2], "big") for at in find_size(path)] == [640, 360]


def test_the_head_has_the_largest_picture_while_the_file_is_made(tmp_path: Path) -> None:
    """Whoever looks at a file that grows sees it right; all behind the head stays as it is."""
    frames = encode("vp8", 60, width=160, height=120) + encode("vp8", 60)
    made = pipeline("vp8", tmp_path)
    made.feed(list(video_packets(frames, PAYLOADS["vp8"])))
    growing = made.path.read_bytes()
    fields = find_size(made.path)
    assert [int.from_bytes(growing[at : at + 2], "big") for at in fields] == [320, 240]
    made.finish()
    whole = made.path.read_bytes()
    behind = RecorderSettings().index_bytes + HEAD_BYTES
    assert len(growing) > behind
    assert whole[behind : len(growing)] == growing[behind:]
    assert [whole[at : at + 2] for at in fields] == [growing[at : at + 2] for at in fields]
