"""The example of docs/recording-format.md is what its text says."""

import re
from pathlib import Path

from recorder.journal import (
    FileHeader,
    JournalDecoder,
    JournalEnd,
    JournalPacket,
    JournalReport,
    RecordingHeader,
    TrackHeader,
)
from sfu.interfaces import StreamInfo

DOCUMENT = (Path(__file__).parents[2] / "docs" / "recording-format.md").read_text()


def test_the_example_is_read_as_the_text_says() -> None:
    example = DOCUMENT.split("## An example", 1)[1]
    data = bytes.fromhex("".join(re.findall(r"^    ([0-9a-f ]+)$", example, re.MULTILINE)))
    decoder = JournalDecoder()
    header, *rest = decoder.feed(data)
    assert isinstance(header, FileHeader)
    assert header.track is not None
    assert (header.track.segment_id, header.track.take_id) == ("seg_1", "tak_1")
    assert (header.track.stream.codec, header.track.stream.ssrc) == ("opus", 7)
    assert rest == [
        JournalPacket(1_500_000_000, 70_000, 960, True, b"\xf8\xff\xfe"),
        JournalReport(1_500_000_000, 1 << 32, 960),
        JournalEnd(2_000_000_000, 1),
    ]
    assert (decoder.skipped, decoder.ended, decoder.good_bytes) == (1, True, len(data))


def test_it_names_every_field_of_a_header() -> None:
    header = DOCUMENT.split("A HEADER has", 1)[1].split("##", 1)[0]
    for kind in (FileHeader, RecordingHeader, TrackHeader, StreamInfo):
        for field in kind.__struct_fields__:
            assert f"`{field}`" in header
