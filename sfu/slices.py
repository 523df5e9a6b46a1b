"""Regular work in slices, between which media has its turn.

For a room of ten who send three layers each the duties of a tick take 3 ms, of which a packet that comes meanwhile
would wait the rest, and then for all that has waited before it.
"""

from collections.abc import Callable, Iterator

SLICE_S = 0.0005
"""After so long the rest waits for the next turn of the event loop."""


class Slices:
    def __init__(self, later: Callable[[Callable[[], None]], object], clock: Callable[[], float]) -> None:
        """`later`: calls in the next turn of the event loop. `clock`: seconds."""
        self._later = later
        self._clock = clock
        self._work: Iterator[None] | None = None

    def begin(self, work: Iterator[None]) -> None:
        """Do `work`, which yields wherever it may be interrupted. What is left of the work before is done first, in one
        go: no more than one is ever under way."""
        if self._work is not None:
            for _ in self._work:
                pass
            self._work = work
        else:
            self._work = work
            self._slice()

    def stop(self) -> None:
        """Leave the rest undone."""
        self._work = None

    def _slice(self) -> None:
        work, clock = self._work, self._clock
        if work is None:
            return
        end = clock() + SLICE_S
        self._work = None
        for _ in work:
            if clock() >= end:
                self._work = work
                self._later(self._slice)
                return
