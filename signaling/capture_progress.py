"""How much of one local capture is verified. A core: no I/O, no clock.

Guarantees: `safe_ms` is the end of the longest run of verified chunks from index 0, so nothing before it can be
missing. A chunk counts once however often it is confirmed.
"""

MAX_CHUNKS = 100_000
"""Indexes of one capture: 11 days of 10 s chunks."""
MAX_MISSING_LISTED = 1_000


class CaptureProgress:
    def __init__(self) -> None:
        self._ends_ms: dict[int, float] = {}
        self._next = 0
        self.verified_bytes = 0
        self.safe_ms = 0.0

    @property
    def count(self) -> int:
        """Of verified chunks."""
        return len(self._ends_ms)

    def has(self, index: int) -> bool:
        return index in self._ends_ms

    def verified(self, index: int, size_bytes: int, end_ms: float) -> None:
        """Chunk `index` (0..MAX_CHUNKS-1) is verified; `end_ms` is capture time at its end."""
        if index in self._ends_ms:
            return
        self._ends_ms[index] = end_ms
        self.verified_bytes += size_bytes
        while (end := self._ends_ms.get(self._next)) is not None:
            self.safe_ms = max(self.safe_ms, end)
            self._next += 1

    def missing(self, chunks: int) -> list[int]:
        """Indexes below `chunks` that are not verified, at most MAX_MISSING_LISTED of them."""
        found: list[int] = []
        for index in range(self._next, chunks):
            if index not in self._ends_ms:
                found.append(index)
                if len(found) == MAX_MISSING_LISTED:
                    break
        return found

    def beyond(self, chunks: int) -> int:
        """How many verified chunks have an index of `chunks` or more."""
        return sum(index >= chunks for index in self._ends_ms)
