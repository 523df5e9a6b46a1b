"""Packets that are in no file and under no name are seen, whatever the manifest says."""

import zlib
from pathlib import Path

import pytest

from bench.accounts import account, read_journals
from recorder.manifest import Manifest, Segment, Take, encode, file_key, manifest_key
from tests.support.encoded import opus_packets
from tests.support.journals import RECORDING, SESSION, audio_packets, make_file, track_header, write_journal

SOUND = opus_packets(50)
FRAMES = {zlib.crc32(packet): 1 for packet in SOUND}
HEADER = track_header("opus")


def store(data: Path, *segments: Segment) -> None:
    take = Take(take_id=HEADER.take_id, participant_id="par_a", kind="microphone", slot=0, segments=list(segments))
    manifest = Manifest(
        session_id=SESSION, recording_id=RECORDING, title="A talk", started_ns=0, stopped_ns=1, takes=[take]
    )
    path = data / "objects" / manifest_key(SESSION, RECORDING)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(manifest))


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    """Of a journal with a packet that came twice, and stored as the recorder stores it."""
    packets = audio_packets(SOUND)
    packets.insert(10, packets[9])
    write_journal(tmp_path / "spool" / RECORDING, HEADER, packets)
    made, path = make_file("opus", packets, tmp_path / "made")
    made.state, made.object_key = "stored", file_key(SESSION, RECORDING, "server", path.name)
    target = tmp_path / "objects" / made.object_key
    target.parent.mkdir(parents=True)
    path.rename(target)
    store(tmp_path, made)
    return made


def test_what_is_in_the_file_and_what_is_named_are_all_packets_of_the_journal(tmp_path: Path, segment: Segment) -> None:
    told = account(tmp_path, RECORDING, FRAMES)
    assert (told.journalled, told.in_files, told.named, told.missing) == (51, 50, {"duplicate": 1}, 0)
    assert told.problems == []


def test_a_file_may_have_more_than_is_left_of_its_journal_and_never_less(tmp_path: Path, segment: Segment) -> None:
    (path,) = (tmp_path / "spool" / RECORDING).iterdir()
    path.write_bytes(path.read_bytes()[:-2_000])
    told = account(tmp_path, RECORDING, FRAMES)
    assert (told.journalled, told.missing, told.problems) == (51, 0, [])


def test_a_packet_without_a_name_is_missing(tmp_path: Path, segment: Segment) -> None:
    assert segment.packets is not None
    segment.packets.duplicate = 0
    store(tmp_path, segment)
    told = account(tmp_path, RECORDING, FRAMES)
    assert told.missing == 1
    assert told.problems


def test_a_manifest_is_not_believed(tmp_path: Path, segment: Segment) -> None:
    """It says that all are written, and one is not what was sent."""
    told = account(tmp_path, RECORDING, {zlib.crc32(packet): 1 for packet in SOUND[1:]})
    assert (told.in_files, told.missing) == (49, 1)
    assert told.problems


def test_a_segment_that_the_manifest_does_not_list_is_missing(tmp_path: Path, segment: Segment) -> None:
    store(tmp_path)
    told = account(tmp_path, RECORDING, FRAMES)
    assert (told.missing, len(told.problems)) == (51, 1)


@pytest.mark.parametrize("damage", [b"", b"no media at all" * 20, None])
def test_a_file_that_does_not_open_or_is_not_there_is_a_problem(
    tmp_path: Path, segment: Segment, damage: bytes | None
) -> None:
    path = tmp_path / "objects" / segment.object_key
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    assert account(tmp_path, RECORDING, FRAMES).problems


def test_journals_are_read_as_far_as_is_asked(tmp_path: Path, segment: Segment) -> None:
    spool = tmp_path / "spool" / RECORDING
    whole = read_journals(spool)[segment.segment_id]
    assert [sequence for sequence, _ in whole.packets[:2]] == [65_500, 65_501]
    half = read_journals(spool, lambda path: path.stat().st_size // 2)[segment.segment_id]
    assert 0 < len(half.packets) < len(whole.packets)
    assert half.packets == whole.packets[: len(half.packets)]
    assert half.last_ns < whole.last_ns
