"""Which bytes of a growing file go to the store before they fill a part, so that a lost machine costs seconds. No I/O.

A *tail* is an object with the bytes from one place to another, within a part that is not full yet. The tails of a part
follow each other without a hole: each has what came since the one before. They are deleted when the store has the part.
"""

from collections.abc import Iterable

import msgspec

from recorder.upload_plan import PART_BYTES

OFFSET_DIGITS = 15
"""So that the keys of a file's tails are in the order of their places."""


class Tail(msgspec.Struct, frozen=True):
    offset: int
    size_bytes: int
    sha256: str

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes


class TailPlan:
    def __init__(self, sent: Iterable[Tail] = ()) -> None:
        """`sent`: what an earlier process remembers. The file is made anew, so it is compared when that is as long."""
        self._sent = {tail.offset: tail for tail in sent}
        self._uncompared = set(self._sent)

    @property
    def sent(self) -> list[Tail]:
        """In the order of their places."""
        return [self._sent[offset] for offset in sorted(self._sent)]

    def to_compare(self, flushed_bytes: int) -> Tail | None:
        """One that was remembered, and that the file has by now."""
        reached = [offset for offset in self._uncompared if self._sent[offset].end <= flushed_bytes]
        return self._sent[min(reached)] if reached else None

    def compared(self, tail: Tail) -> None:
        """The file has these bytes."""
        self._uncompared.discard(tail.offset)

    def next_range(self, stored_bytes: int, flushed_bytes: int) -> range | None:
        """What the next tail is to have; None: nothing. `stored_bytes`: so much of the file the store has in parts."""
        begin = stored_bytes
        for tail in self.sent:
            if tail.offset <= begin:
                begin = max(begin, tail.end)
        end = min(flushed_bytes, (begin // PART_BYTES + 1) * PART_BYTES)
        return range(begin, end) if begin < end else None

    def take(self, tail: Tail) -> None:
        """The store has it."""
        self._sent[tail.offset] = tail

    def needless(self, stored_bytes: int) -> list[Tail]:
        """Those whose bytes are in parts."""
        return [tail for tail in self.sent if tail.end <= stored_bytes]

    def drop(self, tail: Tail) -> None:
        """It is deleted, or is none of the file's."""
        self._sent.pop(tail.offset, None)
        self._uncompared.discard(tail.offset)


SUFFIX = ".tail"


def tails_prefix(key: str) -> str:
    """How the keys of a file's tails begin. `key`: the file's own."""
    return f"{key.rpartition('.')[0]}{SUFFIX}/"


def tail_key(key: str, offset: int) -> str:
    return f"{tails_prefix(key)}{offset:0{OFFSET_DIGITS}}"


def is_tail(key: str) -> bool:
    return key.rpartition("/")[0].endswith(SUFFIX) and _name(key).isdigit()


def offset_of(key: str) -> int:
    """Of a tail's key."""
    return int(_name(key))


def _name(key: str) -> str:
    return key.rpartition("/")[2]
