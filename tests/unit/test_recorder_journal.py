"""What is written to a journal is read back, whatever the pieces; what is torn or damaged is recognised."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.events import ChunkVerified, RecordingEvent, RecordingStarted, RecordingStopped
from recorder.journal import (
    EVENT,
    FIRST_OPTIONAL,
    MAGIC,
    PICTURE,
    FileHeader,
    JournalDecoder,
    JournalDropped,
    JournalEnd,
    JournalMute,
    JournalPacket,
    JournalPicture,
    JournalReception,
    JournalReport,
    Record,
    encode,
    encode_dropped,
    encode_end,
    encode_event,
    encode_head,
    encode_mute,
    encode_picture,
    encode_reception,
    encode_report,
    packet_parts,
)
from sfu.interfaces import Reception
from tests.support.journals import file_header, track_header
from tests.support.properties import any_input

TICKS = st.integers(0, (1 << 32) - 1)
NS = st.integers(0, 1 << 53).map(lambda value: value // 1_000 * 1_000)
"""Microseconds, so that seconds as a float hold them."""
PACKETS = st.builds(
    JournalPacket,
    st.integers(0, 10**9).map(lambda s: s * 10**6),
    st.integers(0, 1 << 60),
    TICKS,
    st.booleans(),
    st.binary(max_size=1_500),
)
REPORTS = st.builds(JournalReport, NS, st.integers(0, (1 << 64) - 1), TICKS)
DROPS = st.builds(JournalDropped, NS, st.integers(0, 1 << 40))
EVENTS = st.one_of(
    st.builds(RecordingStopped, stopped_ns=NS),
    st.builds(RecordingStarted, recording_id=st.text(), session_id=st.text(), title=st.text(), started_ns=NS),
    st.builds(
        ChunkVerified,
        segment_id=st.text(),
        index=st.integers(0, 10**5),
        size_bytes=NS,
        sha256=st.text(),
        object_key=st.text(),
        end_ms=st.floats(0, 1e12),
    ),
)
SIZES = st.integers(0, 0xFFFF)
PICTURES = st.builds(JournalPicture, NS, st.integers(0, 1 << 60), SIZES, SIZES, st.text(max_size=16))
MUTES = st.builds(JournalMute, NS, st.booleans())
COUNTS = st.integers(0, (1 << 64) - 1)
RECEPTIONS = st.builds(
    JournalReception, NS, st.builds(Reception, TICKS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
)
RECORDS = st.lists(st.one_of(PACKETS, REPORTS, DROPS, PICTURES, MUTES, RECEPTIONS, EVENTS), max_size=12)


def encoded(record: Record) -> bytes:
    if isinstance(record, JournalPacket):
        arrival_ns, sequence, timestamp, marker, payload = record
        return b"".join(packet_parts(arrival_ns / 1e9, sequence, timestamp, marker, payload))
    if isinstance(record, JournalReport):
        return encode_report(*record)
    if isinstance(record, JournalDropped):
        return encode_dropped(*record)
    if isinstance(record, JournalPicture):
        return encode_picture(*record)
    if isinstance(record, JournalMute):
        return encode_mute(*record)
    if isinstance(record, JournalReception):
        return encode_reception(*record)
    if isinstance(record, JournalEnd):
        return encode_end(*record)
    assert not isinstance(record, FileHeader)
    return encode_event(record)


def near(read: Record, written: Record) -> bool:
    """Equal, but for the nanosecond that seconds as a float may lose."""
    if isinstance(read, JournalPacket) and isinstance(written, JournalPacket):
        return abs(read.arrival_ns - written.arrival_ns) <= 1_000 and read[1:] == written[1:]
    return read == written


def head() -> bytes:
    return encode_head(file_header(track_header("vp8")))


@given(records=RECORDS, sizes=st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_records_are_read_back_in_pieces_of_any_size(records: list[Record], sizes: list[int]) -> None:
    content = head() + b"".join(map(encoded, records)) + encode_end(7, 3)
    decoder = JournalDecoder()
    read: list[Record] = []
    at = turn = 0
    while at < len(content):
        size = sizes[turn % len(sizes)]
        read += decoder.feed(content[at : at + size])
        at, turn = at + size, turn + 1
    assert read[0] == file_header(track_header("vp8"))
    assert len(read) == len(records) + 2
    assert all(map(near, read[1:-1], records))
    assert read[-1] == JournalEnd(7, 3)
    assert (decoder.ended, decoder.problem, decoder.good_bytes) == (True, "", len(content))


def small() -> tuple[list[bytes], bytes]:
    parts = [
        head(),
        encode_event(RecordingStopped(stopped_ns=5)),
        b"".join(packet_parts(1.5, 70_000, 9, True, b"payload")),
        encode_report(1, 2, 3),
        encode_end(9, 1),
    ]
    return parts, b"".join(parts)


def test_cut_at_every_byte_it_gives_the_records_before_the_cut_and_nothing_else() -> None:
    parts, content = small()
    ends = [len(b"".join(parts[: count + 1])) for count in range(len(parts))]
    for cut in range(len(content)):
        decoder = JournalDecoder()
        read = decoder.feed(content[:cut])
        assert len(read) == sum(end <= cut for end in ends)
        assert not decoder.ended
        assert decoder.problem == ""
        assert decoder.feed(content[cut:]) or cut == len(content)
        assert decoder.ended


def test_any_changed_byte_ends_what_is_good_before_its_record() -> None:
    parts, content = small()
    ends = [len(b"".join(parts[: count + 1])) for count in range(len(parts))]
    for at in range(len(MAGIC), len(content)):
        changed = bytearray(content)
        changed[at] ^= 0x40
        decoder = JournalDecoder()
        read = decoder.feed(bytes(changed))
        assert len(read) == sum(end <= at for end in ends)
        assert not decoder.ended


@any_input
@given(
    changes=st.dictionaries(st.integers(0, len(small()[1]) - 1), st.integers(1, 255), min_size=1, max_size=3),
    tail=st.binary(max_size=20),
)
def test_whatever_is_changed_and_follows_only_what_stands_before_the_first_change_is_read(
    changes: dict[int, int], tail: bytes
) -> None:
    parts, content = small()
    ends = [len(b"".join(parts[: count + 1])) for count in range(len(parts))]
    changed = bytearray(content)
    for at, change in changes.items():
        changed[at] ^= change
    decoder = JournalDecoder()
    assert len(decoder.feed(bytes(changed) + tail)) == sum(end <= min(changes) for end in ends)
    assert not decoder.ended


@any_input
@given(
    records=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=4),
    tail=st.binary(max_size=30),
    cut=st.integers(0, 600),
)
def test_records_of_any_type_and_content_are_read_skipped_or_a_problem(
    records: list[tuple[int, bytes]], tail: bytes, cut: int
) -> None:
    """Each with a right checksum, so that its content is looked at; in two pieces as in one."""
    content = head() + b"".join(encode(kind, body) for kind, body in records) + tail
    decoder = JournalDecoder()
    read = decoder.feed(content)
    if not decoder.problem and not decoder.ended:
        assert len(read) + decoder.skipped == len(records) + 1
        assert decoder.undecoded_bytes <= len(tail)
    pieces = JournalDecoder()
    again = pieces.feed(content[:cut])
    if not pieces.problem and not pieces.ended:
        again += pieces.feed(content[cut:])
    assert (again, pieces.problem, pieces.good_bytes) == (read, decoder.problem, decoder.good_bytes)


def test_a_tail_of_zeros_is_no_record() -> None:
    """As after a power failure on a file system that had grown the file already."""
    parts, _ = small()
    decoder = JournalDecoder()
    assert len(decoder.feed(b"".join(parts[:3]) + bytes(4_096))) == 3
    assert decoder.problem


def test_a_write_in_progress_is_read_again() -> None:
    parts, content = small()
    begun = b"".join(parts[:2])
    decoder = JournalDecoder()
    decoder.feed(begun + bytes(len(parts[2])))
    assert decoder.problem
    at = decoder.restart()
    assert at == len(begun)
    assert len(decoder.feed(content[at:])) == 3
    assert decoder.ended


@pytest.mark.parametrize("content", [b"RIFF1234", b"STEMJRN2", b"\0" * 100])
def test_a_foreign_file_is_refused(content: bytes) -> None:
    decoder = JournalDecoder()
    assert decoder.feed(content) == []
    assert decoder.problem


def test_a_record_that_no_writer_writes_is_a_problem_and_no_exception() -> None:
    no_types = (encode(7, b""), encode(FIRST_OPTIONAL - 1, b""))
    for record in (*no_types, encode(EVENT, b"{}"), encode(EVENT, b"\xff"), encode(2, b"short")):
        decoder = JournalDecoder()
        assert len(decoder.feed(head() + record)) == 1
        assert decoder.problem


def test_what_a_later_version_adds_is_skipped_and_counted_and_what_follows_is_read() -> None:
    parts, _ = small()
    added = [
        encode(FIRST_OPTIONAL, b"anything"),
        encode(255, b""),
        encode(EVENT, b'{"type":"moon_rose","at_ns":1}'),
    ]
    decoder = JournalDecoder()
    read = decoder.feed(parts[0] + added[0] + added[1] + b"".join(parts[1:3]) + added[2] + b"".join(parts[3:]))
    assert read == JournalDecoder().feed(b"".join(parts))
    assert (decoder.skipped, decoder.ended, decoder.problem) == (3, True, "")


def test_a_known_event_that_is_malformed_is_not_skipped() -> None:
    decoder = JournalDecoder()
    decoder.feed(head() + encode(EVENT, b'{"type":"recording_stopped"}'))
    assert decoder.problem
    assert decoder.skipped == 0


def test_an_impossible_length_is_not_waited_for() -> None:
    decoder = JournalDecoder()
    decoder.feed(head() + b"\0\0\0\0" + (1 << 31).to_bytes(4, "little") + b"\x02")
    assert decoder.problem


def test_what_follows_the_end_is_ignored() -> None:
    _, content = small()
    decoder = JournalDecoder()
    assert len(decoder.feed(content + content)) == 5
    assert decoder.feed(b"more") == []


def test_the_checksum_is_zlibs_crc32_of_all_behind_it() -> None:
    record = encode_report(1, 2, 3)
    assert int.from_bytes(record[:4], "little") == zlib.crc32(record[4:])


def test_every_event_goes_round() -> None:
    event: RecordingEvent = RecordingStarted(recording_id="r", session_id="s", title="Ünïcode \n", started_ns=1)
    assert JournalDecoder().feed(head() + encode_event(event))[1] == event


@pytest.mark.parametrize("behind", [b"", encode_report(1, 2, 3)])
@pytest.mark.parametrize("before", [0, 300])
def test_a_packet_that_is_too_short_is_a_problem_whatever_follows_it_and_wherever_a_read_ends(
    behind: bytes, before: int
) -> None:
    """Nothing is taken from the record behind it, and the words are the same: they go into the manifest."""
    content = head() + encode(2, b"short") + behind
    decoder = JournalDecoder()
    read = decoder.feed(content[:before]) + decoder.feed(content[before:])
    assert len(read) == 1
    assert decoder.problem == "record of type 2: of a wrong length"


def test_a_picture_larger_than_a_record_can_say_is_written_as_the_largest() -> None:
    """AV1 can claim 65536 pixels, H264 more than that: the recording must not end for it."""
    decoder = JournalDecoder()
    records = decoder.feed(head() + encode_picture(1, 2, 65_536, 1 << 40, "h"))
    assert records[1:] == [JournalPicture(1, 2, 65_535, 65_535, "h")]


@pytest.mark.parametrize("body", [b"", bytes(19), bytes(20) + b"\xff"])
def test_a_picture_that_contradicts_itself_ends_what_can_be_read(body: bytes) -> None:
    decoder = JournalDecoder()
    assert decoder.feed(head() + encode(PICTURE, body))[1:] == []
    assert decoder.problem


def test_a_stop_that_was_written_before_reasons_were_is_read() -> None:
    body = b'{"type":"recording_stopped","stopped_ns":7}'
    decoder = JournalDecoder()
    assert decoder.feed(head() + encode(EVENT, body))[1:] == [RecordingStopped(stopped_ns=7, reason="")]
