"""Compares what files show with when it was captured: judge of `bench.sync`. Reads files, journals and manifests."""

import itertools
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from recorder.journal import FileHeader, JournalDecoder, RecordingHeader
from tests.support import beep_flash
from tests.support.api import Json
from tests.support.media import FPS
from tests.support.plans import SECONDS

Track = tuple[int, str]
"""Number of the person, and kind."""


class Known(NamedTuple):
    """Whose captures are known."""

    number: int
    """That its media shows."""
    zero_s: float
    """Of its media, on the session clock."""
    pictures_s: Mapping[int, float] | None = None
    """When each picture was captured, since `zero_s`; None: on time."""


class Place(NamedTuple):
    """One second of one track."""

    at_s: float
    """When it began, on the session clock."""
    error_ms: float
    """Where the manifest puts it, less where it was captured: median over the second."""
    bound_ms: float


class Worst(NamedTuple):
    """Milliseconds."""

    av: float
    between: float
    error: float
    bound: float
    beyond: int
    """Places whose error is beyond their bound."""


def session_clock(spool: Path) -> RecordingHeader:
    """What the journals of a recording say of it."""
    events = sorted(spool.glob("events-*.journal"))[0]
    header = JournalDecoder().feed(events.read_bytes())[0]
    assert isinstance(header, FileHeader)
    return header.recording


def places(manifest: Json, objects: Path, people: Mapping[str, Known]) -> dict[Track, dict[int, Place]]:
    """Of every track by the second of its capture. `people`: by participant id; others are left out."""
    tracks: dict[Track, dict[int, Place]] = {}
    for take in manifest["takes"]:
        known = people.get(take["participant_id"])
        if known is None:
            continue
        found = tracks.setdefault((known.number, take["kind"]), {})
        for segment in take["segments"]:
            if segment["copy"] == "server":
                read = _pictures if take["kind"] == "camera" else _beeps
                found |= _by_second(segment, read(objects / segment["object_key"], known), known.zero_s)
    return tracks


def worst(tracks: Mapping[Track, Mapping[int, Place]]) -> Worst:
    av_ms = [
        abs(place.error_ms - tracks[number, "camera"][second].error_ms)
        for (number, kind), found in tracks.items()
        if kind == "microphone"
        for second, place in found.items()
        if second in tracks.get((number, "camera"), {})
    ]
    # Their seconds need not begin together.
    by_session = {track: {round(place.at_s): place for place in found.values()} for track, found in tracks.items()}
    between_ms = [
        abs(found[second].error_ms - others[second].error_ms)
        for ((one, _), found), ((other, _), others) in itertools.combinations(by_session.items(), 2)
        if one != other
        for second in found.keys() & others.keys()
    ]
    everything = [place for found in tracks.values() for place in found.values()]
    return Worst(
        max(av_ms, default=0.0),
        max(between_ms, default=0.0),
        max((abs(place.error_ms) for place in everything), default=0.0),
        max((place.bound_ms for place in everything), default=0.0),
        sum(abs(place.error_ms) > place.bound_ms for place in everything),
    )


def session_time(segment: Json, time_s: float) -> tuple[float, float]:
    """When what a file shows was captured, by its manifest, and the bound of it. Seconds."""
    points = segment.get("map") or [
        {"file_ns": 0, "session_ns": segment["start_ns"], "bound_ns": segment["start_bound_ns"]}
    ]
    at_ns = time_s * 1e9
    after = next((n for n, point in enumerate(points) if point["file_ns"] > at_ns), len(points))
    before = points[max(0, after - 1)]
    if 0 < after < len(points):
        behind = points[after]
        share = (at_ns - before["file_ns"]) / (behind["file_ns"] - before["file_ns"])
        session_ns = before["session_ns"] + share * (behind["session_ns"] - before["session_ns"])
        return session_ns / 1e9, max(before["bound_ns"], behind["bound_ns"]) / 1e9
    return (before["session_ns"] + at_ns - before["file_ns"]) / 1e9, before["bound_ns"] / 1e9


def _pictures(path: Path, known: Known) -> list[tuple[float, float]]:
    """Presentation time, and when it was captured after the person's zero."""
    seen = beep_flash.seen(path)
    others = {one.person for one in seen} - {known.number}
    if others:
        raise RuntimeError(f"{path} shows {others}, not {known.number} alone")
    if known.pictures_s is None:
        return [(one.time_s, one.number / FPS) for one in seen]
    return [(one.time_s, known.pictures_s[one.number]) for one in seen if one.number in known.pictures_s]


def _beeps(path: Path, known: Known) -> list[tuple[float, float]]:
    return [(one.time_s, float(one.second)) for one in beep_flash.heard(path, known.number, range(SECONDS))]


def _by_second(segment: Json, found: Sequence[tuple[float, float]], zero_s: float) -> dict[int, Place]:
    errors: dict[int, list[float]] = defaultdict(list)
    bounds: dict[int, list[float]] = defaultdict(list)
    for time_s, captured_s in found:
        session_s, bound_s = session_time(segment, time_s)
        errors[int(captured_s)].append(1000 * (session_s - zero_s - captured_s))
        bounds[int(captured_s)].append(1000 * bound_s)
    return {second: Place(zero_s + second, statistics.median(ms), max(bounds[second])) for second, ms in errors.items()}
