"""`stemroom recover`, run as an operator runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.journal import JournalPacket, encode_end, encode_head, events_name
from tests.support.encoded import opus_packets, vp8_frames
from tests.support.files import inspect
from tests.support.journals import (
    EPOCH,
    ZERO_NS,
    LockedFile,
    audio_packets,
    file_header,
    journal_bytes,
    make_file,
    track_header,
    video_packets,
    write_journal,
)
from tests.support.payloads import PAYLOADS

CAMERA = track_header("vp8", segment_id="seg_camera")
VOICE = track_header("opus", segment_id="seg_voice")


def recover(*arguments: Path | str, into: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stemroom", "recover", *map(str, arguments), "--into", str(into)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def pictures() -> list[JournalPacket]:
    """60 frames, encoded once: an encoder in real time does not give the same bytes twice."""
    return video_packets(vp8_frames(60), PAYLOADS["vp8"])


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory, pictures: list[JournalPacket]) -> Path:
    return write_journal(tmp_path_factory.mktemp("c"), CAMERA, pictures)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packets = audio_packets(opus_packets(300))
    return write_journal(tmp_path_factory.mktemp("v"), VOICE, [*packets[:100], *packets[110:]])


def test_the_files_are_those_that_the_recorder_makes(
    camera: Path, voice: Path, pictures: list[JournalPacket], tmp_path: Path
) -> None:
    before = [camera.read_bytes(), voice.read_bytes()]
    into = tmp_path / "new" / "folder"
    done = recover(camera, voice, into=into)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in into.iterdir()) == [
        "seg_camera.json",
        "seg_camera.webm",
        "seg_voice.json",
        "seg_voice.webm",
    ]
    _, same = make_file("vp8", pictures, tmp_path / "same")
    assert (into / "seg_camera.webm").read_bytes() == same.read_bytes()
    report = inspect(into / "seg_voice.webm")
    assert report.sound, report
    said = json.loads((into / "seg_voice.json").read_text())
    assert said["packets"]["lost"] == 10
    assert said["gaps"][0]["reason"] == "lost"
    assert "10 packets never came" in done.stdout
    assert "2.0 s of vp8, begins 1.000 s into the session" in done.stdout
    assert [camera.read_bytes(), voice.read_bytes()] == before


def test_a_torn_journal_gives_what_is_good(camera: Path, tmp_path: Path) -> None:
    torn = tmp_path / camera.name
    torn.write_bytes(camera.read_bytes()[:-3000])
    done = recover(torn, into=tmp_path / "out")
    assert done.returncode == 0
    assert "its journal is torn" in done.stdout
    assert json.loads((tmp_path / "out" / "seg_camera.json").read_text())["torn"] is True
    assert inspect(tmp_path / "out" / "seg_camera.webm").sound


def test_a_damaged_journal_says_how_much_of_it_is_not_in_the_file(camera: Path, tmp_path: Path) -> None:
    content = bytearray(camera.read_bytes())
    content[-2000] ^= 0xFF
    damaged = tmp_path / camera.name
    damaged.write_bytes(content)
    done = recover(damaged, into=tmp_path / "out")
    assert done.returncode == 0
    said = json.loads((tmp_path / "out" / "seg_camera.json").read_text())
    assert "record with a wrong checksum in the journal: its last" in said["problem"]
    assert said["problem"] in done.stdout


def test_a_journal_that_is_still_written_gives_a_file_of_what_there_is(
    pictures: list[JournalPacket], tmp_path: Path
) -> None:
    growing = LockedFile(tmp_path / "growing.journal")
    growing.write(journal_bytes(CAMERA, pictures, end=False))
    done = recover(tmp_path / "growing.journal", into=tmp_path / "out")
    growing.close()
    assert done.returncode == 0
    video = inspect(tmp_path / "out" / "seg_camera.webm").stream("video")
    assert video.frames == 60


def test_what_is_there_already_is_not_touched_and_the_others_are_made(
    camera: Path, voice: Path, tmp_path: Path
) -> None:
    (tmp_path / "seg_camera.webm").write_bytes(b"mine")
    done = recover(camera, voice, into=tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path / 'seg_camera.webm'} is there already" in done.stderr
    assert (tmp_path / "seg_camera.webm").read_bytes() == b"mine"
    assert (tmp_path / "seg_voice.webm").exists()
    assert not (tmp_path / "seg_camera.json").exists()


def test_what_has_no_media_is_refused_in_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    events = tmp_path / events_name(EPOCH)
    events.write_bytes(encode_head(file_header()) + encode_end(ZERO_NS, 0))
    foreign = tmp_path / "holiday.webm"
    foreign.write_bytes(b"\x1aE\xdf\xa3" + bytes(500))
    empty = write_journal(tmp_path, track_header("vp8", segment_id="seg_empty"), [])
    noise = write_journal(
        tmp_path, track_header("vp8", segment_id="seg_noise"), audio_packets([b"\x10\x00\x00\x00"] * 50)
    )
    done = recover(events, foreign, empty, noise, into=tmp_path / "out")
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert "a journal of events has no media" in lines[0]
    assert lines[1] == "holiday.webm: not a journal of this version"
    assert all("no frame could be decoded" in line for line in lines[2:])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(camera: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    done = recover(camera, into=tmp_path / "file" / "folder")
    assert done.returncode == 1
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr
