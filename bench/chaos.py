"""What power failures and kills at random moments cost a recording.

`python -m bench.chaos` prints one line for each: packets in the journals afterwards, of those in the files, counted
under a name in the manifest, and neither (there must be none); and the seconds that no journal has.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

import structlog

from bench.accounts import Account
from bench.kills import survive
from bench.power_loss import lose

HEAD = "journalled  in files  named  missing  seconds missing"


def power_losses(count: int, first_seed: int) -> list[str]:
    """Print the table; what did not hold."""
    problems: list[str] = []
    costs: list[tuple[Account, float]] = []
    print(f"power fails  seed  {HEAD}")
    for seed in range(first_seed, first_seed + count):
        with tempfile.TemporaryDirectory(prefix="stemroom-power-") as folder:
            loss = asyncio.run(lose(Path(folder), seed))
        costs.append((loss.account, loss.missing_s))
        print(f"{loss.instant:>11}  {seed:4}  {_row(*costs[-1])}", flush=True)
        problems += [f"power loss, seed {seed}: {problem}" for problem in loss.problems]
    print(f"{count} power failures: {_sum(costs)}")
    return problems


def kills(count: int, seed: int) -> list[str]:
    """Print the table; what did not hold."""
    with tempfile.TemporaryDirectory(prefix="stemroom-kills-") as folder:
        lives = asyncio.run(survive(Path(folder), count, seed))
    print(f"recorder killed  then the node  {HEAD}")
    for life in lives:
        killed = "killed" if life.node_killed else "stopped"
        print(f"{life.recorder_kills:15}  {killed:>13}  {_row(life.account, life.missing_s)}")
    costs = [(life.account, life.missing_s) for life in lives]
    print(f"{count} kills in {len(lives)} recordings: {_sum(costs)}")
    return [f"kills, {life.recording_id}: {problem}" for life in lives for problem in life.account.problems]


def _row(told: Account, missing_s: float) -> str:
    named = told.named.total()
    return f"{told.journalled:10}  {told.in_files:8}  {named:5}  {told.missing:7}  {missing_s:15.2f}"


def _sum(costs: list[tuple[Account, float]]) -> str:
    told = [account for account, _ in costs]
    named = sum((account.named for account in told), Counter[str]())
    return (
        f"{sum(account.journalled for account in told)} packets journalled, "
        f"{sum(account.in_files for account in told)} in files, {_words(named)}, "
        f"{sum(account.missing for account in told)} missing; "
        f"at most {max(missing_s for _, missing_s in costs):.2f} s before the moment were not in the journals"
    )


def _words(named: Counter[str]) -> str:
    return ", ".join(f"{packets} {name}" for name, packets in named.most_common()) or "none named"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--power-losses", type=int, default=50)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others follow")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    problems = power_losses(chosen.power_losses, chosen.seed) if chosen.power_losses else []
    problems += kills(chosen.kills, chosen.seed) if chosen.kills else []
    print("\n".join(problems) or "nothing that was promised was lost")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
