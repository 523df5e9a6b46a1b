"""What is found of a recording's unfinished files, and that it gets no shorter while a file is made anew."""

from pathlib import Path

import pytest

from recorder import earlier_file
from recorder.journal import Record, encode_head, track_name
from recorder.live_files import LiveBody, LiveFiles
from recorder.live_index import NoSuchSnapshot, Snapshot
from tests.support.encoded import opus_packets
from tests.support.files import inspect
from tests.support.journals import EPOCH, RECORDING, ZERO_NS, audio_packets, file_header, pipeline, track_header

SEGMENT = "seg_aaaaaaaaaaaaaaaa"
PACKETS: list[Record] = list[Record](audio_packets(opus_packets(500)))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Of the recording: its spool, with the journal of a microphone, and its work."""
    spool, work = tmp_path / "spool" / RECORDING, tmp_path / "work" / RECORDING
    for folder in (spool, work):
        folder.mkdir(parents=True)
    (spool / track_name(SEGMENT, EPOCH)).write_bytes(encode_head(file_header(track_header("opus"))))
    return spool, work


@pytest.fixture
def files(tmp_path: Path) -> LiveFiles:
    return LiveFiles(tmp_path / "spool", tmp_path / "work")


def whole(body: LiveBody) -> bytes:
    data = b""
    while len(data) < body.size_bytes:
        data += body.read(len(data), 10_000)
    body.close()
    return data


def only(files: LiveFiles) -> Snapshot:
    [segment] = files.of(RECORDING)
    assert segment.snapshot is not None
    return segment.snapshot


def test_a_running_segment_is_named_by_its_journal(files: LiveFiles, folders: tuple[Path, Path]) -> None:
    assert files.of(RECORDING) == []
    made = pipeline("opus", folders[1])
    made.feed(PACKETS[:80])
    [segment] = files.of(RECORDING)
    assert (segment.segment_id, segment.take_id) == (SEGMENT, "tak_aaaaaaaaaaaaaaaa")
    assert (segment.codec, segment.content_type, segment.extension) == ("opus", "audio/webm", "webm")
    assert segment.opened_ns == 0
    assert segment.snapshot is None
    made.feed(PACKETS[80:300])
    assert 3_000 < only(files).duration_ms < 6_000
    made.abandon()


def test_a_snapshot_stays_as_it_was_while_the_file_grows_is_closed_and_is_deleted(
    files: LiveFiles, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    made = pipeline("opus", folders[1])
    made.feed(PACKETS[:300])
    first = only(files)
    before = whole(files.open(RECORDING, SEGMENT, first.size_bytes))
    held = files.open(RECORDING, SEGMENT, first.size_bytes)
    made.feed(PACKETS[300:])
    assert only(files).duration_ms > first.duration_ms + 2_000
    assert whole(files.open(RECORDING, SEGMENT, first.size_bytes)) == before
    made.finish()
    assert whole(files.open(RECORDING, SEGMENT, first.size_bytes)) == before
    made.path.unlink()
    assert whole(held) == before
    with pytest.raises(NoSuchSnapshot):
        files.open(RECORDING, SEGMENT, first.size_bytes)
    assert files.of(RECORDING) == []
    (tmp_path / "file.webm").write_bytes(before)
    assert inspect(tmp_path / "file.webm").sound


def test_what_can_be_had_gets_no_shorter_while_a_file_is_made_anew(
    files: LiveFiles, folders: tuple[Path, Path]
) -> None:
    made = pipeline("opus", folders[1])
    made.feed(PACKETS[:400])
    first = only(files)
    data = whole(files.open(RECORDING, SEGMENT, first.size_bytes))
    # its process is killed: nothing more comes of it, and the next one begins again
    path, torn = made.path, made.path.read_bytes()
    made.abandon()
    path.write_bytes(torn + b"\x1f\x43\xb6\x75\x45\x01and a torn cluster")
    assert earlier_file.set_aside(path)
    anew = pipeline("opus", folders[1])
    for at in range(0, 500, 50):
        anew.feed(PACKETS[at : at + 50])
        assert only(files) >= first
        assert whole(files.open(RECORDING, SEGMENT, first.size_bytes)) == data
        gone = earlier_file.drop(path)
        assert gone is not earlier_file.earlier(path).exists()
    assert gone
    assert only(files) >= first
    assert whole(files.open(RECORDING, SEGMENT, first.size_bytes)) == data
    anew.abandon()


def test_of_two_unfinished_files_the_longer_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file.webm"
    assert not earlier_file.set_aside(path)
    path.write_bytes(b"long file")
    assert earlier_file.set_aside(path)
    assert not path.exists()
    path.write_bytes(b"long")
    assert earlier_file.set_aside(path)
    assert earlier_file.earlier(path).read_bytes() == b"long file"
    assert not earlier_file.drop(path)
    path.write_bytes(b"long file")
    assert earlier_file.drop(path)
    assert not earlier_file.earlier(path).exists()
    earlier_file.earlier(path).write_bytes(b"a long file")
    assert earlier_file.drop(path, even_if_longer=True)


@pytest.mark.parametrize("head", [b"", b"nonsense", encode_head(file_header())])
def test_a_file_whose_journal_names_no_track_is_left_out(
    head: bytes, files: LiveFiles, folders: tuple[Path, Path]
) -> None:
    made = pipeline("opus", folders[1])
    made.feed(PACKETS)
    (folders[0] / track_name(SEGMENT, EPOCH)).write_bytes(head)
    assert files.of(RECORDING) == []
    made.abandon()


def test_nothing_is_there_of_an_unknown_recording(files: LiveFiles) -> None:
    assert files.of("rec_zzzzzzzzzzzzzzzz") == []
    with pytest.raises(NoSuchSnapshot):
        files.open("rec_zzzzzzzzzzzzzzzz", SEGMENT, 1)


def test_time_is_counted_from_the_sessions_zero(files: LiveFiles, folders: tuple[Path, Path]) -> None:
    header = file_header(track_header("opus"))
    late = type(header)(
        epoch=header.epoch,
        opened_monotonic_ns=ZERO_NS + 7,
        opened_wall_ns=0,
        recording=header.recording,
        track=header.track,
    )
    (folders[0] / track_name(SEGMENT, EPOCH)).write_bytes(encode_head(late))
    (folders[1] / f"{SEGMENT}.webm").touch()
    assert [segment.opened_ns for segment in files.of(RECORDING)] == [7]
