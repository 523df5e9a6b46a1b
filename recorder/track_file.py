"""One track into one WebM or Matroska file, by stream copy. The same calls always make the same bytes.

Clusters of at most 1 s are flushed as they are full, so a file that is being made can be looked at and a killed
process leaves at most the last second out of it (it is made anew from the journal anyway). The cues go into space that
is reserved in the head; a file that outgrew it gets its cues by a second pass (`recorder.remux`). The head states the
largest picture that was announced, and stereo where some sound is, from when that was on: all that follows stays where
it is.
"""

import io
import os
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer

from recorder.head import ChannelFields, SizeFields, find_channels, find_size, with_room, write_channels, write_size
from recorder.opus_head import template
from recorder.remux import CLUSTER_MS, remux

NOMINAL_RATE = 30
"""Frames per second that PyAV wants to be told; the file states times, not a rate."""


def container_of(codec: str) -> tuple[str, str, str]:
    """Format name, file extension and content type: WebM takes everything but H264."""
    if codec == "h264":
        return "matroska", "mkv", "video/x-matroska"
    return "webm", "webm", "audio/webm" if codec == "opus" else "video/webm"


class TrackFile:
    """Opened by the first frame, which must be a key frame. Used from one thread.

    Raises av.FFmpegError, OSError, and HeadError where the muxer writes another head than it used to."""

    def __init__(self, path: Path, codec: str, clock_rate_hz: int, index_bytes: int) -> None:
        self.path = path
        self._codec = codec
        self._time_base = Fraction(1, clock_rate_hz)
        self._index_bytes = index_bytes
        self._output: OutputContainer | None = None
        self._template: InputContainer | None = None
        self._size: tuple[int, int] | None = None
        """The largest."""
        self._channels = 1
        self._fields: SizeFields | ChannelFields | None = None
        """Once the head is on disk."""

    def open(self, size: tuple[int, int] | None) -> None:
        """Create the file. `size`: of the largest picture that is known; None for audio."""
        options = {
            "cluster_time_limit": str(CLUSTER_MS),
            "flush_packets": "1",
            "reserve_index_space": str(self._index_bytes),
            "fflags": "+bitexact",
        }
        format_name, _, _ = container_of(self._codec)
        self._output = av.open(str(self.path), "w", format=format_name, options=options)
        if size is None:
            opened = av.open(io.BytesIO(template(1)), "r", format="ogg")
            self._template = opened
            self._stream: av.stream.Stream = self._output.add_stream_from_template(opened.streams.audio[0])
        else:
            self._size = size
            width, height = with_room(size)
            self._stream = self._output.add_mux_stream(
                self._codec, rate=NOMINAL_RATE, width=width, height=height, time_base=self._time_base
            )

    def enlarge(self, size: tuple[int, int]) -> None:
        """A larger picture than `open` or `enlarge` told of was announced."""
        self._size = size
        self._state()

    def stereo(self) -> None:
        """Some of the sound is; a decoder for two channels gives both the same where it is not."""
        self._channels = 2
        self._state()

    def write(self, data: bytes, pts: int, duration: int, key: bool) -> None:
        """`pts` in ticks of the RTP clock since the first sample, growing from call to call; `duration` 0: unknown."""
        assert self._output is not None
        packet = av.Packet(data)
        packet.stream = self._stream
        packet.time_base = self._time_base
        packet.pts = packet.dts = pts
        packet.duration = duration
        packet.is_keyframe = key
        self._output.mux_one(packet)
        if self._fields is None:
            self._fields = find_channels(self.path) if self._size is None else find_size(self.path)
            self._state()

    def close(self) -> None:
        """Write cues and duration, make the file durable."""
        if self._output is None:
            return
        output, self._output = self._output, None
        outgrown = False
        try:
            output.close()
        except av.ArgumentError:
            # libavformat's answer when the cues do not fit into the reserved space: all else was written.
            outgrown = True
        if self._template is not None:
            self._template.close()
        self._state()  # the muxer wrote its head again
        if outgrown:
            larger = self.path.with_suffix(".cues")
            remux(self.path, larger, container_of(self._codec)[0], self._size)
            os.replace(larger, self.path)
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _state(self) -> None:
        """Write into the head what is known now."""
        if isinstance(self._fields, SizeFields) and self._size is not None:
            write_size(self.path, self._fields, self._size)
        elif isinstance(self._fields, ChannelFields) and self._channels > 1:
            write_channels(self.path, self._fields, self._channels)

    def abandon(self) -> None:
        """Stop where it is, for good; never raises."""
        try:
            self.close()
        except (av.FFmpegError, OSError):
            pass
