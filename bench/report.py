"""Rounds into figures, figures into a table."""

import statistics
from collections.abc import Sequence

from bench.load import Load
from bench.scene import Round
from tests.support.api import Json

CALM = 0.05
"""A round counts only if the node waited for its core for less than this share of it, unless no round was so calm: a
node that is held up finds more packets at a time and looks cheaper than it is, and slower."""


def spread(values: Sequence[float]) -> Json:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def summary(server: str, load: Load, publishers: int, subscribers: int, rounds: Sequence[Round]) -> Json:
    """Medians and ranges over the rounds."""
    everything = [r for r in rounds if not r.recording]
    plain = [r for r in everything if r.waited_us < CALM * 1e6 * load.duration_s] or everything
    result: Json = {
        "server": server,
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
    *("server", "publ.", "subs", "packets/s", "us/delivered", "range", "p50 us", "p99 us", "per send"),
    *("lost", "cpu", "waited", "rounds"),
)


def table(results: Sequence[Json]) -> str:
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


def ratios(one: Sequence[Round], other: Sequence[Round]) -> Json:
    """CPU time a delivered packet, one server's by the other's in rounds that followed each other: slow changes of the
    machine cancel out."""
    return spread([a.cpu_us / a.delivered / (b.cpu_us / b.delivered) for a, b in zip(one, other, strict=True)])
