"""When a dead node wrote last, on the session clock: also when the wall clock was moved, and after a reboot."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from recorder.events import ClockNoted
from recorder.journal import encode_event, encode_head, events_name
from recorder.last_sign import last_sign_ns
from tests.support.encoded import opus_packets
from tests.support.journals import EPOCH, ZERO_NS, S, audio_packets, file_header, track_header, write_journal

WALL_NS = 1_800_000_000 * S
HOUR_NS = 3_600 * S


def left(folder: Path, *, moved_ns: int = 0, notes: int = 1, epoch: str = EPOCH, zero_ns: int = ZERO_NS) -> None:
    """A spool of events begun at 1 s of the session, noted each 10 s; the wall clock was moved after the last note."""
    plain = file_header()
    head = replace(
        plain,
        opened_monotonic_ns=zero_ns + S,
        opened_wall_ns=WALL_NS + S,
        recording=replace(plain.recording, zero_monotonic_ns=zero_ns),
    )
    events = [ClockNoted(at_ns=n * 10 * S, wall_ns=WALL_NS + n * 10 * S, boot_id="b") for n in range(1, notes + 1)]
    folder.mkdir(exist_ok=True)
    path = folder / events_name(epoch)
    path.write_bytes(encode_head(head) + b"".join(map(encode_event, events)))
    written(path, WALL_NS + notes * 10 * S + moved_ns)


def written(path: Path, wall_ns: int) -> None:
    os.utime(path, ns=(wall_ns, wall_ns))


def voice(folder: Path, wall_ns: int) -> None:
    """Sound from 1 s to 13 s of the session, written until this Unix time."""
    path = write_journal(folder, track_header("opus"), audio_packets(opus_packets(600)), end=False)
    written(path, wall_ns)


def test_the_newest_file_says_when_by_the_newest_note(tmp_path: Path) -> None:
    left(tmp_path)
    voice(tmp_path, WALL_NS + 13 * S)
    assert last_sign_ns(tmp_path) == 13 * S


def test_before_the_first_note_the_header_is_one(tmp_path: Path) -> None:
    left(tmp_path, notes=0, moved_ns=4 * S)
    assert last_sign_ns(tmp_path) == 4 * S


@pytest.mark.parametrize("moved_ns", [HOUR_NS, -HOUR_NS])
def test_a_wall_clock_that_was_moved_after_the_last_note_changes_nothing(moved_ns: int, tmp_path: Path) -> None:
    left(tmp_path, moved_ns=moved_ns)
    voice(tmp_path, WALL_NS + moved_ns + 13 * S)
    assert last_sign_ns(tmp_path) == 13 * S - 20_000_000, "when the last packet came"


def test_a_wall_clock_that_was_moved_before_a_note_is_known_by_it(tmp_path: Path) -> None:
    plain = file_header()
    moved = ClockNoted(at_ns=10 * S, wall_ns=WALL_NS - HOUR_NS + 10 * S, boot_id="b")
    head = replace(plain, opened_monotonic_ns=ZERO_NS + S, opened_wall_ns=WALL_NS + S)
    path = tmp_path / events_name(EPOCH)
    path.write_bytes(encode_head(head) + encode_event(moved))
    written(path, WALL_NS - HOUR_NS + 12 * S)
    assert last_sign_ns(tmp_path) == 12 * S


def test_after_a_reboot_the_newest_journal_says_where_the_session_clock_is(tmp_path: Path) -> None:
    left(tmp_path, notes=2)
    written(tmp_path / events_name(EPOCH), WALL_NS - HOUR_NS)
    left(tmp_path, epoch="0000000000000002", zero_ns=-700 * S, notes=5, moved_ns=S)
    assert last_sign_ns(tmp_path) == 51 * S


def test_a_folder_without_readable_events_says_nothing(tmp_path: Path) -> None:
    assert last_sign_ns(tmp_path) is None
    (tmp_path / events_name(EPOCH)).write_bytes(b"torn")
    voice(tmp_path, WALL_NS)
    assert last_sign_ns(tmp_path) is None
