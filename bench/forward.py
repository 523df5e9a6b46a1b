"""CPU microseconds per delivered packet, through the real program.

`python -m bench.forward` starts `stemroom serve` with a data folder of its own, lets raw peers join it by REST,
WebSocket, ICE and DTLS, and sends SRTP through it; nothing of the program is switched off. The unit is the CPU time of
the node's process (all threads, without the recorder's process) during a load, divided by the RTP packets that reached
subscribers: receiving, decrypting, RTCP, history, statistics and timers are in it. It needs no saturation, so a slow
generator on another core is good enough. The node is kept on one core, everything else on another.

With `--janus` Janus runs on the same core and gets the same load, round by round in turn.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench import process
from bench.load import BURSTS_PER_S, Load, bursts, pattern
from bench.report import ratios, summary, table
from bench.scene import Round, Scene, Server, janus_server, stemroom_server

PATTERN = Path(__file__).parent / "patterns" / "chromium-vp8-360p.pat"


async def measure(load: Load, publishers: int, subscribers: int, chosen: argparse.Namespace) -> dict[str, list[Round]]:
    """Rounds by server, all of them fresh. With `chosen.recording` every second round is recorded."""
    cores = process.two_cores()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stemroom-bench-")))
        (folder / "janus").mkdir()
        if cores:
            process.pin(os.getpid(), cores[0])
        servers: list[Server] = [
            await stack.enter_async_context(stemroom_server(folder / "studio", cores[1] if cores else None))
        ]
        if chosen.janus:
            servers.append(await stack.enter_async_context(janus_server(folder / "janus")))
        if cores:
            process.pin(os.getpid(), cores[1])
        scenes = [Scene(server, subscribers) for server in servers]
        for scene in scenes:
            await scene.join(load, publishers)
        rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
        for number in range(chosen.rounds * (1 + chosen.recording)):
            for scene in scenes:
                recording = chosen.recording and number % 2 == 1
                rounds[scene.server.name].append(await scene.round(load, recording=recording))
        for scene in scenes:
            await scene.server.record(False)
            await scene.close()
    if cores:
        os.sched_setaffinity(0, set(cores))
    return rounds


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
    parser.add_argument("--janus", action="store_true", help="also through Janus (installed: janus, gcc), in turns")
    parser.add_argument("--json", type=Path, help="write all figures there as well")
    chosen = parser.parse_args(given)
    if min(chosen.subscribers) < chosen.publishers - 1:
        parser.error("publishers take each other's tracks: at least --publishers - 1 --subscribers")
    if chosen.janus and (chosen.recording or not min(chosen.subscribers)):
        parser.error("--janus compares delivered packets without --recording")
    return chosen


def main() -> None:
    chosen = arguments()
    load = pattern(chosen.pattern, chosen.seconds) if chosen.pattern else bursts(chosen.seconds, chosen.rate)
    conditions: dict[str, Any] = process.conditions() | {"rounds": chosen.rounds, "seconds": chosen.seconds}
    print(f"load: {load.name}; " + ", ".join(f"{name} {value}" for name, value in conditions.items()), flush=True)
    results, comparisons = [], []
    for subscribers in chosen.subscribers:
        by_server = asyncio.run(measure(load, chosen.publishers, subscribers, chosen))
        results += [summary(name, load, chosen.publishers, subscribers, rounds) for name, rounds in by_server.items()]
        if chosen.janus:
            comparisons.append({"subscribers": subscribers, **ratios(*by_server.values())})
    figures = {"conditions": conditions, "results": results, "stemroom_by_janus": comparisons}
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(table(results))
    for ratio in comparisons:
        print("N = {subscribers}: Stemroom / Janus {median:.2f} ({lowest:.2f}-{highest:.2f})".format(**ratio))
    if any(result["lost"] for result in results):
        print("packets were lost: the figures are not to be compared", file=sys.stderr)


if __name__ == "__main__":
    main()
