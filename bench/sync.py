"""How far what the files show is from when it was captured, and from each other.

`python -m bench.sync` lets known people (`tests.support.known_peer`) act each plan of `tests.support.plans` in real
time, through the real program, with a recording. Afterwards every second of every file is compared with when its
pictures and its beep were captured, by the file's presentation time and the manifest's map. One line for each plan:

- A/V: worst difference between sound and picture of one participant;
- between: worst difference between anything of two participants;
- error: worst difference from the true time of capture, and the largest bound that the manifest gives for one;
- beyond: seconds of tracks whose error is beyond their bound;
- seen, heard: seconds of pictures and beeps that were found, of those that were captured while it was recorded.

With `--chromium` two pages act plans of their own (`bench.sync_pages`).
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench import captured, process, sync_pages
from bench.captured import Known, Place, Track, Worst
from tests.support import beep_flash
from tests.support.api import Json
from tests.support.chromium import chromium
from tests.support.evidence import finished
from tests.support.known_peer import KnownPeer
from tests.support.plans import PLANS, RECORDED_S, SECONDS, Plan
from tests.support.studio import Studio, start_studio

BAR_MS = 20.0
"""For sound and picture of one, and for people beside each other."""
PAGES_BAR_MS = 40.0
"""The same for pages, whose sound goes through a clock of its own."""
GRACE_S = 0.3
"""Between the last of a plan and the end of the recording."""
LEAD_S = 0.1
LATE_S = 0.3
"""A packet that is sent so long after its time, or a recording that begins so late, says more of this machine."""
ATTEMPTS = 4


class Result(NamedTuple):
    plan: str
    worst: Worst
    seen: tuple[int, int]
    """Seconds found, of so many."""
    heard: tuple[int, int]

    def within(self, bar_ms: float) -> bool:
        return self.worst.av <= bar_ms and self.worst.between <= bar_ms


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
            return await asyncio.to_thread(_judge, peers, plan, manifest, studio.data, from_s)
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


def _judge(peers: Sequence[KnownPeer], plan: Plan, manifest: Json, data: Path, from_s: float) -> Result:
    clock = captured.session_clock(data / "spool" / manifest["recording_id"])
    people = {peer.participant_id: Known(peer.number, peer.zero_s - clock.zero_monotonic_ns / 1e9) for peer in peers}
    tracks = captured.places(manifest, data / "objects", people)
    seen, heard = (_found(plan, tracks, kind, from_s) for kind in ("camera", "microphone"))
    return Result(plan.name, captured.worst(tracks), seen, heard)


def _found(plan: Plan, tracks: dict[Track, dict[int, Place]], kind: str, from_s: float) -> tuple[int, int]:
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


HEAD = f"{'plan':>28}  A/V ms  between ms  error ms  bound ms  beyond     seen    heard"


def row(result: Result) -> str:
    seen, heard = (f"{found}/{wanted}" for found, wanted in (result.seen, result.heard))
    told = result.worst
    return (
        f"{result.plan:>28}  {told.av:6.1f}  {told.between:10.1f}  {told.error:8.1f}  {told.bound:8.1f}  "
        f"{told.beyond:6}  {seen:>7}  {heard:>7}"
    )


async def measure_pages(folder: Path) -> list[Result]:
    """As `measure`, the plans of Chromium. What each track should have is not known: only that none is empty."""
    results = []
    async with start_studio(folder, {"log": {"level": "info"}}) as studio, chromium() as rooms:
        for plan in sync_pages.PLANS:
            worst, seconds = await sync_pages.act(plan, studio, rooms)
            seen, heard = (
                sum(found for (_, kind), found in seconds.items() if kind == wanted)
                for wanted in ("camera", "microphone")
            )
            results.append(Result(plan, worst, (seen, seen), (heard, heard)))
            print(row(results[-1]), flush=True)
    return results


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
    parser.add_argument("--chromium", action="store_true", help="let pages in Chromium act their plans instead")
    chosen = parser.parse_args()
    plans = [plan for plan in PLANS if not chosen.plans or plan.name in chosen.plans]
    print("; ".join(f"{name} {value}" for name, value in process.conditions().items()), flush=True)
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory(prefix="stemroom-sync-") as folder:
        place = Path(folder).resolve()
        results = asyncio.run(measure_pages(place) if chosen.chromium else measure(place, plans))
    bar_ms = PAGES_BAR_MS if chosen.chromium else BAR_MS
    missed = [result.plan for result in results if not result.within(bar_ms)]
    print(f"beyond {bar_ms:g} ms: {', '.join(missed)}" if missed else f"all within {bar_ms:g} ms")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
