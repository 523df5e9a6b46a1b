"""A file without what is off the record, on the same timeline: made from the whole file, packet by packet.

What was recorded in a range is not in the new file at all, in no form: sound is replaced by real silence of the same
durations, so every other sample stays where it was; pictures are left out from the range on until the first key frame
behind it, since everything between refers to what was in it. A range is widened by how badly the file's place on the
session clock is known, and by one packet: the one behind a range may carry the sound of the one before once more (Opus
in-band FEC), and a decoder lets two neighbours overlap.

The same file and the same ranges always give the same bytes.
"""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av

from recorder.manifest import Interval, Segment
from recorder.off_record import DRIFT_NS, Range
from recorder.remux import Change, remux
from recorder.track_map import in_file
from sfu.codecs import opus
from sfu.codecs.payload import PayloadError

DRIFT = Fraction(300, 1_000_000)
"""How fast a sender's clock may run apart from the session clock, up to DRIFT_NS."""
FRAME_NS = 40_000_000
"""Of a picture, whose packets state no duration."""
ROUNDED_NS = 1_000_000
"""Containers count in milliseconds."""
OPUS_CODECS = frozenset(("opus", "libopus"))
VIDEO_CODECS = frozenset(("vp8", "vp9", "av1", "libdav1d", "h264", "hevc"))


class Cut(NamedTuple):
    """What is off the record in one file, in time since its first sample."""

    begin_ns: int
    end_ns: int


def cuts_of(ranges: Iterable[Range], segment: Segment) -> list[Cut]:
    """In the order of time, without overlaps."""
    cuts: list[Cut] = []
    for marked in sorted(ranges, key=lambda one: one.start_ns):
        if segment.map:
            begin_ns, before_ns = in_file(segment, marked.start_ns)
            end_ns, behind_ns = in_file(segment, marked.stop_ns)
        else:
            begin_ns, end_ns = marked.start_ns - segment.start_ns, marked.stop_ns - segment.start_ns
            before_ns = behind_ns = segment.start_bound_ns + min(DRIFT_NS, max(0, int(end_ns * DRIFT)))
        cut = Cut(begin_ns - before_ns - ROUNDED_NS, end_ns + behind_ns + ROUNDED_NS)
        if cuts and cut.begin_ns <= cuts[-1].end_ns:
            cut = Cut(cuts[-1].begin_ns, max(cuts.pop().end_ns, cut.end_ns))
        cuts.append(cut)
    return cuts


class SoundCutter:
    """Of one stream. `take` its packets in order."""

    def __init__(self, codec: str, cuts: list[Cut]) -> None:
        self.codec = codec
        self._cuts = cuts
        self.replaced: list[Cut] = []
        """Where it is silent now; neighbours are one."""

    def take(self, data: bytes, at_ns: int, duration_ns: int) -> bytes | None:
        """What stands in the file instead; None: nothing, the silence is a gap."""
        end_ns = at_ns + duration_ns
        if not any(at_ns - duration_ns < cut.end_ns and end_ns + duration_ns > cut.begin_ns for cut in self._cuts):
            return data
        if self.replaced and at_ns <= self.replaced[-1].end_ns + FRAME_NS:
            self.replaced[-1] = Cut(self.replaced[-1].begin_ns, end_ns)
        else:
            self.replaced.append(Cut(at_ns, end_ns))
        return _silent(self.codec, data)


class PictureCutter:
    """Of one stream. `take` its frames in order."""

    def __init__(self, cuts: list[Cut]) -> None:
        self._cuts = cuts
        self._needs_key = False
        self.left_out: list[Cut] = []

    def take(self, at_ns: int, key: bool) -> bool:
        """Whether the frame stays."""
        inside = any(cut.begin_ns - FRAME_NS < at_ns <= cut.end_ns + FRAME_NS for cut in self._cuts)
        if inside or (self._needs_key and not key):
            begin_ns = self.left_out.pop().begin_ns if self._needs_key else at_ns
            self.left_out.append(Cut(begin_ns, at_ns + FRAME_NS))
            self._needs_key = True
            return False
        if self._needs_key:
            self.left_out[-1] = Cut(self.left_out[-1].begin_ns, at_ns)
        self._needs_key = False
        return True


def redact(source: Path, target: Path, format_name: str, ranges: Iterable[Range], segment: Segment) -> list[Interval]:
    """Make `target` of a file of `segment`; what is not in it any more, on the session clock. Blocking.

    Raises av.FFmpegError, OSError, ValueError (nothing is left).
    """
    cuts = cuts_of(ranges, segment)
    sounds: list[SoundCutter] = []
    pictures: list[PictureCutter] = []

    def change(codec: str) -> Change:
        if codec in VIDEO_CODECS:
            picture = PictureCutter(cuts)
            pictures.append(picture)
            return lambda packet: packet if picture.take(_ns(packet, packet.pts), packet.is_keyframe) else None
        sound = SoundCutter(codec, cuts)
        sounds.append(sound)
        return lambda packet: _replaced(sound, packet)

    size = (segment.width, segment.height) if segment.width and segment.height else None
    remux(source, target, format_name, size, change)
    gone = [cut for sound in sounds for cut in sound.replaced] + [cut for one in pictures for cut in one.left_out]
    return [Interval(segment.start_ns + cut.begin_ns, segment.start_ns + cut.end_ns) for cut in sorted(gone)]


def _replaced(sound: SoundCutter, packet: "av.Packet[Any]") -> "av.Packet[Any] | None":
    data = bytes(packet)
    kept = sound.take(data, _ns(packet, packet.pts), _duration_ns(sound.codec, data) or _ns(packet, packet.duration))
    if kept is None:
        return None
    if kept is data:
        return packet
    silent = av.Packet(kept)
    silent.time_base, silent.pts, silent.dts = packet.time_base, packet.pts, packet.dts
    silent.duration, silent.is_keyframe = packet.duration, packet.is_keyframe
    return silent


def _ns(packet: "av.Packet[Any]", ticks: int | None) -> int:
    assert packet.time_base is not None
    return int((ticks or 0) * packet.time_base * 1_000_000_000)


def _duration_ns(codec: str, data: bytes) -> int:
    """Of a packet whose duration is in its first bytes; 0: it says nothing."""
    try:
        return opus.duration_ticks(data) * 1_000_000_000 // opus.CLOCK_RATE_HZ if codec in OPUS_CODECS else 0
    except PayloadError:
        return 0


def _silent(codec: str, data: bytes) -> bytes | None:
    """As long as `data`; None for what nothing silent is known of."""
    if codec in OPUS_CODECS:
        try:
            return opus.silence(data)
        except PayloadError:
            return None
    return bytes(len(data)) if codec.startswith(("pcm_s", "pcm_f")) else None
