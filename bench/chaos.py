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

from bench.power_loss import Loss, lose


def power_losses(count: int, first_seed: int) -> list[str]:
    """Print the table; what did not hold."""
    problems: list[str] = []
    losses: list[Loss] = []
    print("  seed  instant  journalled  in files  named  missing  seconds missing")
    for seed in range(first_seed, first_seed + count):
        with tempfile.TemporaryDirectory(prefix="stemroom-power-") as folder:
            loss = asyncio.run(lose(Path(folder), seed))
        losses.append(loss)
        told = loss.account
        print(
            f"{seed:6}  {loss.instant:>7}  {told.journalled:10}  {told.in_files:8}  {told.named.total():5}  "
            f"{told.missing:7}  {loss.missing_s:15.2f}",
            flush=True,
        )
        problems += [f"power loss, seed {seed}: {problem}" for problem in loss.problems]
    named = sum((loss.account.named for loss in losses), Counter[str]())
    print(
        f"{count} power losses: {sum(loss.account.journalled for loss in losses)} packets journalled, "
        f"{sum(loss.account.in_files for loss in losses)} in files, {_words(named)}, "
        f"{sum(loss.account.missing for loss in losses)} missing, "
        f"at most {max(loss.missing_s for loss in losses):.2f} s missing"
    )
    return problems


def _words(named: Counter[str]) -> str:
    return ", ".join(f"{packets} {name}" for name, packets in named.most_common()) or "none named"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--power-losses", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others follow")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    problems = power_losses(chosen.power_losses, chosen.seed) if chosen.power_losses else []
    print("\n".join(problems) or "nothing that was promised was lost")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
