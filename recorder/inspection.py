"""What is in a journal, counted over all its records. A core."""

from collections import Counter

import msgspec

from recorder.journal import (
    FileHeader,
    JournalDropped,
    JournalEnd,
    JournalMute,
    JournalPacket,
    JournalPicture,
    JournalReception,
    JournalReport,
    Record,
    TrackRecord,
)
from sfu.interfaces import Reception

MAX_SECONDS = 1 << 20
"""Of which the rate is kept, 12 days. What comes later, or before the session began, is counted and not drawn."""


MAX_PICTURES = 100
"""Changes of the picture that are kept."""

_NAMES = {
    JournalReport: "sender_report",
    JournalDropped: "dropped",
    JournalPicture: "picture",
    JournalMute: "muted",
    JournalReception: "reception",
    JournalEnd: "end",
}


class Inspection:
    """`take` every record in order."""

    def __init__(self) -> None:
        self.header: FileHeader | None = None
        self.packets = self.payload_bytes = 0
        self.reports = self.dropped = self.mutes = 0
        self.pictures: list[JournalPicture] = []
        """At most MAX_PICTURES, the first ones."""
        self.reception: Reception | None = None
        """The last one."""
        self.promised: int | None = None
        """Packets that the end record says were written; None: there is none."""
        self.events: Counter[str] = Counter()
        """By type."""
        self.first_ns = self.last_ns = 0
        """Arrival of the first packet and of the last, on the session clock."""
        self.bytes_by_second: dict[int, int] = {}
        """Payload by second of the session clock."""
        self._zero_ns = 0
        self._sequences: set[int] = set()
        self._lowest = self._highest = 0

    @property
    def missing(self) -> int:
        """Sequence numbers between the lowest and the highest that never came."""
        return self._highest - self._lowest + 1 - len(self._sequences) if self._sequences else 0

    @property
    def repeated(self) -> int:
        """Packets that came more than once."""
        return self.packets - len(self._sequences)

    def take(self, record: Record) -> None:
        if isinstance(record, JournalPacket):
            self._packet(record)
        elif isinstance(record, JournalReport):
            self.reports += 1
        elif isinstance(record, JournalDropped):
            self.dropped += record.packets
        elif isinstance(record, JournalPicture):
            if len(self.pictures) < MAX_PICTURES:
                self.pictures.append(record)
        elif isinstance(record, JournalMute):
            self.mutes += record.muted
        elif isinstance(record, JournalReception):
            self.reception = record.reception
        elif isinstance(record, JournalEnd):
            self.promised = record.packets
        elif isinstance(record, FileHeader):
            self.header = record
            self._zero_ns = record.recording.zero_monotonic_ns
        else:
            self.events[str(record.__struct_config__.tag)] += 1

    def session_ns(self, monotonic_ns: int) -> int:
        """On the session clock of the header."""
        return monotonic_ns - self._zero_ns

    def _packet(self, packet: JournalPacket) -> None:
        at_ns = self.session_ns(packet.arrival_ns)
        if not self.packets:
            self.first_ns = at_ns
            self._lowest = self._highest = packet.sequence
        self.last_ns = at_ns
        self.packets += 1
        size = len(packet.payload)
        self.payload_bytes += size
        self._sequences.add(packet.sequence)
        self._lowest = min(self._lowest, packet.sequence)
        self._highest = max(self._highest, packet.sequence)
        second = at_ns // 1_000_000_000
        if 0 <= second < MAX_SECONDS:
            self.bytes_by_second[second] = self.bytes_by_second.get(second, 0) + size


def line(record: Record, zero_ns: int) -> dict[str, object]:
    """A record to be printed as JSON; times in seconds of the session clock whose zero is at `zero_ns`, payloads as
    their length."""
    if isinstance(record, JournalPacket):
        fields = record._asdict()
        fields["payload_bytes"] = len(fields.pop("payload"))
        name = "packet"
    elif isinstance(record, TrackRecord):
        fields = record._asdict()
        if isinstance(record, JournalReception):
            fields |= fields.pop("reception")._asdict()
        name = _NAMES[type(record)]
    elif isinstance(record, FileHeader):
        return {"record": "header", **msgspec.to_builtins(record)}
    else:
        return {"record": "event", **msgspec.to_builtins(record)}
    return {"record": name, "at_s": round((fields.pop("arrival_ns") - zero_ns) / 1e9, 9), **fields}
