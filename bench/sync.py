"""How far what the files show is from when it was captured, and from each other.

`python -m bench.sync` lets known people (`tests.support.known_peer`) act each plan of `tests.support.plans` in real
time, through the real program, with a recording. Afterwards every second of every file is compared with when its
pictures and its beep were captured, by the file's presentation time and the manifest's map. One line for each plan:

- A/V: worst difference between sound and picture of one participant;
- between: worst difference between anything of two participants;
- error: worst difference from the true time of capture, and the largest bound that the manifest gives for one;
- beyond: seconds of tracks whose error is beyond their bound;
- seen, heard: seconds of pictures and beeps that were found, of those that were captured while it was recorded.
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench import process
from recorder.journal import FileHeader, JournalDecoder
from tests.support import beep_flash
from tests.support.api import Json
from tests.support.evidence import finished
from tests.support.known_peer import KnownPeer
from tests.support.media import FPS
from tests.support.plans import PLANS, RECORDED_S, SECONDS, Plan
from tests.support.studio import Studio, start_studio

BAR_AV_MS = BAR_BETWEEN_MS = 20.0
GRACE_S = 0.3
"""Between the last of a plan and the end of the recording."""
LEAD_S = 0.1
LATE_S = 0.3
"""A packet that is sent so long after its time, or a recording that begins so late, says more of this machine."""
ATTEMPTS = 4


class Place(NamedTuple):
    """One second of one track."""

    error_ms: float
    """Where the manifest puts it, less where it was captured: median over the second."""
    bound_ms: float


class Result(NamedTuple):
    plan: str
    av_ms: float
    between_ms: float
    error_ms: float
    bound_ms: float
    beyond: int
    seen: tuple[int, int]
    """Seconds found, of so many."""
    heard: tuple[int, int]

    @property
    def within(self) -> bool:
        """The bars."""
        return self.av_ms <= BAR_AV_MS and self.between_ms <= BAR_BETWEEN_MS


async def act(plan: Plan, studio: Studio) -> Result:
    """Once more when this machine was too slow, at most ATTEMPTS times; then RuntimeError."""
    for number, _ in enumerate(plan.people, 1):  # before the clock runs
        await asyncio.to_thread(beep_flash.pictures, number, SECONDS)
        await asyncio.to_thread(beep_flash.packets, number, SECONDS)
    late_s = []
    for _ in range(ATTEMPTS):
        session = await studio.create_session(plan.name)
        peers = [KnownPeer(number, person) for number, person in enumerate(plan.people, 1)]
        recording_id, from_s = await _call(peers, studio, session)
        manifest = await finished(studio, session, recording_id, local_copies=0)
        late_s.append(max(from_s - RECORDED_S, *(peer.latest_s for peer in peers)))
        if late_s[-1] < LATE_S:
            return await asyncio.to_thread(_judge, plan, peers, manifest, studio.data, from_s)
    raise RuntimeError(f"this machine is too slow: {late_s} s late in {ATTEMPTS} attempts")


async def _call(peers: Sequence[KnownPeer], studio: Studio, session: Json) -> tuple[str, float]:
    """The recording, and when it began, in seconds of the plan."""

    async def come(peer: KnownPeer) -> None:
        await asyncio.sleep(zero_s + peer.person.joins_s - time.monotonic())
        await peer.join(studio.url, session)
        peer.begin(zero_s)

    secret = session["host_secret"]
    early = [peer for peer in peers if not peer.person.joins_s]
    for peer in early:
        await peer.join(studio.url, session)
    zero_s = time.monotonic() + LEAD_S
    for peer in early:
        peer.begin(zero_s)
    late = [asyncio.create_task(come(peer)) for peer in peers if peer.person.joins_s]
    await asyncio.sleep(zero_s + RECORDED_S - time.monotonic())
    recording = await studio.api.start_recording(session["session_id"], secret)
    from_s = time.monotonic() - zero_s
    await asyncio.gather(*late)
    await asyncio.sleep(zero_s + SECONDS + GRACE_S - time.monotonic())
    await studio.api.stop_recording(session["session_id"], recording["recording_id"], secret)
    for peer in peers:
        await peer.leave()
    return recording["recording_id"], from_s


def _judge(plan: Plan, peers: Sequence[KnownPeer], manifest: Json, data: Path, from_s: float) -> Result:
    zero_s = _session_zero_s(data / "spool" / manifest["recording_id"])
    by_id = {peer.participant_id: peer for peer in peers}
    tracks: dict[tuple[int, str], dict[int, Place]] = {}
    for take in manifest["takes"]:
        peer = by_id[take["participant_id"]]
        places = tracks.setdefault((peer.number, take["kind"]), {})
        for segment in take["segments"]:
            path = data / "objects" / segment["object_key"]
            captured = _pictures if take["kind"] == "camera" else _beeps
            places |= _places(segment, captured(path, peer.number), peer.zero_s - zero_s)
    av_ms = [
        abs(place.error_ms - tracks[number, "camera"][second].error_ms)
        for (number, kind), places in tracks.items()
        if kind == "microphone"
        for second, place in places.items()
        if second in tracks.get((number, "camera"), {})
    ]
    between_ms = [
        abs(places[second].error_ms - others[second].error_ms)
        for ((one, _), places), ((other, _), others) in itertools.combinations(tracks.items(), 2)
        if one != other
        for second in places.keys() & others.keys()
    ]
    everything = [place for places in tracks.values() for place in places.values()]
    return Result(
        plan.name,
        max(av_ms, default=0.0),
        max(between_ms, default=0.0),
        max((abs(place.error_ms) for place in everything), default=0.0),
        max((place.bound_ms for place in everything), default=0.0),
        sum(abs(place.error_ms) > place.bound_ms for place in everything),
        _found(plan, tracks, "camera", from_s),
        _found(plan, tracks, "microphone", from_s),
    )


def _session_zero_s(spool: Path) -> float:
    """Of the session clock, on the monotonic clock of this machine."""
    (events,) = spool.glob("events-*.journal")
    header = JournalDecoder().feed(events.read_bytes())[0]
    assert isinstance(header, FileHeader)
    return header.recording.zero_monotonic_ns / 1e9


def _pictures(path: Path, person: int) -> list[tuple[float, float]]:
    """Presentation time, and when it was captured after the person's zero."""
    found = beep_flash.seen(path)
    others = {one.person for one in found} - {person}
    if others:
        raise RuntimeError(f"{path} shows {others}, not {person} alone")
    return [(one.time_s, one.number / FPS) for one in found]


def _beeps(path: Path, person: int) -> list[tuple[float, float]]:
    return [(one.time_s, float(one.second)) for one in beep_flash.heard(path, person, range(SECONDS))]


def _places(segment: Json, found: Sequence[tuple[float, float]], ahead_s: float) -> dict[int, Place]:
    """By the second of capture. `ahead_s`: the person's zero on the session clock."""
    errors: dict[int, list[float]] = defaultdict(list)
    bounds: dict[int, list[float]] = defaultdict(list)
    for time_s, captured_s in found:
        session_s, bound_s = session_time(segment, time_s)
        errors[int(captured_s)].append(1000 * (session_s - ahead_s - captured_s))
        bounds[int(captured_s)].append(1000 * bound_s)
    return {second: Place(statistics.median(ms), max(bounds[second])) for second, ms in errors.items()}


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


def _found(plan: Plan, tracks: dict[tuple[int, str], dict[int, Place]], kind: str, from_s: float) -> tuple[int, int]:
    """Whole seconds of the recording that were found, of those that were sent."""
    found = wanted = 0
    for number, person in enumerate(plan.people, 1):
        begins_s = person.camera_s if kind == "camera" else person.microphone_s
        first = int(max(from_s, person.joins_s, begins_s)) + 2  # connecting, and a key frame
        muted = {
            second
            for pause in (person.pauses if kind == "microphone" else ())
            for second in range(int(pause.from_s), int(pause.until_s) + 1)
        }
        anew = [at_s for at_s in (person.republishes_s, person.reconnects_s) if at_s is not None]
        muted |= {second for at_s in anew for second in range(int(at_s), int(at_s) + 2)}
        seconds = set(range(first, SECONDS)) - muted
        wanted += len(seconds)
        found += len(seconds & tracks.get((number, kind), {}).keys())
    return found, wanted


HEAD = "                 plan  A/V ms  between ms  error ms  bound ms  beyond     seen    heard"


def row(result: Result) -> str:
    seen, heard = (f"{found}/{wanted}" for found, wanted in (result.seen, result.heard))
    return (
        f"{result.plan:>23}  {result.av_ms:6.1f}  {result.between_ms:10.1f}  {result.error_ms:8.1f}  "
        f"{result.bound_ms:8.1f}  {result.beyond:6}  {seen:>7}  {heard:>7}"
    )


async def measure(folder: Path, plans: Sequence[Plan]) -> list[Result]:
    """Prints a row for each as it comes."""
    results = []
    async with start_studio(folder, {"log": {"level": "info"}}) as studio:
        for plan in plans:
            results.append(await act(plan, studio))
            print(row(results[-1]), flush=True)
    return results


def main() -> None:
    names = [plan.name for plan in PLANS]
    parser = argparse.ArgumentParser(prog="bench.sync", description=__doc__.splitlines()[0])
    parser.add_argument("plans", nargs="*", help=f"by name (default: all): {', '.join(names)}")
    chosen = parser.parse_args()
    plans = [plan for plan in PLANS if not chosen.plans or plan.name in chosen.plans]
    print("; ".join(f"{name} {value}" for name, value in process.conditions().items()), flush=True)
    print("      " + HEAD, flush=True)
    with tempfile.TemporaryDirectory(prefix="stemroom-sync-") as folder:
        results = asyncio.run(measure(Path(folder).resolve(), plans))
    missed = [result.plan for result in results if not result.within]
    print(f"beyond {BAR_AV_MS:g} ms: {', '.join(missed)}" if missed else f"all within {BAR_AV_MS:g} ms")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
