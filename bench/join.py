"""CPU time of a join and memory of an idle participant, through the real program.

`python -m bench.join` starts `stemroom serve`, fills rooms with raw peers that publish a camera and a microphone and
take those of the others (REST, WebSocket, two connections with ICE and DTLS each), and then lets them do nothing. What
the node's process uses meanwhile without them is taken off. Nothing is sent: histories of what participants send come
on top.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from bench import process
from bench.servers import MAX_PARTICIPANTS
from tests.support.raw_peer import RawPeer
from tests.support.studio import Studio, start_studio

TRACKS = ("camera", "microphone")
IDLE_S = 3.0
"""Long enough for the node's regular duties, which are of every second."""


class Joining(NamedTuple):
    """Of one participant, on average."""

    cpu_ms: float
    """Of the node: REST, WebSocket, both connections, and the others' new offers."""
    memory_kib: float
    """Resident, after joining, while nothing is sent."""
    idle_share: float
    """Of a core, for keepalives, heartbeats and reports."""


async def fill(studio: Studio, size: int) -> list[RawPeer]:
    """A new room with so many participants, everybody connected."""
    session = await studio.create_session("Benchmark")
    peers: list[RawPeer] = []
    for _ in range(size):
        peers.append(await RawPeer.join(studio.url, session["session_id"]))
        await peers[-1].publish(*TRACKS)
    for peer in peers:
        if size > 1:
            await peer.takes(len(TRACKS) * (size - 1))
    return peers


async def measure(participants: int, room: int) -> Joining:
    """Rooms of `room` participants, `participants` in all, after one that warms the program up."""
    servers_core, own_core = process.two_cores()
    overrides = {"log": {"level": "info"}, "session": {"max_participants": MAX_PARTICIPANTS}}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stemroom-bench-")))
        with process.kept_on(servers_core):
            studio = await stack.enter_async_context(start_studio(folder, overrides))
        with process.kept_on(own_core):
            return await _measure(studio, participants, room)


async def _measure(studio: Studio, participants: int, room: int) -> Joining:
    everybody = await fill(studio, room)
    before_s = await _idle_share(studio.pid)
    memory, cpu, begun = process.resident_bytes(studio.pid), process.cpu_s(studio.pid), monotonic()
    for _ in range(participants // room):
        everybody += await fill(studio, room)
    joined = participants // room * room
    spent_s = process.cpu_s(studio.pid) - cpu - before_s * (monotonic() - begun)
    idle_share = await _idle_share(studio.pid) - before_s
    grown = process.resident_bytes(studio.pid) - memory
    for peer in everybody:
        await peer.close()
    return Joining(1000 * spent_s / joined, grown / 1024 / joined, idle_share / joined)


async def _idle_share(pid: int) -> float:
    cpu, begun = process.cpu_s(pid), monotonic()
    await asyncio.sleep(IDLE_S)
    return (process.cpu_s(pid) - cpu) / (monotonic() - begun)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench.join", description=__doc__.splitlines()[0])
    parser.add_argument("--participants", type=int, default=50)
    parser.add_argument("--rooms-of", type=int, default=2, help="participants of one room (default: 2)")
    chosen = parser.parse_args(given)
    if not 0 < chosen.rooms_of <= chosen.participants:
        parser.error("at least one whole room")
    print("; ".join(f"{name} {value}" for name, value in process.conditions().items()), flush=True)
    found = asyncio.run(measure(chosen.participants, chosen.rooms_of))
    print(f"{chosen.participants} participants in rooms of {chosen.rooms_of}:")
    print(f"{found.cpu_ms:.1f} ms of the node's CPU for a join")
    print(f"{found.memory_kib:.0f} KiB of memory for each, idle")
    print(f"{100 * found.idle_share:.3f} % of a core for each, idle")


if __name__ == "__main__":
    main()
