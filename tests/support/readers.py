"""What others' programs read in the head of a file: FFmpeg's `ffprobe` and MKVToolNix's `mkvinfo`."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

PROGRAMS = ("ffprobe", "mkvinfo")
LEFT_OUT = "No ffprobe or no mkvinfo: the tests that compare readers of files are left out (make media-readers)."


class Said(NamedTuple):
    duration_s: float
    size: tuple[int, int]
    """Of the picture; 0, 0: there is none."""


def missing() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


def ffprobe(path: Path) -> Said:
    """It looks into the first pictures too. Fails for a file that it complains of."""
    shown = ("-show_entries", "format=duration:stream=width,height", "-of", "json")
    said: dict[str, Any] = json.loads(_output("ffprobe", "-v", "error", *shown, str(path)))
    (stream,) = said["streams"]
    return Said(float(said["format"]["duration"]), (stream.get("width", 0), stream.get("height", 0)))


def mkvinfo(path: Path) -> Said:
    """It reads the head alone. Fails for a file that it complains of."""
    text = _output("mkvinfo", "--ui-language", "en_US", str(path))
    hours, minutes, seconds = _value(text, r"Duration: (\d+):(\d+):([\d.]+)")
    sizes = [int(*found) for name in ("width", "height") if (found := _value(text, rf"Pixel {name}: (\d+)"))]
    width, height = sizes or (0, 0)
    return Said(int(hours) * 3600 + int(minutes) * 60 + float(seconds), (width, height))


def _value(text: str, pattern: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    return found.groups() if found else ()


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr, done.stderr
    assert "(MKVInfo) Error" not in done.stdout, done.stdout
    return done.stdout
