"""`stemroom journal inspect`, run as an operator runs it."""

import io
import json
import subprocess
import sys
from pathlib import Path

import dpkt
import msgspec
import pytest

from recorder.events import RecordingStarted, RecordingStopped
from recorder.journal import encode, encode_end, encode_event, encode_head, encode_report, events_name, packet_parts
from stemroom.journal_command import bars
from tests.support.journals import EPOCH, ZERO_NS, LockedFile, audio_packets, file_header, track_header, write_journal
from tests.support.journals import journal_bytes as bytes_of

TRACK = track_header("opus")


def inspect(*arguments: Path | str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stemroom", "journal", "inspect", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """3000 packets of sound, of which 30 are missing."""
    packets = audio_packets([bytes(50 + number % 100) for number in range(3000)])
    return write_journal(tmp_path, TRACK, [p for number, p in enumerate(packets) if number % 100 != 5])


def test_it_says_what_is_in_a_journal(journal: Path) -> None:
    done = inspect(journal)
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "ended by its writer",
        f"recording   {TRACK.recording_id} of session {TRACK.session_id}",
        f"microphone of {TRACK.participant_id}",
        "opus, 48000 Hz, SSRC 1234",
        "packets     2970",
        "missing     30; came more than once: 0",
        "0:00:01.000 to 0:01:00.980",
    ):
        assert text in done.stdout
    (rate,) = [line for line in done.stdout.splitlines() if line.startswith("rate")]
    assert len(rate.split()[1]) == 60
    assert "PROBLEM" not in done.stdout


def test_it_shows_every_record(journal: Path) -> None:
    done = inspect(journal, "--records")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2972
    assert lines[0]["track"]["segment_id"] == TRACK.segment_id
    assert lines[1] == {
        "record": "packet",
        "at_s": 1.0,
        "sequence": 65_500,
        "timestamp": 0,
        "marker": False,
        "payload_bytes": 50,
    }
    assert lines[-1]["record"] == "end"


def test_its_capture_file_has_every_packet(journal: Path, tmp_path: Path) -> None:
    with journal.open("r+b") as file:
        file.seek(-len(encode_end(0, 0)), io.SEEK_END)
        file.write(encode_report(ZERO_NS, 1, 2) + encode_end(ZERO_NS, 2970))
    out = tmp_path / "sound.pcap"
    assert inspect(journal, "--pcap", out).returncode == 0
    datagrams = [dpkt.ip.IP(frame).data for _, frame in dpkt.pcap.Reader(io.BytesIO(out.read_bytes()))]
    assert len(datagrams) == 2971
    sound = [dpkt.rtp.RTP(datagram.data) for datagram in datagrams if datagram.dport == 5004]
    assert [packet.seq for packet in sound[:3]] == [65_500, 65_501, 65_502]
    assert len(sound) == 2970
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([journal.name, out.name])


def test_a_torn_journal_is_read_up_to_the_tear(tmp_path: Path) -> None:
    journal = write_journal(tmp_path, TRACK, audio_packets([b"12345"] * 30), end=False)
    journal.write_bytes(journal.read_bytes()[:-3])
    done = inspect(journal)
    assert done.returncode == 0
    assert "torn: its writer was gone" in done.stdout
    assert "packets     29," in done.stdout
    assert "bytes at the end belong to no good record" in done.stdout


def test_a_journal_that_is_still_written_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    file = LockedFile(tmp_path / "growing.journal")
    file.write(bytes_of(TRACK, audio_packets([b"12345"] * 30), end=False))
    done = inspect(tmp_path / "growing.journal")
    file.close()
    assert done.returncode == 0
    assert "still written" in done.stdout
    assert "packets     30," in done.stdout


def test_a_journal_of_events_shows_them_and_has_no_capture_file(tmp_path: Path) -> None:
    journal = tmp_path / events_name(EPOCH)
    started = RecordingStarted(recording_id="r", session_id="s", title="t", started_ns=0)
    later = encode(0x7F, b"from the future")
    journal.write_bytes(
        encode_head(file_header())
        + encode_event(started)
        + later
        + encode_event(RecordingStopped(stopped_ns=5))
        + encode_end(ZERO_NS, 0)
    )
    done = inspect(journal)
    assert done.returncode == 0
    assert "events      2" in done.stdout
    assert "1 recording_started" in done.stdout
    assert "skipped     1 records of a later version" in done.stdout
    refused = inspect(journal, "--pcap", tmp_path / "out.pcap")
    assert refused.returncode == 1
    assert "no packets for a capture file" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == [journal.name], "nothing is left behind"


def test_an_end_that_promises_other_packets_is_a_problem_that_is_said(tmp_path: Path) -> None:
    journal = write_journal(tmp_path, TRACK, audio_packets([b"12345"] * 30), end=False)
    journal.write_bytes(journal.read_bytes() + encode_end(ZERO_NS, 31))
    assert "PROBLEM     its writer ended it with 31 packets, 30 are there" in inspect(journal).stdout


@pytest.mark.parametrize("content", [b"", b"\x1aE\xdf\xa3 a webm file", b"STEMJRN1", bytes(5000)])
def test_what_is_no_journal_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    done = inspect(tmp_path / "file")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [(), ("--pcap", "out.pcap")])
def test_a_header_of_a_stranger_is_refused_or_shown_harmlessly(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Good checksums, and values that no writer of ours writes."""
    stream = msgspec.structs.replace(TRACK.stream, ssrc=1 << 40)
    track = msgspec.structs.replace(TRACK, participant_id="\x1b[2J", stream=stream)
    header = msgspec.structs.replace(file_header(track), opened_wall_ns=1 << 62 if not options else 0)
    journal = tmp_path / "strange.journal"
    packet = b"".join(packet_parts(1.0, 1, 2, True, b"payload"))
    journal.write_bytes(encode_head(header) + packet + encode_end(ZERO_NS, 1))
    done = inspect(journal, *options, folder=tmp_path)
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    if options:
        assert done.returncode == 1
        assert "none that Stemroom writes" in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == [journal.name]


def test_a_capture_file_that_cannot_be_written_is_said(journal: Path, tmp_path: Path) -> None:
    done = inspect(journal, "--pcap", tmp_path / "missing" / "out.pcap")
    assert done.returncode == 1
    assert "missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_of_rates_shows_what_is_above_zero() -> None:
    assert bars([0, 1, 50, 100]) == " ▁▄█"
