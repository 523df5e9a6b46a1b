"""Journals for tests: records of known media, what a network does to them, and files of them.

Arrival times are on a monotonic clock whose session began at ZERO_NS.
"""

import fcntl
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from recorder.journal import (
    FileHeader,
    JournalPacket,
    JournalReception,
    JournalReport,
    Record,
    RecordingHeader,
    TrackHeader,
    encode_end,
    encode_head,
    encode_reception,
    encode_report,
    packet_parts,
    track_name,
)
from recorder.manifest import Segment
from recorder.settings import RecorderSettings
from recorder.track import TrackPipeline
from sfu.interfaces import Reception, StreamInfo

ZERO_NS = 5_000_000_000_000
MS = 1_000_000
S = 1_000_000_000
EPOCH = "0000000000000001"
SESSION, RECORDING = "ses_aaaaaaaaaaaaaaaa", "rec_aaaaaaaaaaaaaaaa"
RATE = {"opus": 48_000}
FRAME_TICKS = 3_000
"""30 frames per second of a 90 kHz clock."""


def recording_header(recording_id: str = RECORDING, session_id: str = SESSION) -> RecordingHeader:
    return RecordingHeader(
        recording_id=recording_id, session_id=session_id, zero_monotonic_ns=ZERO_NS, zero_wall_ns=0, boot_id="boot"
    )


def track_header(codec: str, **changes: str) -> TrackHeader:
    names = {
        "recording_id": RECORDING,
        "session_id": SESSION,
        "take_id": "tak_aaaaaaaaaaaaaaaa",
        "segment_id": "seg_aaaaaaaaaaaaaaaa",
        "participant_id": "par_aaaaaaaaaaaaaaaa",
        "kind": "microphone" if codec == "opus" else "camera",
    }
    channels = 2 if codec == "opus" else 0
    stream = StreamInfo(1234, "", codec, 96, RATE.get(codec, 90_000), channels, changes.pop("fmtp", ""))
    return TrackHeader(**{**names, **changes}, stream=stream)


def file_header(track: TrackHeader | None = None, recording: RecordingHeader | None = None) -> FileHeader:
    return FileHeader(
        epoch=EPOCH,
        opened_monotonic_ns=ZERO_NS,
        opened_wall_ns=0,
        recording=recording or recording_header(),
        track=track,
    )


def video_packets(
    frames: Sequence[bytes],
    payloads: Callable[[bytes, int], Iterator[bytes]],
    *,
    at_ns: int = S,
    first_sequence: int = 65_500,
    first_timestamp: int = 0xFFFF_0000,
) -> list[JournalPacket]:
    """30 frames per second; packets of a frame 20 us apart; sequence numbers and timestamps soon pass 2^16 and 2^32."""
    packets: list[JournalPacket] = []
    for number, frame in enumerate(frames):
        parts = list(payloads(frame, number))
        for place, payload in enumerate(parts):
            arrival_ns = ZERO_NS + at_ns + number * S // 30 + place * 20_000
            timestamp = (first_timestamp + number * FRAME_TICKS) & 0xFFFFFFFF
            marker = place == len(parts) - 1
            packets.append(JournalPacket(arrival_ns, first_sequence + len(packets), timestamp, marker, payload))
    return packets


def audio_packets(packets: Sequence[bytes], *, at_ns: int = S, first_sequence: int = 65_500) -> list[JournalPacket]:
    """20 ms each."""
    return [
        JournalPacket(ZERO_NS + at_ns + number * 20 * MS, first_sequence + number, number * 960, False, payload)
        for number, payload in enumerate(packets)
    ]


def repaired(
    packets: Iterable[JournalPacket], loss: float, seed: int, *, latest_ms: int = 2_500, never: bool = False
) -> list[JournalPacket]:
    """In arrival order. Each packet is lost with this probability and comes 40 ms to `latest_ms` later, or never."""
    chance = random.Random(seed)
    out = []
    for packet in packets:
        if chance.random() >= loss:
            out.append(packet)
        elif not never:
            out.append(packet._replace(arrival_ns=packet.arrival_ns + chance.randint(40, latest_ms) * MS))
    return sorted(out, key=lambda packet: packet.arrival_ns)


def moved(packets: Iterable[JournalPacket], by_ns: int) -> list[JournalPacket]:
    """The same, arriving later."""
    return [packet._replace(arrival_ns=packet.arrival_ns + by_ns) for packet in packets]


def told(
    packets: Sequence[JournalPacket], rate_hz: int, *, delay_ms: int, round_trip_ms: int = 0, pipeline_ms: int = 0
) -> list[JournalPacket | JournalReport | JournalReception]:
    """The same on a path of `delay_ms`, their sender's encoder slower by `pipeline_ms`, with a sender report each
    second by a clock that counts from the session's zero, and at the end what the node knows of the path."""
    first = packets[0]
    late: list[JournalPacket | JournalReport | JournalReception] = list(moved(packets, (delay_ms + pipeline_ms) * MS))
    for at_ns in range(first.arrival_ns, max(packet.arrival_ns for packet in packets), S):
        ntp = -(-(at_ns - ZERO_NS << 32) // S)
        rtp = (first.timestamp + (at_ns - first.arrival_ns) * rate_hz // S) & 0xFFFFFFFF
        late.append(JournalReport(at_ns + delay_ms * MS, ntp, rtp))
    late.sort(key=lambda record: record.arrival_ns)
    reception = Reception(round_trip_ms * 1_000, len(packets), 0, 0, 0, 0, 0)
    return [*late, JournalReception(late[-1].arrival_ns, reception)]


def pipeline(codec: str, folder: Path, settings: RecorderSettings | None = None, **changes: str) -> TrackPipeline:
    track = track_header(codec, **changes)
    return TrackPipeline(file_header(track), track, folder, settings or RecorderSettings())


def make_file(
    codec: str,
    records: Sequence[Record],
    folder: Path,
    *,
    step: int = 50,
    settings: RecorderSettings | None = None,
    **changes: str,
) -> tuple[Segment, Path]:
    """Run records through a pipeline, `step` at a time."""
    folder.mkdir(exist_ok=True)
    made = pipeline(codec, folder, settings, **changes)
    for at in range(0, len(records), step):
        made.feed(list(records[at : at + step]))
    return made.finish(), made.path


def journal_bytes(
    track: TrackHeader, packets: Iterable[JournalPacket | JournalReport | JournalReception], *, end: bool = True
) -> bytes:
    parts = [encode_head(file_header(track))]
    count = 0
    for packet in packets:
        if isinstance(packet, JournalReport):
            parts.append(encode_report(*packet))
            continue
        if isinstance(packet, JournalReception):
            parts.append(encode_reception(*packet))
            continue
        arrival_ns, sequence, timestamp, marker, payload = packet
        parts += packet_parts(arrival_ns / 1e9, sequence, timestamp, marker, payload)
        count += 1
    if end:
        parts.append(encode_end(ZERO_NS, count))
    return b"".join(parts)


def write_journal(
    folder: Path,
    track: TrackHeader,
    packets: Iterable[JournalPacket | JournalReport | JournalReception],
    *,
    end: bool = True,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / track_name(track.segment_id, EPOCH)
    path.write_bytes(journal_bytes(track, packets, end=end))
    return path


class LockedFile:
    """A file that somebody still writes."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def write(self, data: bytes) -> None:
        assert os.write(self._fd, data) == len(data)

    def close(self) -> None:
        """Release the lock, as death does."""
        os.close(self._fd)
