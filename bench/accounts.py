"""What became of the packets in the journals of a recording: in a file that decodes, or counted under a name.

Journals are read without the recorder, and files with FFmpeg; what the manifest says is compared with both.
"""

import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import msgspec

from recorder.journal import FileHeader, JournalDecoder, JournalPacket
from recorder.manifest import PacketCounts, decode
from tests.support.files import inspect

NOT_RECEIVED = ("received", "written", "lost", "dropped", "concealed", "unread")
"""Fields of `PacketCounts` that are no reason why a packet of the journal is not in the file."""


class Journalled(NamedTuple):
    """One track's journal."""

    packets: list[tuple[int, int]]
    """Sequence number and CRC-32 of the payload, in order."""
    last_ns: int
    """Arrival of the last, or when the journal was opened."""


class Account(NamedTuple):
    journalled: int
    """In the journals, or in a file that was made of more than is left of its journal."""
    in_files: int
    """Packets of frames that were found in the files."""
    named: Counter[str]
    """Packets of the journals that are in no file, by the reason that the manifest counts them under."""
    problems: list[str]

    @property
    def missing(self) -> int:
        return self.journalled - self.in_files - self.named.total()


def read_journals(spool: Path, good_bytes: Callable[[Path], int] | None = None) -> dict[str, Journalled]:
    """The track journals of a recording by segment id. `good_bytes`: how much of a file counts."""
    found = {}
    for path in sorted(spool.glob("seg_*.journal")):
        content = path.read_bytes()
        packets: list[tuple[int, int]] = []
        last_ns = 0
        for record in JournalDecoder().feed(content[: good_bytes(path)] if good_bytes else content):
            if isinstance(record, FileHeader):
                last_ns = record.opened_monotonic_ns
            elif isinstance(record, JournalPacket):
                packets.append((record.sequence, zlib.crc32(record.payload)))
                last_ns = record.arrival_ns
        found[path.name.partition("-")[0]] = Journalled(packets, last_ns)
    return found


def account(data: Path, recording_id: str, frame_packets: dict[int, int]) -> Account:
    """Of one recording, after the recorder's work.

    Args:
        data: the data folder, with objects in it.
        frame_packets: in how many packets each frame was sent, by the CRC-32 of its bytes in a file.
    """
    journalled = in_files = 0
    named: Counter[str] = Counter()
    problems: list[str] = []
    segments = {}
    for path in (data / "objects").glob(f"sessions/*/recordings/{recording_id}/manifest.json"):
        segments = {s.segment_id: s for take in decode(path.read_bytes()).takes for s in take.segments}
    for segment_id, journal in read_journals(data / "spool" / recording_id).items():
        segment = segments.get(segment_id)
        if segment is None or segment.packets is None:
            journalled += len(journal.packets)
            if journal.packets:
                problems.append(f"{segment_id}: {len(journal.packets)} packets and no account of them")
            continue
        # A file may have been made and stored before the power failed on the end of its journal.
        received = max(len(journal.packets), segment.packets.received)
        journalled += received
        reasons = _reasons(segment.packets)
        named += reasons
        written = 0
        if segment.packets.unread:
            problems.append(f"{segment_id}: its end names {segment.packets.unread} packets more or fewer than it has")
        if segment.state == "stored":
            try:
                report = inspect(data / "objects" / segment.object_key)
            except (av.FFmpegError, OSError) as error:
                problems.append(f"{segment_id}: {error}")
                continue
            if not report.sound:
                problems.append(f"{segment_id}: decodes with errors: {report}")
            written = sum(frame_packets.get(crc, 0) for crc in report.streams[0].checksums)
        in_files += written
        if written != segment.packets.written:
            problems.append(f"{segment_id}: {segment.packets.written} written, says the manifest, {written} are")
        if written + reasons.total() != received:
            problems.append(f"{segment_id}: {received} packets, {written} in the file, named {dict(reasons)}")
    return Account(journalled, in_files, named, problems)


def _reasons(counts: PacketCounts) -> Counter[str]:
    fields: dict[str, int] = msgspec.to_builtins(counts)
    return Counter({name: packets for name, packets in fields.items() if packets and name not in NOT_RECEIVED})
