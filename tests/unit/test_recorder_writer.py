"""What taps are given is in the journals, in order, whatever the disk does meanwhile; or it is counted as dropped."""

import errno
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recorder import journal_file, tap
from recorder import writer as writer_module
from recorder.events import RecordingStarted, RecordingStopped, TakeOpened
from recorder.journal import (
    PACKET_OVERHEAD_BYTES,
    UNBORN_SUFFIX,
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
)
from recorder.reader import JournalReader, JournalState
from recorder.settings import RecorderSettings
from recorder.writer import RecordingJournal, SpoolWriter
from sfu.interfaces import Reception
from storage.files import fsync_folder
from tests.support.journals import RECORDING, S, recording_header, track_header

FAST = RecorderSettings(write_interval_s=0.01)
PATIENCE_S = 10.0


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[SpoolWriter]:
    made = SpoolWriter(tmp_path / "spool", FAST)
    made.start()
    yield made
    made.close()


def begin(writer: SpoolWriter) -> RecordingJournal:
    return writer.open_recording(recording_header())


def journals(writer: SpoolWriter) -> dict[str, list[Record]]:
    """Records by the name's first part."""
    found = {}
    for path in sorted((writer.folder / RECORDING).glob("*.journal")):
        decoder = JournalDecoder()
        found[path.name.partition("-")[0]] = decoder.feed(path.read_bytes())
        assert decoder.undecoded_bytes == 0
    return found


def test_everything_a_tap_was_given_is_in_its_journal(writer: SpoolWriter) -> None:
    track = begin(writer).open_track(track_header("vp8"))
    for number in range(1_000):
        track.packet(number / 100, 65_000 + number, number * 3_000, number % 6 == 5, bytes((number % 256,)) * 50)
    track.sender_report(10.5, 1 << 63, 77)
    track.picture(10.6, 65_000, 640, 360, "h")
    track.muted(10.7, True)
    track.reception(10.8, Reception(1, 2, 3, 4, 5, 6, 7))
    track.end(11.0)
    track.picture(12.0, 65_000, 640, 360, "")
    track.muted(12.0, False)
    track.reception(12.0, Reception(1, 2, 3, 4, 5, 6, 7))
    writer.close()
    header, *records = journals(writer)["seg_aaaaaaaaaaaaaaaa"]
    assert isinstance(header, FileHeader)
    assert header.track == track_header("vp8")
    assert header.recording == recording_header()
    packets = [record for record in records if isinstance(record, JournalPacket)]
    assert [packet.sequence for packet in packets] == list(range(65_000, 66_000))
    assert packets[500] == JournalPacket(5 * S, 65_500, 1_500_000, False, bytes((500 % 256,)) * 50)
    assert records[-5:] == [
        JournalReport(10_500_000_000, 1 << 63, 77),
        JournalPicture(10_600_000_000, 65_000, 640, 360, "h"),
        JournalMute(10_700_000_000, True),
        JournalReception(10_800_000_000, Reception(1, 2, 3, 4, 5, 6, 7)),
        JournalEnd(11 * S, 1_000),
    ]
    assert writer.counters()["packets_dropped"] == 0
    assert writer.counters()["bytes_queued"] == 0


def test_an_event_is_durable_when_its_future_resolves(writer: SpoolWriter) -> None:
    journal = begin(writer)
    event = RecordingStopped(stopped_ns=3)
    journal.event(event).result(PATIENCE_S)
    assert journals(writer)["events"][1:] == [event]


def test_an_event_after_the_end_fails(writer: SpoolWriter) -> None:
    journal = begin(writer)
    journal.close()
    with pytest.raises(OSError, match="closed"):
        journal.event(RecordingStopped(stopped_ns=3)).result(PATIENCE_S)


def test_a_caller_that_no_longer_waits_for_an_event_does_no_harm(writer: SpoolWriter) -> None:
    journal = begin(writer)
    journal.event(RecordingStopped(stopped_ns=1)).cancel()
    journal.event(RecordingStopped(stopped_ns=2)).result(PATIENCE_S)
    assert len(journals(writer)["events"]) == 3


def test_a_journal_is_held_while_it_is_written_and_released_at_its_end(writer: SpoolWriter) -> None:
    journal = begin(writer)
    journal.event(RecordingStopped(stopped_ns=3)).result(PATIENCE_S)
    (path,) = (writer.folder / RECORDING).iterdir()
    reader = JournalReader(path)
    assert len(reader.read()) == 2
    assert reader.read() == []
    assert reader.state is JournalState.GROWING
    writer.close()
    assert reader.read() == [JournalEnd(reader_end(path), 0)]
    assert reader.state is JournalState.ENDED


def reader_end(path: Path) -> int:
    last = JournalDecoder().feed(path.read_bytes())[-1]
    assert isinstance(last, JournalEnd)
    return last.arrival_ns


def test_a_track_is_not_on_disk_before_the_events_that_name_its_take(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    born: list[str] = []
    durable: list[str] = []
    real_bear, real_sync = journal_file.JournalFile.bear, journal_file.JournalFile.sync

    def bear(file: journal_file.JournalFile) -> None:
        born.append(file.path.name[:3])
        if file.path.name.startswith("seg"):
            assert durable, "the events were not synced first"
        real_bear(file)

    def sync(file: journal_file.JournalFile) -> None:
        real_sync(file)
        durable.append(file.path.name)

    monkeypatch.setattr(journal_file.JournalFile, "bear", bear)
    monkeypatch.setattr(journal_file.JournalFile, "sync", sync)
    journal = begin(writer)
    journal.event(TakeOpened(take_id="t", participant_id="p", kind="camera", slot=0))
    journal.open_track(track_header("vp8"))
    writer.close()
    assert born == ["eve", "seg"]
    assert writer.counters()["write_errors"] == 0


def test_beyond_its_cap_packets_are_dropped_counted_and_marked(tmp_path: Path) -> None:
    """The thread is not running: a disk that hangs."""
    room = 10
    settings = RecorderSettings(write_interval_s=0.01, queue_bytes=room * (100 + PACKET_OVERHEAD_BYTES) - 1)
    writer = SpoolWriter(tmp_path / "spool", settings)
    track = begin(writer).open_track(track_header("vp8"))
    for number in range(room + 5):
        track.packet(number, number, 0, False, bytes(100))
    assert writer.counters()["packets_dropped"] == 5
    writer.start()
    wait_until_written(writer)
    track.packet(99, 99, 0, False, bytes(100))
    writer.close()
    records = journals(writer)["seg_aaaaaaaaaaaaaaaa"]
    assert [record.sequence for record in records if isinstance(record, JournalPacket)] == [*range(room), 99]
    assert [record for record in records if isinstance(record, JournalDropped)] == [JournalDropped(99 * S, 5)]


def wait_until_written(writer: SpoolWriter) -> None:
    """A barrier: an event of another recording is durable only after a pass over everything before it, begun later."""
    for number in range(2):
        other = writer.open_recording(recording_header(f"rec_{'b' * 15}{'ab'[number]}"))
        other.event(RecordingStopped(stopped_ns=1)).result(PATIENCE_S)


def test_what_was_dropped_last_is_marked_at_the_end(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool", RecorderSettings(write_interval_s=0.01, queue_bytes=50))
    track = begin(writer).open_track(track_header("vp8"))
    for number in range(3):
        track.packet(number, number, 0, False, bytes(100))
    writer.start()
    track.end(7)
    writer.close()
    assert journals(writer)["seg_aaaaaaaaaaaaaaaa"][-2:] == [JournalDropped(7 * S, 2), JournalEnd(7 * S, 1)]


def test_a_full_disk_that_is_freed_leaves_no_hole_and_no_loss(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write takes a part of what it is given, every third nothing at all."""
    turn = itertools.count()
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if not data.startswith(b"STEMJRN1"):
            if next(turn) % 3 == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[: max(1, len(data) // 2)]
        return real(fd, data)

    monkeypatch.setattr(journal_file.os, "write", write)
    journal = begin(writer)
    track = journal.open_track(track_header("vp8"))
    for number in range(300):
        track.packet(number, number, 0, False, bytes(300))
    journal.event(RecordingStopped(stopped_ns=1)).result(PATIENCE_S)
    monkeypatch.undo()
    writer.close()
    records = journals(writer)["seg_aaaaaaaaaaaaaaaa"]
    assert [record.sequence for record in records if isinstance(record, JournalPacket)] == list(range(300))
    assert writer.counters()["write_errors"] > 0
    assert writer.counters()["bytes_queued"] == 0


def test_a_disk_that_takes_nothing_raises_the_alarm_and_its_return_ends_it(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: journal_file.JournalFile) -> None:
        refused.append(file)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    refused: list[journal_file.JournalFile] = []
    monkeypatch.setattr(journal_file.JournalFile, "bear", refuse)
    durable = begin(writer).event(RecordingStopped(stopped_ns=1))
    with pytest.raises(TimeoutError):
        durable.result(0.2)
    assert refused
    assert "Read-only" in writer.alarm
    monkeypatch.undo()
    durable.result(PATIENCE_S)
    wait_until_written(writer)
    assert writer.alarm == ""


def test_a_disk_that_hangs_raises_the_alarm_while_it_hangs(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, answers = threading.Event(), threading.Event()
    real = os.fdatasync

    def hang(fd: int) -> None:
        hanging.set()
        answers.wait(PATIENCE_S)
        real(fd)

    monkeypatch.setattr(writer_module, "STALL_S", 0.05)
    monkeypatch.setattr(journal_file.os, "fdatasync", hang)
    durable = begin(writer).event(RecordingStopped(stopped_ns=1))
    assert hanging.wait(PATIENCE_S)
    until(lambda: "does not answer" in writer.alarm)
    assert writer.counters()["oldest_unsynced_s"] > 0.05
    answers.set()
    durable.result(PATIENCE_S)
    until(lambda: writer.alarm == "")
    until(lambda: writer.counters()["oldest_unsynced_s"] < 0.05)


@pytest.mark.parametrize(("age_s", "alarm"), [(2.0, False), (3.1, True)])
def test_bytes_that_wait_for_long_to_be_durable_are_an_alarm_though_every_pass_is_short(
    tmp_path: Path, age_s: float, alarm: bool
) -> None:
    """The thread is not running: its passes are made here, the second without time for a sync of tracks."""
    writer = SpoolWriter(tmp_path / "spool", FAST)
    track = begin(writer).open_track(track_header("vp8"))
    now_s = time.monotonic()
    writer._pass(now_s, now_s + PATIENCE_S)
    track.packet(1, 1, 0, False, b"x")
    writer._pass(now_s - age_s, 0.0)
    assert ("not made durable in time" in writer.alarm) is alarm
    writer._pass(now_s, time.monotonic() + PATIENCE_S)
    assert writer.alarm == ""
    writer.start()
    writer.close()


@pytest.mark.parametrize(("number", "refused"), [("ENOSPC", 1), ("EDQUOT", 1), ("EROFS", 1), ("EIO", 0)])
@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_a_disk_that_takes_nothing_is_told_from_one_that_fails(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch, number: str, refused: int, call: str
) -> None:
    failures = [getattr(errno, number)]
    real = getattr(os, call)

    def fail_once(fd: int, *data: bytes) -> int | None:
        if failures and not (data and data[0].startswith(b"STEMJRN1")):
            raise OSError(failures.pop(), "refused")
        taken: int | None = real(fd, *data)
        return taken

    monkeypatch.setattr(journal_file.os, call, fail_once)
    durable = begin(writer).event(RecordingStopped(stopped_ns=1, reason="disk"))
    assert (durable.exception(PATIENCE_S) is not None) is (call == "fdatasync")
    assert not failures
    assert writer.refusals == refused


def until(holds: Callable[[], bool]) -> None:
    """Looks again and again: nothing tells of an alarm but the alarm."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up_s
        time.sleep(0.005)


def test_dropped_packets_are_an_alarm_at_once_and_for_a_while_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread is not running: a disk that hangs. Then it catches up."""
    writer = SpoolWriter(tmp_path / "spool", RecorderSettings(write_interval_s=0.01, queue_bytes=50))
    track = begin(writer).open_track(track_header("vp8"))
    for number in range(2):
        assert writer.alarm == ""
        track.packet(number, number, 0, False, bytes(10))
    track.packet(2, 2, 0, False, bytes(10))
    assert "packets are dropped" in writer.alarm
    writer.start()
    wait_until_written(writer)
    assert "packets are dropped" in writer.alarm
    monkeypatch.setattr(tap, "DROPPED_ALARM_S", 0.0)
    assert writer.alarm == ""
    writer.close()


def test_a_journal_whose_name_could_not_be_made_durable_is_born_by_a_later_attempt(
    writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[Path] = []

    def fail_twice_each(folder: Path) -> None:
        if failed.count(folder) < 2:
            failed.append(folder)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync_folder(folder)

    monkeypatch.setattr(journal_file, "fsync_folder", fail_twice_each)
    event = RecordingStopped(stopped_ns=1)
    begin(writer).event(event).result(PATIENCE_S)
    assert failed.count(writer.folder / RECORDING) == failed.count(writer.folder) == 2
    assert journals(writer)["events"][1:] == [event]
    (path,) = (writer.folder / RECORDING).iterdir()
    reader = JournalReader(path)
    assert len(reader.read()) == 2
    assert reader.state is JournalState.GROWING, "it is held"
    reader.close()


def test_a_sync_that_failed_is_not_made_good_by_the_next(writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux tells of lost bytes once."""
    failures = [errno.EIO]
    real = os.fdatasync

    def fail_once(fd: int) -> None:
        if failures:
            raise OSError(failures.pop(), "lost")
        real(fd)

    monkeypatch.setattr(journal_file.os, "fdatasync", fail_once)
    damaged = begin(writer)
    for _ in range(2):
        with pytest.raises(OSError, match="lost"):
            damaged.event(RecordingStopped(stopped_ns=1)).result(PATIENCE_S)
    assert damaged.closed
    until(lambda: "lost" in writer.alarm)
    wait_until_written_beside(writer)
    assert "lost" in writer.alarm
    assert writer.counters()["sync_errors"] == 1
    track = damaged.open_track(track_header("opus"))
    track.packet(1, 1, 1, False, b"x")
    track.end(2)
    again = begin(writer)
    assert again is not damaged
    again.event(RecordingStopped(stopped_ns=2)).result(PATIENCE_S)
    until(lambda: writer.alarm == "")
    writer.close()
    assert len(list((writer.folder / RECORDING).glob("events-*"))) == 2
    assert len(journals(writer)["seg_aaaaaaaaaaaaaaaa"]) == 3


def wait_until_written_beside(writer: SpoolWriter) -> None:
    other = writer.open_recording(recording_header(f"rec_{'c' * 16}"))
    other.event(RecordingStopped(stopped_ns=1)).result(PATIENCE_S)


def test_what_a_crash_leaves_between_creating_and_naming_is_no_journal(writer: SpoolWriter) -> None:
    journal = begin(writer)
    journal.event(RecordingStopped(stopped_ns=1)).result(PATIENCE_S)
    assert not list((writer.folder / RECORDING).glob(f"*{UNBORN_SUFFIX}"))


def test_a_recording_that_is_opened_again_gets_a_later_epoch(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        writer = SpoolWriter(tmp_path / "spool", FAST)
        writer.start()
        for _ in range(2):
            journal = begin(writer)
            assert begin(writer) is journal
            journal.event(RecordingStarted(recording_id=RECORDING, session_id="s", title="", started_ns=0)).result(
                PATIENCE_S
            )
            names.append(max(path.name for path in (writer.folder / RECORDING).iterdir()))
            journal.close()
        writer.close()
    assert names == sorted(set(names))
    assert len(names[0]) == len("events-0123456789abcdef.journal")


def test_an_epoch_is_later_than_all_before_it_whatever_the_clock_says(tmp_path: Path) -> None:
    folder = tmp_path / "spool" / RECORDING
    folder.mkdir(parents=True)
    (folder / "events-7fffffffffffffff.journal").touch()
    writer = SpoolWriter(tmp_path / "spool", FAST)
    writer.start()
    begin(writer)
    writer.close()
    assert (folder / "events-8000000000000000.journal").exists()


def test_closing_ends_the_events_while_a_track_goes_on_until_its_tap_ends(writer: SpoolWriter) -> None:
    journal = begin(writer)
    track = journal.open_track(track_header("opus"))
    track.packet(1, 1, 1, False, b"x")
    journal.close()
    journal.close()
    track.packet(2, 2, 2, False, b"repaired")
    track.end(3)
    track.packet(4, 4, 4, False, b"z")
    writer.close()
    _, first, repaired, end = journals(writer)["seg_aaaaaaaaaaaaaaaa"]
    assert isinstance(first, JournalPacket)
    assert isinstance(repaired, JournalPacket)
    assert repaired.payload == b"repaired"
    assert isinstance(end, JournalEnd)


def test_closing_the_writer_ends_every_track_and_what_comes_later_is_ignored(writer: SpoolWriter) -> None:
    journal = begin(writer)
    track = journal.open_track(track_header("opus"))
    track.packet(1, 1, 1, False, b"x")
    writer.close()
    track.packet(2, 2, 2, False, b"y")
    track.sender_report(2, 2, 2)
    track.end(3)
    _, packet, end = journals(writer)["seg_aaaaaaaaaaaaaaaa"]
    assert isinstance(packet, JournalPacket)
    assert isinstance(end, JournalEnd)
    assert end.packets == 1
    assert writer.counters()["journals_open"] == 0


@pytest.mark.parametrize(
    "name", ["../seg_aaaaaaaaaaaaaa", "", "seg_aaaaaaaaaaaaaaaa\n", "seg_aaaaaaaaaaaaaaaa/x", "seg\0aaaaaaaaaaaaaaaaa"]
)
def test_what_is_no_id_is_no_file_name(writer: SpoolWriter, name: str) -> None:
    journal = begin(writer)
    with pytest.raises(ValueError, match="segment_id"):
        journal.open_track(track_header("opus", segment_id=name))
    with pytest.raises(ValueError, match="recording_id"):
        writer.open_recording(recording_header(name))


def test_a_segment_is_opened_once(writer: SpoolWriter) -> None:
    journal = begin(writer)
    journal.open_track(track_header("opus"))
    with pytest.raises(ValueError, match="segment_id"):
        journal.open_track(track_header("opus"))


def test_journals_are_for_our_eyes_only(writer: SpoolWriter) -> None:
    begin(writer).event(RecordingStopped(stopped_ns=1)).result(PATIENCE_S)
    folder = writer.folder / RECORDING
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
