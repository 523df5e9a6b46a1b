"""CPU microseconds per delivered packet, through the real program, beside other servers.

`python -m bench.forward` starts `stemroom serve` with a data folder of its own, lets raw peers join it by REST,
WebSocket, ICE and DTLS, and sends SRTP through it; nothing of the program is switched off, and viewers answer as
browsers do (arrivals of all packets every 60 ms, receiver reports, and with `--lossy` requests for the 1 % that got
lost in both directions). The unit is the CPU time of the node's process (all threads, without the recorder's process)
during a load, divided by the RTP packets that reached subscribers: receiving, decrypting, RTCP, history, statistics and
timers are in it. It needs no saturation, so a slow generator on another core is good enough. The servers are kept on
one core, everything else on another.

With `--janus` and `--livekit` those servers run on the same core and get the same load, round by round in turn.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench import process
from bench.load import BURST, BURSTS_PER_S, Load, bursts, pattern
from bench.report import ratios, summary, table, warnings
from bench.scene import Round, Scene
from bench.servers import Server, janus_server, livekit_server, stemroom_server
from tests.support.api import Json

PATTERN = Path(__file__).parent / "patterns" / "chromium-vp8-360p.pat"
SUBSCRIBERS = (1, 5, 10, 20, 50)
MOST_PER_S = 24_000
"""Packets delivered a second: more and the generator, itself a Python process, would be the slower one."""


async def measure(load: Load, publishers: int, subscribers: int, chosen: argparse.Namespace) -> dict[str, list[Round]]:
    """Rounds by server, all of them fresh. With `chosen.recording` every second round is recorded."""
    servers_core, own_core = process.two_cores()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stemroom-bench-")))
        with process.kept_on(servers_core):
            servers: list[Server] = [await stack.enter_async_context(stemroom_server(folder / "studio", own_core))]
            if chosen.janus:
                servers.append(await stack.enter_async_context(janus_server(folder / "janus")))
            if chosen.livekit:
                servers.append(await stack.enter_async_context(livekit_server(folder / "livekit")))
        with process.kept_on(own_core):
            scenes = [Scene(server, subscribers, lossy=chosen.lossy) for server in servers]
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
    return rounds


def load_for(subscribers: int, chosen: argparse.Namespace) -> Load:
    """What each publisher sends: so much that the generator keeps up with what comes back."""
    if chosen.pattern:
        return pattern(chosen.pattern, chosen.seconds)
    most = MOST_PER_S / BURST / max(1, subscribers * chosen.publishers)
    return bursts(chosen.seconds, min(chosen.rate, most))


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.forward", description=__doc__.splitlines()[0])
    known = " ".join(map(str, SUBSCRIBERS))
    parser.add_argument("--subscribers", type=int, nargs="+", default=SUBSCRIBERS, help=f"per track (default: {known})")
    parser.add_argument("--publishers", type=int, default=1, help="each also takes the others' tracks (default: 1)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round (default: 3)")
    parser.add_argument(
        "--rate", type=float, default=BURSTS_PER_S, help="bursts a second, at most (default: %(default)s)"
    )
    parser.add_argument(
        "--pattern", type=Path, nargs="?", const=PATTERN, help="replay recorded traffic (default: that of Chromium)"
    )
    parser.add_argument("--lossy", action="store_true", help="1 %% of the packets is lost in both directions")
    parser.add_argument("--recording", action="store_true", help="record every second round and tell the difference")
    parser.add_argument("--janus", action="store_true", help="also through Janus (installed: janus, gcc), in turns")
    parser.add_argument("--livekit", action="store_true", help="also through LiveKit (make bench-livekit builds it)")
    parser.add_argument("--json", type=Path, help="write all figures there as well")
    chosen = parser.parse_args(given)
    if min(chosen.subscribers) < chosen.publishers - 1:
        parser.error("publishers take each other's tracks: at least --publishers - 1 --subscribers")
    if (chosen.janus or chosen.livekit) and (chosen.recording or not min(chosen.subscribers)):
        parser.error("other servers are compared by delivered packets, without --recording")
    return chosen


def main() -> None:
    chosen = arguments()
    conditions: dict[str, Any] = process.conditions() | {"rounds": chosen.rounds, "seconds": chosen.seconds}
    conditions |= {"publishers": chosen.publishers, "lossy": chosen.lossy}
    print("; ".join(f"{name} {value}" for name, value in conditions.items()), flush=True)
    results: list[Json] = []
    for subscribers in chosen.subscribers:
        load = load_for(subscribers, chosen)
        by_server = asyncio.run(measure(load, chosen.publishers, subscribers, chosen))
        found = [summary(name, load, chosen.publishers, subscribers, rounds) for name, rounds in by_server.items()]
        for result in found:
            result["by"] = {
                other: ratios(by_server[result["server"]], rounds)
                for other, rounds in by_server.items()
                if other != result["server"]
            }
        print(table(found), flush=True)
        results += found
    if chosen.json:
        chosen.json.write_text(json.dumps({"conditions": conditions, "results": results}, indent=1) + "\n")
    for warning in warnings(results):
        print(warning, file=sys.stderr)


if __name__ == "__main__":
    main()
