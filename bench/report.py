"""Rounds into figures, figures into a table."""

import statistics
from collections.abc import Sequence

from bench.load import Load
from bench.scene import Round
from tests.support.api import Json

CALM = 0.05
"""A round counts only if others held the server up for less than this share of it, unless no round was so calm: a
server that is held up finds more packets at a time and looks cheaper than it is, and slower."""
LATE_MS = 50.0
"""A generator that is later than this at times sends another load than it says."""
FULL = 0.9
"""Of a core: a generator that uses more may be the slower one."""


def calm(round: Round) -> bool:
    return round.held_up_us < CALM * 1e6 * round.duration_s


def spread(values: Sequence[float]) -> Json:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def summary(server: str, load: Load, publishers: int, subscribers: int, rounds: Sequence[Round]) -> Json:
    """Medians and ranges over the rounds."""
    everything = [r for r in rounds if not r.recording]
    plain = [r for r in everything if calm(r)] or everything
    result: Json = {
        "server": server,
        "load": load.name,
        "publishers": publishers,
        "subscribers": subscribers,
        "packets_per_s": round(sum(r.delivered for r in plain) / len(plain) / load.duration_s),
        "us_per_received": spread([r.cpu_us / r.sent for r in plain]),
        "cpu_share": spread([r.cpu_us / 1e6 / load.duration_s for r in plain]),
        "held_up_share": max(r.held_up_us for r in plain) / 1e6 / load.duration_s,
        "lost": sum(r.lost for r in rounds),
        "repaired": sum(r.repaired for r in rounds),
        "generator_share": max(r.generator_share for r in rounds),
        "late_ms": max(r.late_ms for r in rounds),
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
    *("server", "publ.", "subs", "packets/s", "us/delivered", "range", "p50 us", "p99 us", "per send"),
    *("lost", "repaired", "cpu", "held up", "rounds", "ratio to"),
)


def table(results: Sequence[Json]) -> str:
    """One line for each result, and lines on recording."""
    rows: list[tuple[str, ...]] = [TITLES]
    for r in results:
        us = r.get("us_per_delivered") or r["us_per_received"]
        rows.append(
            (
                r["server"],
                str(r["publishers"]),
                str(r["subscribers"]),
                f"{r['packets_per_s']:,}",
                f"{us['median']:.2f}" + ("" if r["subscribers"] else " (per received)"),
                f"{us['lowest']:.2f}-{us['highest']:.2f}",
                f"{r['latency_p50_us']['median']:.0f}" if r["subscribers"] else "-",
                f"{r['latency_p99_us']['median']:.0f}" if r["subscribers"] else "-",
                f"{r['packets_per_send']:.2f}" if r.get("packets_per_send") else "-",
                str(r["lost"]),
                str(r["repaired"]),
                f"{100 * r['cpu_share']['median']:.0f} %",
                f"{100 * r['held_up_share']:.0f} %",
                f"{r['rounds_counted']}/{sum(not one['recording'] for one in r['rounds'])}",
                ", ".join(_ratio(other, ratio) for other, ratio in r.get("by", {}).items()) or "-",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [results[0]["load"], *("  ".join(map(str.rjust, row, widths)) for row in rows)] if results else []
    for r in results:
        for name in ("recording_us_per_received", "recording_us_per_received_event_loop"):
            if name in r:
                where = "event loop alone" if name.endswith("loop") else "whole process"
                lines.append(
                    f"recording, {r['subscribers']} subscribers, {where}: {r[name]['median']:+.2f} us per received "
                    f"packet ({r[name]['lowest']:+.2f} to {r[name]['highest']:+.2f})"
                )
    return "\n".join(lines)


def _ratio(other: str, ratio: Json) -> str:
    return f"{other} {ratio['median']:.2f} ({ratio['lowest']:.2f}-{ratio['highest']:.2f})"


def ratios(one: Sequence[Round], other: Sequence[Round]) -> Json:
    """CPU time a delivered packet, one server's by the other's in rounds that followed each other: slow changes of the
    machine cancel out. Only where both were calm, unless that was never so."""
    pairs = list(zip(one, other, strict=True))
    pairs = [pair for pair in pairs if calm(pair[0]) and calm(pair[1])] or pairs
    return spread([a.cpu_us / a.delivered / (b.cpu_us / b.delivered) for a, b in pairs])


def warnings(results: Sequence[Json]) -> list[str]:
    """Why figures are not to be trusted."""
    found = []
    for r in results:
        which = f"{r['server']}, N = {r['subscribers']}: "
        if r["lost"]:
            found.append(f"{which}{r['lost']} packets were lost: the figures are not to be compared")
        if r["late_ms"] > LATE_MS:
            found.append(f"{which}the generator was up to {r['late_ms']:.0f} ms late")
        if r["generator_share"] > FULL:
            found.append(f"{which}the generator used {100 * r['generator_share']:.0f} % of its core: too much load")
        if r["held_up_share"] >= CALM:
            found.append(f"{which}other processes held the server up in every round: only the ratios say something")
    return found
