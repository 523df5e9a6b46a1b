"""Ten participants with 720p simulcast in one room, everybody sees and hears everybody, recorded, on one core.

`python -m bench.conference` starts `stemroom serve` with a data folder of its own and keeps the node on one core; the
load, and the recorder's process, are on another. Each participant sends a camera in three layers (1.5 Mbit/s,
0.5 Mbit/s, 150 kbit/s) and a microphone, shows one other large and the rest small, reports arrivals and asks for what
it misses. What is shown: packets that a viewer did not get in the end, how long a packet takes, what the node costs,
and how late the load itself was, with the time that the host of a virtual machine took from it.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from bench import process
from bench.scene import held_up, percentiles
from bench.simulcast import FPS, LAYERS, Attendee
from bench.viewer import FEEDBACK_S
from tests.support.api import Json
from tests.support.studio import Studio, start_studio

SMALL_LINES = LAYERS[0].height
WARM_UP_S = 8.0
"""Layers are chosen, and what a viewer's network carries is found out."""
TURNS = 10
"""Viewers answer in so many groups, one after the other."""


async def measure(participants: int, seconds: float, *, recording: bool) -> Json:
    server_core, load_core = process.two_cores()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stemroom-load-")))
        overrides = {"log": {"level": "info"}, "session": {"max_participants": max(2, participants)}}
        with process.kept_on(server_core):
            studio = await stack.enter_async_context(start_studio(folder / "studio", overrides))
        stack.enter_context(process.kept_on(load_core))
        if load_core is not None:
            process.pin(studio.recorder_pid(), {load_core})
        session = await studio.create_session("Conference")
        people = [await Attendee.join(studio.url, session["session_id"], n) for n in range(participants)]
        answering = asyncio.create_task(answer(people))
        try:
            return await conference(studio, session, people, seconds, recording=recording)
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            for person in people:
                await person.leave()


async def conference(
    studio: Studio, session: Json, people: Sequence[Attendee], seconds: float, *, recording: bool
) -> Json:
    count = len(people)
    for place, person in enumerate(people):
        person.start(place / count / FPS)
    for place, person in enumerate(people):
        await person.watch(count - 1, people[(place + 1) % count].peer.participant_id, SMALL_LINES)
    started: Json = {}
    if recording:
        started = await studio.api.start_recording(session["session_id"], session["host_secret"])
    await asyncio.sleep(WARM_UP_S)
    for person in people:
        person.latencies_ns, person.late_ns = person.latencies_ns[:0], person.late_ns[:0]
        person.sent = person.delivered = person.repaired = person.unsent = 0
    with process.on_time():
        before, own, stolen = process.times(studio.pid), os.times(), process.stolen_s()
        await asyncio.sleep(seconds)
        stolen = process.stolen_s() - stolen
    delivered, sent = sum(p.delivered for p in people), sum(p.sent for p in people)
    latencies = [latency for person in people for latency in person.latencies_ns]
    spent = process.spent(before, process.times(studio.pid))
    own_s = sum(os.times()[:2]) - sum(own[:2])
    stats = await studio.operators(f"/api/v1/rooms/{session['session_id']}/stats")
    if recording:
        await studio.api.stop_recording(session["session_id"], started["recording_id"], session["host_secret"])
    await asyncio.sleep(1.0)
    cpu_s = sum(thread.on_cpu for thread in spent.values()) / 1e9
    p50, p99 = percentiles(latencies)
    return {
        "participants": count,
        "subscriptions": 2 * count * (count - 1),
        "recording": recording,
        "seconds": seconds,
        "received_per_s": round(sent / seconds),
        "delivered_per_s": round(delivered / seconds),
        "layers": layers(stats),
        "repaired": sum(person.repaired for person in people),
        "unrepaired": sum(person.unrepaired for person in people),
        "not_sent_by_the_load": sum(person.unsent for person in people),
        "latency_p50_us": round(p50),
        "latency_p99_us": round(p99),
        "load_late_p99_us": round(percentiles([late for person in people for late in person.late_ns])[1]),
        "cpu_share": round(cpu_s / seconds, 3),
        "us_per_delivered": round(1e6 * cpu_s / max(1, delivered), 2),
        "stolen_share": round(stolen / seconds, 3),
        "held_up_share": round(held_up(list(spent.values())) / 1e9 / seconds, 3),
        "load_cpu_share": round(own_s / seconds, 3),
        "dropped_by_recorder": await dropped(studio),
    }


def layers(stats: Json) -> dict[str, int]:
    """How many subscriptions of cameras are sent which layer."""
    found: dict[str, int] = {}
    for participant in stats["media"]["participants"]:
        for subscription in participant["subscriptions"]:
            if subscription["rid"] is not None and subscription["rid"] != "":
                found[subscription["rid"]] = found.get(subscription["rid"], 0) + 1
    return dict(sorted(found.items()))


async def dropped(studio: Studio) -> int:
    """Packets for which the writer of journals had no room."""
    text = await studio.operators("/metrics")
    return sum(int(float(n)) for n in re.findall(r"^stemroom_spool_\w*dropped\w*_total (\S+)$", text, re.MULTILINE))


async def answer(people: Sequence[Attendee]) -> None:
    turn = 0
    while True:
        await asyncio.sleep(FEEDBACK_S / TURNS)
        turn = (turn + 1) % TURNS
        for person in people[turn::TURNS]:
            person.answer()


COLUMNS = (
    *("participants", "subscriptions", "received_per_s", "delivered_per_s", "repaired", "unrepaired"),
    *("latency_p50_us", "latency_p99_us", "load_late_p99_us", "cpu_share", "us_per_delivered"),
    *("held_up_share", "stolen_share", "load_cpu_share"),
)


def table(results: Sequence[Json]) -> str:
    rows = [COLUMNS] + [tuple(str(result[name]) for name in COLUMNS) for result in results]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.conference", description=__doc__.splitlines()[0])
    parser.add_argument("--participants", type=int, nargs="+", default=[10])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--no-recording", action="store_true")
    parser.add_argument("--json", type=Path, help="write all figures there as well")
    chosen = parser.parse_args()
    if min(chosen.participants) < 2:
        parser.error("at least 2 participants")
    conditions = process.conditions()
    print(", ".join(f"{name} {value}" for name, value in conditions.items()), flush=True)
    results = []
    for participants in chosen.participants:
        results.append(asyncio.run(measure(participants, chosen.seconds, recording=not chosen.no_recording)))
        print(f"{participants} participants: layers sent {results[-1]['layers']}", flush=True)
    print(table(results))
    if chosen.json:
        chosen.json.write_text(json.dumps({"conditions": conditions, "results": results}, indent=1) + "\n")
    failed = [r for r in results if r["unrepaired"] or r["dropped_by_recorder"] or r["latency_p99_us"] > 5000]
    for result in failed:
        print(f"{result['participants']} participants do not hold: {result}", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
