"""The integrity report (version 1): what was found in the server files of a recording, as JSON beside its manifest.

Times in it are milliseconds since the first sample of the file that they are about, so that a player can go there.
Levels are dBFS: 0 is an amplitude of 1, so a sine that just does not clip has an RMS of -3.01. Fields are added, never
changed, within a version.
"""

from typing import Literal

import msgspec

from recorder.manifest import PacketCounts, recording_prefix

REPORT_VERSION = 1
MAX_LISTED = 1_000
"""Intervals of one sort in one file; more are counted and added up all the same."""
MAX_RATES = 10_000
"""Ten-second steps of one file: 27 hours."""

Grade = Literal["A", "B", "C", "D", "E", "F"]
"""Missing is: A nothing, B at most 0.1 %, C 1 %, D 5 %, E 20 %, F more, or the file. See `recorder.grading`."""


class Interval(msgspec.Struct, frozen=True):
    file_ms: int
    """Its beginning."""
    duration_ms: int


class Intervals(msgspec.Struct):
    """In the order of time; they do not touch."""

    count: int = 0
    total_ms: int = 0
    longest_ms: int = 0
    listed: list[Interval] = []
    """The first MAX_LISTED."""

    def add(self, begin_ns: int, end_ns: int) -> None:
        """The next one."""
        duration_ms = round((end_ns - begin_ns) / 1e6)
        self.count += 1
        self.total_ms += duration_ms
        self.longest_ms = max(self.longest_ms, duration_ms)
        if len(self.listed) < MAX_LISTED:
            self.listed.append(Interval(round(begin_ns / 1e6), duration_ms))


class AudioFigures(msgspec.Struct, kw_only=True):
    """Of the packets that came, decoded once. What is concealed in the file counts as nothing, not as silence."""

    packets: int = 0
    undecodable: int = 0
    """Packets that the decoder refused."""
    integrated_lufs: float | None = None
    """Programme loudness (EBU R 128, ITU-R BS.1770), to 0.1; None: nothing above -70 LUFS, or less than 0.4 s."""
    sample_peak_dbfs: float | None = None
    """Largest sample of any channel, to 0.1; above 0: it clips in every player. None: nothing but zeros."""
    samples: int = 0
    """Decoded, of all channels together."""
    clipped_samples: int = 0
    """Of `samples`, those that 16-bit sound cannot hold: 32767/32768 and beyond."""
    clipped: Intervals = msgspec.field(default_factory=Intervals)
    """Tenths of a second with such samples; neighbours are one interval."""
    noise_floor_dbfs: float | None = None
    """The RMS of 400 ms below which the quietest tenth lies, digital silence left out, to 0.1, not below -120."""
    silence: Intervals = msgspec.field(default_factory=Intervals)
    """Longer than 10 s with no tenth of a second above -60 dBFS."""
    digital_silence_ms: int = 0
    """Tenths of a second in which no sample is more than one step of 16 bits away from 0."""


class PictureSize(msgspec.Struct, frozen=True):
    file_ms: int
    """From this key frame on."""
    width: int
    height: int


class VideoFigures(msgspec.Struct, kw_only=True):
    """Of the frames in the file. Of the key frames at most one a second is decoded, and nothing else."""

    frames: int = 0
    key_frames: int = 0
    frames_by_10_s: list[int] = []
    """In each ten seconds since the first frame; the last ones are fewer. At most MAX_RATES."""
    freezes: Intervals = msgspec.field(default_factory=Intervals)
    """More than 0.5 s from one frame to the next, or to the end."""
    sizes: list[PictureSize] = []
    """Whenever a key frame has another size than the one before; at most MAX_LISTED."""
    examined: int = 0
    """Key frames that were decoded."""
    undecodable: int = 0
    """Key frames that the decoder refused."""
    black: int = 0
    """Of those decoded: 98 % of the picture is darker than a tenth of white."""
    black_ms: list[int] = []
    """When: milliseconds in the file; at most MAX_LISTED."""


class SegmentFigures(msgspec.Struct, kw_only=True):
    """What was found while the file was made. The same journal always gives the same figures."""

    gaps_ms: dict[str, int] = {}
    """By reason, as in the manifest, but of all gaps."""
    audio: AudioFigures | None = None
    video: VideoFigures | None = None
    decoder: str = ""
    problem: str = ""
    """Why it was not examined to its end; the file is whole all the same."""


class SegmentReport(msgspec.Struct, kw_only=True):
    """One server file."""

    segment_id: str
    state: str
    codec: str
    start_ns: int
    """As in the manifest, like all down to `packets`."""
    start_bound_ns: int
    drift_ppm: float | None = None
    duration_ns: int
    torn: bool
    problem: str
    packets: PacketCounts | None
    clock_corrections: int
    """How often the sender's clock was found to have stopped or jumped."""
    figures: SegmentFigures | None
    """None: there is no file, or it was made by a version that did not look."""


class TakeReport(msgspec.Struct, kw_only=True):
    take_id: str
    participant_id: str
    kind: str
    slot: int
    grade: Grade | None
    """Of the server copy: the worst that any of the reasons costs. None: there is no server copy."""
    reasons: list[str]
    """Sentences, the worst first; none for A."""
    duration_ms: int
    """Of all its server files."""
    between_files_ms: int
    """From the end of one server file to the beginning of the next, added up."""
    segments: list[SegmentReport]


class Report(msgspec.Struct, kw_only=True):
    report_version: int = REPORT_VERSION
    session_id: str
    recording_id: str
    grade: Grade | None
    """The worst of the takes; None: there is none."""
    reasons: list[str]
    takes: list[TakeReport]


def encode(report: Report) -> bytes:
    """Readable JSON; the same report always gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


decode = msgspec.json.Decoder(Report).decode


def report_key(session_id: str, recording_id: str) -> str:
    return f"{recording_prefix(session_id, recording_id)}/report.json"
