"""A reader waits for who holds the lock, and finishes what nobody holds."""

from pathlib import Path

import pytest

from recorder.journal import FileHeader, JournalEnd, JournalPacket
from recorder.reader import READ_BYTES, JournalReader, JournalState
from tests.support.journals import LockedFile, audio_packets, journal_bytes, track_header

PACKETS = audio_packets([bytes((0xFC, number)) for number in range(20)])


@pytest.fixture
def content() -> bytes:
    return journal_bytes(track_header("opus"), PACKETS)


def test_it_follows_a_journal_to_its_end(tmp_path: Path, content: bytes) -> None:
    held = LockedFile(tmp_path / "j")
    reader = JournalReader(tmp_path / "j")
    read = []
    for at in range(0, len(content), 97):
        held.write(content[at : at + 97])
        read += reader.read()
        assert (reader.state is JournalState.ENDED) == (at + 97 >= len(content))
    assert isinstance(read[0], FileHeader)
    assert read[1:-1] == PACKETS
    assert isinstance(read[-1], JournalEnd)
    held.close()
    assert reader.read() == []


def test_locked_and_silent_means_wait(tmp_path: Path, content: bytes) -> None:
    held = LockedFile(tmp_path / "j")
    held.write(content[: len(content) // 2])
    reader = JournalReader(tmp_path / "j")
    reader.read()
    for _ in range(5):
        assert reader.read() == []
        assert reader.state is JournalState.GROWING
    held.close()
    reader.close()


def test_unlocked_without_an_end_means_torn(tmp_path: Path, content: bytes) -> None:
    held = LockedFile(tmp_path / "j")
    held.write(content[:-50])
    reader = JournalReader(tmp_path / "j")
    read = reader.read()
    assert reader.state is JournalState.GROWING
    held.close()
    assert reader.read() == []
    assert reader.state is JournalState.TORN
    assert 1 < len(read) < len(PACKETS) + 1
    assert reader.torn_bytes > 0


def test_what_was_written_between_two_looks_is_read_before_a_journal_is_torn(tmp_path: Path, content: bytes) -> None:
    held = LockedFile(tmp_path / "j")
    held.write(content[:100])
    reader = JournalReader(tmp_path / "j")
    reader.read()
    held.write(content[100:-25])
    held.close()
    read = []
    while reader.state is JournalState.GROWING:
        read += reader.read()
    assert [record for record in read if isinstance(record, JournalPacket)] == PACKETS
    assert reader.state is JournalState.TORN


def test_damage_in_a_held_journal_is_read_again_until_it_is_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j"
    held = LockedFile(path)
    held.write(content[:-40] + bytes(40))
    reader = JournalReader(path)
    read = reader.read()
    assert reader.read() == []
    assert reader.state is JournalState.GROWING
    with path.open("r+b") as file:
        file.seek(len(content) - 40)
        file.write(content[-40:])
    read += reader.read()
    assert reader.state is JournalState.ENDED
    assert len(read) == len(PACKETS) + 2
    held.close()


def test_damage_in_a_journal_that_nobody_holds_ends_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content[:-40] + bytes(40))
    reader = JournalReader(tmp_path / "j")
    reader.read()
    assert reader.state is JournalState.TORN
    assert reader.problem
    assert 40 <= reader.torn_bytes < 80


def test_a_large_journal_comes_in_bounded_pieces(tmp_path: Path) -> None:
    packets = [packet._replace(payload=bytes(1_200)) for packet in audio_packets([b"x"] * 2_000)]
    (tmp_path / "j").write_bytes(journal_bytes(track_header("opus"), packets))
    reader = JournalReader(tmp_path / "j")
    sizes = []
    while reader.state is JournalState.GROWING:
        sizes.append(len(reader.read()))
    assert len(sizes) >= 3
    assert max(sizes) <= READ_BYTES // 1_200 + 1
    assert sum(sizes) == 2_002
