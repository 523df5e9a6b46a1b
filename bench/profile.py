"""Where the event loop of the node spends its time under a load: `make profile`, or `python -m bench.profile`.

The load is that of `bench.forward`; py-spy samples from outside, without stopping the node (what it reads while the
node runs on is sometimes torn; such samples are thrown away). Shares are of the samples outside of epoll: whether the
node slept there or was on its way to wake up cannot be told apart.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from bench import process
from bench.forward import PATTERN, load_for
from bench.load import BURSTS_PER_S
from bench.report import summary
from bench.scene import Scene
from bench.servers import stemroom_server

SAMPLES_PER_S = 400
LINES = 30
_LOOP, _SLEEP = "run_forever", "EpollSelector.select"


def by_function(stacks: str) -> tuple[Counter[str], Counter[str]]:
    """Samples of the loop's thread by function: where they were taken, and whom that function worked for.

    `stacks`: lines of `function (file:line);...;function (file:line) samples`, the innermost function last."""
    own: Counter[str] = Counter()
    under: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        names = [frame.rpartition(":")[0].replace(" (", "  ") for frame in stack.split(";")]
        if _SLEEP in names[-1] or not any(_LOOP in name for name in names):
            continue
        own[names[-1]] += int(count)
        under.update(dict.fromkeys(names, int(count)))
    return own, under


def table(own: Counter[str], under: Counter[str]) -> str:
    total = max(1, own.total())
    lines = [f"{'itself':>7} {'with callees':>12}  function"]
    for name, count in own.most_common(LINES):
        lines.append(f"{100 * count / total:5.1f} % {100 * under[name] / total:10.1f} %  {name}")
    return "\n".join(lines)


async def profile(chosen: argparse.Namespace) -> None:
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if program is None:
        raise SystemExit("py-spy is not installed: make profile does that")
    load = load_for(chosen.subscribers[0], chosen)
    servers_core, own_core = process.two_cores()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stemroom-profile-")))
        with process.kept_on(servers_core):
            server = await stack.enter_async_context(stemroom_server(folder / "studio", own_core))
        with process.kept_on(own_core):
            scene = Scene(server, chosen.subscribers[0], lossy=chosen.lossy)
            await scene.join(load, chosen.publishers)
            stacks = folder / "stacks"
            sampler = await asyncio.create_subprocess_exec(
                *(program, "record", "--pid", str(server.pid), "--duration", str(round(load.duration_s))),
                *("--rate", str(SAMPLES_PER_S), "--format", "raw", "--output", stacks, "--nonblocking"),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            result = await scene.round(load)
            if await sampler.wait():
                raise SystemExit("py-spy failed: it may have to be run as root")
            await scene.close()
        found = summary(server.name, load, chosen.publishers, chosen.subscribers[0], [result])
        print(f"{load.name}, {chosen.publishers} publishers, {chosen.subscribers[0]} subscribers each,", end=" ")
        print(
            f"{found['packets_per_s']} packets/s, {found['us_per_delivered']['median']:.1f} us per packet while sampled"
        )
        print(table(*by_function(stacks.read_text())))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.profile", description=__doc__.splitlines()[0])
    parser.add_argument("--subscribers", type=int, nargs=1, default=[10], help="per track (default: 10)")
    parser.add_argument("--publishers", type=int, default=1, help="each also takes the others' tracks (default: 1)")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=BURSTS_PER_S, help="bursts a second, at most")
    parser.add_argument(
        "--pattern", type=Path, nargs="?", const=PATTERN, help="replay recorded traffic (default: that of Chromium)"
    )
    parser.add_argument("--lossy", action="store_true", help="1 %% of the packets is lost in both directions")
    asyncio.run(profile(parser.parse_args()))


if __name__ == "__main__":
    main()
