"""How what a viewer's connection carries is divided among the pictures that it is sent. A core on plain numbers.

Sound is not divided: it is taken off before. Every picture gets its cheapest option before any gets a better one, the
more wanted first; then each gets what it needs at least, in turns; then the more wanted get their best before the
others get more, and the others take turns. What does not fit is paused, the least wanted first.

Rates of layers move with what is filmed and estimates with the network, so what flows is a little cheaper than what
does not: without that, a viewer at the edge would be moved back and forth.
"""

import enum
from collections.abc import Sequence

import msgspec

RAISE = 1.15
"""What a better option than the present one is taken to cost, as a multiple of its rate. A picture that comes back from
a pause costs what it costs: KEEP_SMALLEST is far enough below."""

KEEP = 0.9
"""The same of the present option."""

KEEP_SMALLEST = 0.65
"""The same of the present option where it is the cheapest: a picture is paused when it clearly does not fit, not for a
doubt. At that much too little the queue of a viewer's network grows by a third of a second each second."""

PAUSED = -1


class Rank(enum.IntEnum):
    """The smaller the more wanted."""

    FIRST = 0
    """Screens, and the picture of whoever speaks."""
    OTHER = 1


class Demand(msgspec.Struct, frozen=True):
    """One picture that a viewer shows."""

    rank: Rank
    options_bps: tuple[float, ...]
    """Rates of the ways in which it may be sent, from the cheapest to the best that it has room for; one or more."""
    present: int
    """Which of them it is sent now, or PAUSED."""
    least: int = 0
    """What it needs before any other gets more than that."""


def allocate(demands: Sequence[Demand], budget_bps: float) -> list[int]:
    """For each demand the option to send, or PAUSED. The order of demands decides between equal ones."""
    left = budget_bps
    given = [PAUSED] * len(demands)
    by_rank = sorted(range(len(demands)), key=lambda place: demands[place].rank)
    for place in by_rank:
        cost = _cost(demands[place], 0)
        if cost <= left:
            given[place] = 0
            left -= cost
    sent = [place for place in by_rank if given[place] != PAUSED]
    left = _raise(demands, given, sent, [demand.least for demand in demands], left)
    best = [len(demand.options_bps) - 1 for demand in demands]
    for rank in Rank:
        left = _raise(demands, given, [place for place in sent if demands[place].rank is rank], best, left)
    return given


def _raise(
    demands: Sequence[Demand], given: list[int], places: Sequence[int], up_to: Sequence[int], left: float
) -> float:
    """Give the demands at `places` better options, in turns, as long as something fits; what is left then."""
    raising = places
    while raising:
        still: list[int] = []
        for place in raising:
            demand, option = demands[place], given[place]
            if option < up_to[place]:
                more = _cost(demand, option + 1) - _cost(demand, option)
                if more <= left:
                    given[place] = option + 1
                    left -= more
                    still.append(place)
        raising = still
    return left


def _cost(demand: Demand, option: int) -> float:
    rate = demand.options_bps[option]
    if option > max(demand.present, 0):
        return rate * RAISE
    if option != demand.present:
        return rate
    return rate * (KEEP if option else KEEP_SMALLEST)
