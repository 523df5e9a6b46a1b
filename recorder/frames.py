"""Ordered packets of one stream into whole frames that a decoder can take from the first to the last.

A frame is given out only when all its packets are there and nothing it may refer to is missing: after a loss video
waits for a key frame, unless the picture ids on both sides show that no picture is missing. Audio packets are frames.
Every packet is in a frame that was given out or in one of the counters.

A frame may also end early with no packet missing: libwebrtc's pacer throws away what it has queued of a stream when a
new key frame comes, and numbers packets only when they leave. Of a sender that sets the marker bit such a frame is
known by its lack of one, and whole frames that were given up by the picture ids where the codec has them.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from recorder.journal import JournalPacket
from recorder.reorder import Missing, Ordered
from sfu.codecs import CodedFrame, PayloadError, av1, h264, keyframe, opus, vp8, vp9

MAX_FRAME_PACKETS = 4_096
"""5 MB; a frame of more is dropped."""

MAX_UNSENT = 100
"""Pictures that a sender may have given up at once: three seconds. A larger step is another layer, or an encoder that
begins anew."""

_JOIN: dict[str, Callable[[Sequence[bytes]], CodedFrame]] = {
    "vp8": vp8.frame,
    "vp9": vp9.frame,
    "h264": h264.frame,
    "av1": av1.frame,
}
_PICTURE_ID: dict[str, Callable[[bytes], tuple[int, int] | None]] = {"vp8": vp8.picture_id, "vp9": vp9.picture_id}
_BEGINS: dict[str, Callable[[bytes], bool]] = {
    "vp8": lambda payload: payload[0] & 0x17 == 0x10,
    "vp9": lambda payload: payload[0] & 0x08 != 0,
}
"""Does a picture begin with this payload? The S bit of RFC 7741 in partition 0, the B bit of RFC 9628."""


Missed = Literal["", "lost", "unsent"]
"""Nothing is missing; packets were lost, or cannot be decoded; the sender gave up what it had not sent yet."""


class MediaFrame(NamedTuple):
    timestamp: int
    """RTP, 32 bits."""
    arrival_ns: int
    """Of its first packet, on the journal's clock."""
    on_time: bool
    """`arrival_ns` says something about the capture time: that packet was not repaired."""
    data: bytes
    key: bool
    size: tuple[int, int] | None
    duration_ticks: int
    """Of audio; 0: not known."""
    packets: int
    missing: Missed
    """Why something between the frame before and this one is missing."""


class FrameAssembler:
    """One stream. `fmtp`: of the negotiated format, for H264 parameter sets that are not in the stream."""

    def __init__(self, codec: str, fmtp: str = "") -> None:
        self.incomplete = 0
        """Packets of frames that miss a packet."""
        self.cut_short = 0
        """Packets of frames whose end was never sent."""
        self.awaiting_key = 0
        """Packets of whole frames that refer to something missing, or came before the first key frame."""
        self.malformed = 0
        self.empty = 0
        """Packets without a payload: padding that was sent to probe the network."""
        self.spatial_layers = 1
        """The most that a picture has."""
        self._join = _JOIN.get(codec)
        self._begins_key = keyframe(codec)
        self._picture_id = _PICTURE_ID.get(codec)
        self._picture_begins = _BEGINS.get(codec)
        self._parameter_sets = h264.parameter_sets(fmtp) if codec == "h264" else None
        self._needs_sets = codec == "h264"
        self._needs_key = True
        self._gap = True
        """Packets may be missing between the last one and the next."""
        self._missing: Missed = ""
        self._begun = False
        self._marks = False
        """The sender sets the marker bit on a frame's last packet."""
        self._group: list[JournalPacket] = []
        self._group_on_time = False
        self._group_whole = True
        self._last_picture: tuple[int, int] | None = None

    @property
    def missing(self) -> Missed:
        """Why something is missing behind the last frame that was given out."""
        return self._missing if self._begun else ""

    def push(self, ordered: Ordered) -> list[MediaFrame]:
        if isinstance(ordered, Missing):
            self._gap = True
            return []
        packet, on_time = ordered
        if not packet.payload:
            self.empty += 1
            return []
        if self._join is None:
            return self._audio(packet, on_time)
        out = []
        if self._group and packet.timestamp != self._group[0].timestamp:
            if self._marks and not self._gap:
                self._cut_short()
            else:
                out = self._close(whole=not self._gap)
        if not self._group:
            self._group_on_time = on_time
            self._group_whole = not self._gap or self._begins_anew(packet)
        elif self._gap or len(self._group) >= MAX_FRAME_PACKETS:
            self._group_whole = False
        self._gap = False
        if len(self._group) < MAX_FRAME_PACKETS:
            self._group.append(packet)
        else:
            self.incomplete += 1
        if packet.marker:
            self._marks = True
            out += self._close(whole=True)
        return out

    def flush(self) -> list[MediaFrame]:
        """Nothing will come. A frame without its marker may miss packets, so it is not given out."""
        return self._close(whole=False) if self._group else []

    def _audio(self, packet: JournalPacket, on_time: bool) -> list[MediaFrame]:
        try:
            duration = opus.duration_ticks(packet.payload)
        except PayloadError:
            self.malformed += 1
            self._missing = "lost"
            return []
        if self._gap:
            self._missing = "lost"
        self._gap = False
        missing = self._take_missing()
        return [
            MediaFrame(packet.timestamp, packet.arrival_ns, on_time, packet.payload, True, None, duration, 1, missing)
        ]

    def _begins_anew(self, packet: JournalPacket) -> bool:
        """After missing packets: can what begins with this packet be decoded all the same?"""
        if self._begins_key(packet.payload):
            self._missing = "lost"
            return True
        begins = self._picture_begins
        if self._picture_id is None or begins is None or self._last_picture is None or not begins(packet.payload):
            return False
        try:
            picture = self._picture_id(packet.payload)
        except PayloadError:
            return False
        return picture is not None and _skipped(self._last_picture, picture) == 0

    def _close(self, whole: bool) -> list[MediaFrame]:
        group, self._group = self._group, []
        if not (whole and self._group_whole):
            self._lose()
            self.incomplete += len(group)
            return []
        assert self._join is not None
        payloads = [packet.payload for packet in group]
        try:
            data, key, size, layers = self._join(payloads)
            picture = self._picture_id(payloads[0]) if self._picture_id else None
        except PayloadError:
            self._lose()
            self.malformed += len(group)
            return []
        if picture and self._last_picture and 0 < _skipped(self._last_picture, picture) <= MAX_UNSENT:
            self._missing = self._missing or "unsent"
        self._last_picture = picture
        self.spatial_layers = max(self.spatial_layers, layers)
        if key and self._needs_sets and size is None:
            if self._parameter_sets is None:
                key = False
            else:
                data, size = self._parameter_sets.data + data, self._parameter_sets.size
        if self._needs_key and not key:
            self._missing = self._missing or "lost"
            self.awaiting_key += len(group)
            return []
        if key:
            self._needs_key = self._needs_sets = False
        first = group[0]
        return [
            MediaFrame(
                first.timestamp,
                first.arrival_ns,
                self._group_on_time,
                data,
                key,
                size,
                0,
                len(group),
                self._take_missing(),
            )
        ]

    def _take_missing(self) -> Missed:
        """Before the first frame nothing is missing."""
        missing = self.missing
        self._missing = ""
        self._begun = True
        return missing

    def _lose(self) -> None:
        self._needs_key = True
        self._missing = "lost"
        self._last_picture = None

    def _cut_short(self) -> None:
        """The waiting packets are all that was sent of their frame."""
        if self._group_whole:
            self.cut_short += len(self._group)
        else:
            self.incomplete += len(self._group)
        self._group = []
        self._needs_key = True
        self._missing = self._missing or "unsent"
        self._last_picture = None


def _skipped(before: tuple[int, int], picture: tuple[int, int]) -> int:
    """Pictures between these two; -1: they are not numbered alike."""
    return (picture[0] - before[0] - 1) % picture[1] if picture[1] == before[1] else -1
