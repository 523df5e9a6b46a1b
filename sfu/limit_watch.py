"""When a participant is told that it runs into a limit: at once, and again only after a while. A core in given time."""

from collections.abc import Mapping

from sfu.interfaces import Limit

INTERVAL_S = 60.0
"""Between two notices of the same limit: a page that goes on sending too much is not told at every packet."""


class LimitWatch:
    def __init__(self) -> None:
        self._seen: dict[Limit, int] = {}
        self._told: dict[Limit, float] = {}

    def reached(self, exceeded: Mapping[Limit, int], now: float) -> list[Limit]:
        """`exceeded`: how often each limit was exceeded so far (less than before: a new connection began to count).
        The limits to tell of now."""
        due = []
        for limit, count in exceeded.items():
            before = self._seen.get(limit, 0)
            told = self._told.get(limit)
            if count < before:
                before = 0
            if count > before and (told is None or now - told >= INTERVAL_S):
                self._told[limit] = now
                due.append(limit)
            self._seen[limit] = count
        return due
