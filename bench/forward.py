"""CPU microseconds per delivered packet, through the real program.

`python -m bench.forward` starts `stemroom serve` with a data folder of its own, lets raw peers join it by REST,
WebSocket, ICE and DTLS, and sends SRTP through it; nothing of the program is switched off. The unit is the CPU time of
the node's process (all threads, without the recorder's process) during a load, divided by the RTP packets that reached
subscribers: receiving, decrypting, RTCP, history, statistics and timers are in it. It needs no saturation, so a slow
generator on another core is good enough. The node is kept on one core, everything else on another.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import process
from bench.generator import Generator
from bench.load import BURSTS_PER_S, Load, bursts, pattern
from tests.support.api import Json
from tests.support.studio import Studio, start_studio

WARM_UP_S = 1.0
CALM = 0.05
"""A round counts only if the node waited for its core for less than this share of it, unless no round was so calm: a
node that is held up finds more packets at a time and looks cheaper than it is, and slower."""
ZERO = process.Times(0, 0)
PATTERN = Path(__file__).parent / "patterns" / "chromium-vp8-360p.pat"


class Round(NamedTuple):
    """One load and what it cost."""

    recording: bool
    sent: int
    delivered: int
    lost: int
    """Copies that did not come."""
    cpu_us: float
    """Of the node, all threads."""
    cpu_main_us: float
    """Of its event loop's thread."""
    waited_us: float
    """That this thread was ready but others had its core."""
    latency_us: tuple[float, float]
    """p50 and p99; zeros without subscribers."""
    packets_per_send: float
    packets_per_wakeup: float
    late_ms: float
    """How late the generator was at worst."""


class Scene:
    """A running studio with everybody connected."""

    def __init__(self, studio: Studio, session: Json, generator: Generator, subscribers: int) -> None:
        self._studio = studio
        self._session = session
        self._generator = generator
        self._subscribers = subscribers
        self._recording = ""

    async def record(self, on: bool) -> None:
        """Start or stop recording, as it may be."""
        session_id, secret, api = self._session["session_id"], self._session["host_secret"], self._studio.api
        if on and not self._recording:
            self._recording = (await api.start_recording(session_id, secret))["recording_id"]
        elif self._recording and not on:
            await api.stop_recording(session_id, self._recording, secret)
            self._recording = ""

    async def round(self, load: Load) -> Round:
        generator = self._generator
        sealed = generator.seal(load)
        received, events = generator.received, await self._events()
        pid = self._studio.pid
        before = process.times(pid)
        late_s = await generator.send(sealed, precise=load.precise)
        after = process.times(pid)
        events = {name: count - events[name] for name, count in (await self._events()).items()}
        delivered = generator.received - received
        spent = {thread: time.on_cpu - before.get(thread, ZERO).on_cpu for thread, time in after.items()}
        return Round(
            recording=bool(self._recording),
            sent=len(sealed),
            delivered=delivered,
            lost=len(sealed) * self._subscribers - delivered,
            cpu_us=sum(spent.values()) / 1000,
            cpu_main_us=spent[pid] / 1000,
            waited_us=(after[pid].waiting - before[pid].waiting) / 1000,
            latency_us=percentiles(generator.clocks.latencies),
            packets_per_send=delivered / max(1.0, events["sends"] - (events["sent"] - delivered)),
            packets_per_wakeup=events["received"] / max(1.0, events["wakeups"]),
            late_ms=1000 * late_s,
        )

    async def _events(self) -> dict[str, float]:
        """Counters of the media plane."""
        text: str = await self._studio.operators("/metrics")
        found = re.findall(r'^stemroom_media_events_total\{event="(\w+)"\} (\S+)$', text, re.MULTILINE)
        return {name: float(value) for name, value in found}


def percentiles(latencies_ns: Sequence[int]) -> tuple[float, float]:
    """p50 and p99, microseconds."""
    if len(latencies_ns) < 2:
        return 0.0, 0.0
    ordered = sorted(latencies_ns)
    return ordered[len(ordered) // 2] / 1000, ordered[len(ordered) * 99 // 100] / 1000


async def measure(load: Load, publishers: int, subscribers: int, rounds: int, recording: bool) -> list[Round]:
    """A fresh studio; `recording`: every second round is recorded."""
    cores = process.two_cores()
    with tempfile.TemporaryDirectory(prefix="stemroom-bench-") as folder:
        if cores:
            process.pin(os.getpid(), cores[0])
        overrides = {"log": {"level": "info"}, "session": {"max_participants": 100}}
        async with start_studio(Path(folder), overrides) as studio:
            if cores:
                process.pin(os.getpid(), cores[1])
                process.pin(studio.recorder_pid(), cores[1])
            session = await studio.create_session("Benchmark")
            generator = Generator()
            await generator.join(studio.url, session["session_id"], load, publishers, subscribers)
            scene = Scene(studio, session, generator, subscribers)
            warm_up = [send for send in load.sends if send.due_s < WARM_UP_S]
            await scene.round(load._replace(sends=warm_up, duration_s=WARM_UP_S))
            results = []
            for number in range(rounds * (1 + recording)):
                await scene.record(recording and number % 2 == 1)
                results.append(await scene.round(load))
            await scene.record(False)
            if generator.undecryptable:
                raise RuntimeError(f"{generator.undecryptable} packets could not be decrypted")
            await generator.close()
            return results


def spread(values: Sequence[float]) -> Json:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def summary(load: Load, publishers: int, subscribers: int, rounds: Sequence[Round]) -> Json:
    """Medians and ranges over the rounds."""
    everything = [r for r in rounds if not r.recording]
    plain = [r for r in everything if r.waited_us < CALM * 1e6 * load.duration_s] or everything
    result: Json = {
        "load": load.name,
        "publishers": publishers,
        "subscribers": subscribers,
        "packets_per_s": round(sum(r.delivered for r in plain) / len(plain) / load.duration_s),
        "us_per_received": spread([r.cpu_us / r.sent for r in plain]),
        "cpu_share": spread([r.cpu_us / 1e6 / load.duration_s for r in plain]),
        "waited_share": max(r.waited_us for r in plain) / 1e6 / load.duration_s,
        "lost": sum(r.lost for r in rounds),
        "rounds_counted": len(plain),
        "packets_per_wakeup": statistics.median(r.packets_per_wakeup for r in plain),
        "rounds": [r._asdict() for r in rounds],
    }
    if subscribers:
        result["us_per_delivered"] = spread([r.cpu_us / r.delivered for r in plain])
        result["latency_p50_us"] = spread([r.latency_us[0] for r in plain])
        result["latency_p99_us"] = spread([r.latency_us[1] for r in plain])
        result["packets_per_send"] = statistics.median(r.packets_per_send for r in plain)
    if len(everything) < len(rounds):
        # Each recorded round against the one before it: slow changes of the machine cancel out.
        pairs = list(zip(rounds[::2], rounds[1::2], strict=True))
        result["recording_us_per_received"] = spread([on.cpu_us / on.sent - off.cpu_us / off.sent for off, on in pairs])
        result["recording_us_per_received_event_loop"] = spread(
            [on.cpu_main_us / on.sent - off.cpu_main_us / off.sent for off, on in pairs]
        )
    return result


TITLES: tuple[str, ...] = (
    *("publ.", "subs", "packets/s", "us/delivered", "range", "p50 us", "p99 us", "per send"),
    *("lost", "cpu", "waited", "rounds"),
)


def table(results: Sequence[Json]) -> str:
    rows: list[tuple[str, ...]] = [TITLES]
    for r in results:
        us = r.get("us_per_delivered") or r["us_per_received"]
        rows.append(
            (
                str(r["publishers"]),
                str(r["subscribers"]),
                f"{r['packets_per_s']:,}",
                f"{us['median']:.2f}" + ("" if r["subscribers"] else " (per received)"),
                f"{us['lowest']:.2f}-{us['highest']:.2f}",
                f"{r['latency_p50_us']['median']:.0f}" if r["subscribers"] else "-",
                f"{r['latency_p99_us']['median']:.0f}" if r["subscribers"] else "-",
                f"{r['packets_per_send']:.2f}" if r["subscribers"] else "-",
                str(r["lost"]),
                f"{100 * r['cpu_share']['median']:.0f} %",
                f"{100 * r['waited_share']:.0f} %",
                f"{r['rounds_counted']}/{sum(not one['recording'] for one in r['rounds'])}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    for r in results:
        for name in ("recording_us_per_received", "recording_us_per_received_event_loop"):
            if name in r:
                where = "event loop alone" if name.endswith("loop") else "whole process"
                lines.append(
                    f"recording, {r['subscribers']} subscribers, {where}: {r[name]['median']:+.2f} us per received "
                    f"packet ({r[name]['lowest']:+.2f} to {r[name]['highest']:+.2f})"
                )
    return "\n".join(lines)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.forward", description=__doc__.splitlines()[0])
    parser.add_argument("--subscribers", type=int, nargs="+", default=[1, 10], help="per track (default: 1 10)")
    parser.add_argument("--publishers", type=int, default=1, help="each also takes the others' tracks (default: 1)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one round (default: 4)")
    parser.add_argument("--rate", type=float, default=BURSTS_PER_S, help="bursts a second (default: %(default)s)")
    parser.add_argument(
        "--pattern", type=Path, nargs="?", const=PATTERN, help="replay recorded traffic (default: that of Chromium)"
    )
    parser.add_argument("--recording", action="store_true", help="record every second round and tell the difference")
    parser.add_argument("--json", type=Path, help="write all figures there as well")
    chosen = parser.parse_args(given)
    if min(chosen.subscribers) < chosen.publishers - 1:
        parser.error("publishers take each other's tracks: at least --publishers - 1 --subscribers")
    return chosen


def main() -> None:
    chosen = arguments()
    load = pattern(chosen.pattern, chosen.seconds) if chosen.pattern else bursts(chosen.seconds, chosen.rate)
    conditions: dict[str, Any] = process.conditions() | {"rounds": chosen.rounds, "seconds": chosen.seconds}
    print(f"load: {load.name}; " + ", ".join(f"{name} {value}" for name, value in conditions.items()), flush=True)
    results = []
    for subscribers in chosen.subscribers:
        rounds = asyncio.run(measure(load, chosen.publishers, subscribers, chosen.rounds, chosen.recording))
        results.append(summary(load, chosen.publishers, subscribers, rounds))
    if chosen.json:
        chosen.json.write_text(json.dumps({"conditions": conditions, "results": results}, indent=1) + "\n")
    print(table(results))
    if any(result["lost"] for result in results):
        print("packets were lost: the figures are not to be compared", file=sys.stderr)


if __name__ == "__main__":
    main()
