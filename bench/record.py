"""What recording costs: the node, the recorder, and the time from a recording's end to its files.

`python -m bench.record` prints four figures, each with how it was come by:

a) CPU time of the node's process per received packet, recorded less not recorded, in turns, through the real program
   (`bench.forward --recording`): of all its threads, so the one that writes the journals is in it;
b) CPU time of the recorder's process per minute of one participant, over all its threads, while it makes the files of
   a generated hour of four participants as fast as it can: muxing, the report's decoders, hashes and uploads;
c) the time from the hour's end records until all its files are stored, verified and in the manifest. The recorder had
   read everything before and rested, as it has when it follows a recording;
d) how many participants one core records while they talk: the recorder is kept on a core and follows so many in real
   time; its lag is what is written to the journals and not yet read.

Generated journals are written by the node's writer, with real encoded media that repeats (`bench.generated`). The store
is a folder on the same disk.
"""

import argparse
import asyncio
import shutil
import statistics
import tempfile
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from bench import forward, generated, process, report
from bench.followed import Followed, followed_recorder
from bench.generated import GeneratedRecording
from bench.scene import held_up
from recorder.journal import SUFFIX
from tests.support.journals import RECORDING

COPIES = 3.2
"""Of the media on the disk at once: journal, file, object, and some more."""
LOOK_S = 0.05
REST_S = 2.0
RESTING_SHARE = 0.1
"""Of a core: a recorder that uses less than this over REST_S has nothing left to do but to look."""
CATCH_UP_S = 1_800.0
FINISH_S = 300.0
WARM_UP_S = 5.0
"""Of figure d: opening the files of everybody is not what a talk costs."""
LATE_S = 1.0
"""A recorder that is further behind in the end falls behind: its looks and the writer's are 0.3 s apart."""


class Hour(NamedTuple):
    """Figures b and c."""

    minutes: float
    people: int
    journal_bytes: int
    caught_up_s: float
    """From the first byte of the journals until the recorder rested."""
    cpu_s: float
    """Of the recorder until then."""
    stored_s: float
    """From the end records until the last file was stored."""
    finished_s: float
    """The same until the manifest was there."""
    end_cpu_s: float
    """Of the recorder meanwhile."""

    @property
    def cpu_per_minute_s(self) -> float:
        return (self.cpu_s + self.end_cpu_s) / self.minutes / self.people


class Live(NamedTuple):
    """Figure d for one number of participants."""

    people: int
    seconds: float
    share: float
    """Of one core, used by the recorder."""
    held_up: float
    """Share of the time in which others had its core."""
    lag_s: float
    """Median of the last third."""
    worst_lag_s: float
    read_share: float
    """Of what was said meanwhile, that the recorder read: less than 1 when it fell further behind."""

    @property
    def keeps_up(self) -> bool:
        return self.lag_s < LATE_S

    @property
    def a_core_takes(self) -> float:
        """Participants, at this cost of each."""
        return self.people * self.read_share / self.share


async def hour(people: int, minutes: float) -> Hour:
    """Raises TimeoutError when the recorder does not catch up or does not finish."""
    async with followed_recorder(people) as (data, followed):
        recording = GeneratedRecording(data.folder / "spool", people)
        began_s = monotonic()
        for second in range(1, round(60 * minutes) + 1):
            await asyncio.to_thread(recording.write, float(second))
        await asyncio.to_thread(recording.flush)
        async with asyncio.timeout(CATCH_UP_S):
            rested_s = await _at_rest(followed, data.spool)
        journal_bytes = sum(path.stat().st_size for path in data.spool.glob(f"*{SUFFIX}"))
        cpu_s, ended_s = process.cpu_s(followed.pid), monotonic()
        await asyncio.to_thread(recording.end)
        async with asyncio.timeout(FINISH_S):
            await followed.event("recording_finished")
        segments = await data.catalog.segments(RECORDING)
        if [segment.state for segment in segments] != ["stored"] * recording.journals:
            raise RuntimeError(f"not all files were stored: {[(s.id, s.state, s.problem) for s in segments]}")
        return Hour(
            minutes,
            people,
            journal_bytes,
            rested_s - began_s,
            cpu_s,
            followed.times("segment_stored")[-1] - ended_s,
            followed.times("recording_finished")[0] - ended_s,
            process.cpu_s(followed.pid) - cpu_s,
        )


async def _at_rest(followed: Followed, spool: Path) -> float:
    """Wait until everything was read and nothing is done any more; since when."""
    since_s, cpu_s = monotonic(), process.cpu_s(followed.pid)
    while True:
        await asyncio.sleep(LOOK_S)
        followed.check()
        now_s, now_cpu_s = monotonic(), process.cpu_s(followed.pid)
        if followed.unread_bytes(spool):
            since_s, cpu_s = now_s, now_cpu_s
        elif now_s - since_s >= REST_S:
            if now_cpu_s - cpu_s < RESTING_SHARE * (now_s - since_s):
                return since_s
            since_s, cpu_s = now_s, now_cpu_s


async def live(people: int, seconds: float) -> Live:
    """`people` for so long in real time, after WARM_UP_S."""
    recorders_core, own_core = process.two_cores()
    generated.bytes_per_s()  # the media are made before anybody waits for them
    async with followed_recorder(people) as (data, followed):
        if recorders_core is not None:
            process.pin(followed.pid, {recorders_core})
        with process.kept_on(own_core):
            recording = GeneratedRecording(data.folder / "spool", people)
            await _talk(recording, followed, data.spool, 0.0, WARM_UP_S)
            before, began_s = process.times(followed.pid), monotonic()
            lags = await _talk(recording, followed, data.spool, WARM_UP_S, WARM_UP_S + seconds)
            after, took_s = process.times(followed.pid), monotonic() - began_s
            await asyncio.to_thread(recording.end)
    lags_s = [unread / generated.bytes_per_s() / people for unread in lags]
    spent = list(process.spent(before, after).values())
    return Live(
        people,
        took_s,
        sum(thread.on_cpu for thread in spent) / 1e9 / took_s,
        held_up(spent) / 1e9 / took_s,
        statistics.median(lags_s[-len(lags_s) // 3 :]),
        max(lags_s),
        1 - (lags_s[-1] - lags_s[0]) / took_s,
    )


async def _talk(
    recording: GeneratedRecording, followed: Followed, spool: Path, from_s: float, until_s: float
) -> list[int]:
    """In real time; what the recorder had not read at each look, bytes."""
    began_s, unread = monotonic(), []
    while (at_s := from_s + monotonic() - began_s) < until_s:
        await asyncio.to_thread(recording.write, at_s)
        unread.append(followed.unread_bytes(spool))
        await asyncio.sleep(LOOK_S)
    return unread


def node(rounds: int, seconds: float, publishers: int) -> str:
    """Figure a, in words."""
    given = (
        f"--recording --rounds {rounds} --seconds {seconds} --publishers {publishers} --subscribers {publishers - 1}"
    )
    chosen = forward.arguments(given.split() + (["--pattern"] if publishers > 1 else []))
    load = forward.load_for(publishers - 1, chosen)
    (found,) = asyncio.run(forward.measure(load, publishers, publishers - 1, chosen)).values()
    told = report.summary("Stemroom", load, publishers, publishers - 1, found)
    whole, loop = (told[f"recording_us_per_received{part}"] for part in ("", "_event_loop"))
    return (
        f"a) {publishers} publishers, {load.name}, {len(load.sends) / seconds:.0f} packets/s of each, {rounds} pairs "
        f"of rounds of {seconds:g} s: recording adds {whole['median']:+.2f} us per received packet "
        f"({whole['lowest']:+.2f} to {whole['highest']:+.2f}), in the event loop alone {loop['median']:+.2f} "
        f"({loop['lowest']:+.2f} to {loop['highest']:+.2f})"
    )


def _told_hour(told: Hour) -> str:
    return (
        f"b) {told.people} participants, {told.minutes:g} minutes, {told.journal_bytes / 1e6:.0f} MB of journals: "
        f"{told.cpu_per_minute_s:.2f} s of CPU per participant and minute; made in {told.caught_up_s:.0f} s\n"
        f"c) from the end records until all files are stored {told.stored_s:.2f} s, until the manifest is there "
        f"{told.finished_s:.2f} s ({told.end_cpu_s:.2f} s of CPU)"
    )


def _told_live(told: Live) -> str:
    how = "keeps up" if told.keeps_up else "falls behind"
    return (
        f"d) {told.people} participants for {told.seconds:.0f} s: {how}, {told.lag_s:.2f} s behind (at worst "
        f"{told.worst_lag_s:.2f}), {100 * told.share:.0f} % of a core (others had it {100 * told.held_up:.0f} % of the "
        f"time), {100 * told.read_share:.0f} % read: at that cost a core takes {told.a_core_takes:.0f}"
    )


def _room_for(seconds: float, people: int) -> bool:
    """Is there room on the disk? Says so if not."""
    needed = COPIES * seconds * people * generated.bytes_per_s()
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if needed > free:
        print(f"left out: {needed / 1e9:.1f} GB are needed in {tempfile.gettempdir()}, {free / 1e9:.1f} are free")
    return needed <= free


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.record", description=__doc__.splitlines()[0])
    parser.add_argument("figures", nargs="*", choices=["a", "b", "c", "d", []], help="which (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="a: pairs of rounds of 3 s (default: 5)")
    parser.add_argument(
        "--publishers", type=int, nargs="+", default=[1, 4], help="a; several send as Chromium does (default: 1 4)"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="b, c (default: 60)")
    parser.add_argument("--people", type=int, default=4, help="b, c (default: 4)")
    parser.add_argument("--crowds", type=int, nargs="+", default=[50, 100, 150], help="d (default: 50 100 150)")
    parser.add_argument("--seconds", type=float, default=20.0, help="d (default: 20)")
    return parser.parse_args(given)


def main() -> None:
    chosen = arguments()
    figures = chosen.figures or "abcd"
    media = {"Mbit/s": round(generated.bytes_per_s() * 8e-6, 2), "packets/s": round(generated.packets_per_s())}
    print("; ".join(f"{name} {value}" for name, value in (process.conditions() | media).items()), flush=True)
    if "a" in figures:
        for publishers in chosen.publishers:
            print(node(chosen.rounds, 3.0, publishers), flush=True)
    if ("b" in figures or "c" in figures) and _room_for(60 * chosen.minutes, chosen.people):
        print(_told_hour(asyncio.run(hour(chosen.people, chosen.minutes))), flush=True)
    if "d" in figures:
        for people in chosen.crowds:
            if not _room_for(WARM_UP_S + chosen.seconds, people):
                break
            told = asyncio.run(live(people, chosen.seconds))
            print(_told_live(told), flush=True)
            if not told.keeps_up:
                break


if __name__ == "__main__":
    main()
