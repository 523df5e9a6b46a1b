"""Inspects a produced file as a player would: opens, demuxes and decodes all of it with FFmpeg.

Knows nothing of the recorder: what it reports is what the file itself says and what its packets decode to.
"""

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av


@dataclass(slots=True)
class StreamReport:
    kind: str
    """`audio` or `video`."""
    codec: str
    """FFmpeg's name of the decoder's codec: `vp8`, `vp9`, `h264`, `av1`, `opus`, ..."""
    packets: int = 0
    keyframes: int = 0
    frames: int = 0
    """Decoded video frames or audio blocks."""
    samples: int = 0
    """Decoded audio samples per channel."""
    sample_rate_hz: int = 0
    channels: int = 0
    decode_errors: int = 0
    disorder: int = 0
    """Packets whose presentation time is not later than their predecessor's."""
    pts_s: list[float] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    """CRC-32 of each packet's data."""
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    """Decoded video frames per (width, height)."""

    @property
    def monotonic(self) -> bool:
        return self.disorder == 0

    @property
    def span_s(self) -> float:
        """From the first packet to the last one, without the last one's duration."""
        return self.pts_s[-1] - self.pts_s[0] if self.pts_s else 0.0


@dataclass(slots=True)
class FileReport:
    format: str
    duration_s: float | None
    """As the head of the file states it; None in a torn file."""
    streams: list[StreamReport]
    demux_error: str = ""

    def stream(self, kind: str) -> StreamReport:
        """The only stream of this kind."""
        (found,) = [stream for stream in self.streams if stream.kind == kind]
        return found

    @property
    def sound(self) -> bool:
        """Everything in it can be read and decoded, in order."""
        return not self.demux_error and all(
            stream.decode_errors == 0 and stream.monotonic and stream.frames > 0 for stream in self.streams
        )


def single_threaded(stream: "av.VideoStream | av.AudioStream") -> None:
    """FFmpeg's VP8 decoder in slice threads, its default, refuses valid frames now and then: a stream was seen that
    libvpx, and FFmpeg itself in one thread, decode whole."""
    stream.codec_context.thread_count = 1


def inspect(path: Path) -> FileReport:
    """Read the whole file. Raises av.FFmpegError if it cannot even be opened."""
    with av.open(str(path)) as container:
        reports = {}
        for stream in container.streams:
            report = StreamReport(stream.type, stream.codec_context.codec.canonical_name)
            if isinstance(stream, av.AudioStream):
                report.sample_rate_hz = stream.codec_context.sample_rate
                report.channels = stream.codec_context.channels
            if isinstance(stream, av.VideoStream | av.AudioStream):
                single_threaded(stream)
            reports[stream.index] = report
        duration_s = container.duration / av.time_base if container.duration else None
        file = FileReport(container.format.name, duration_s, list(reports.values()))
        try:
            for packet in container.demux():
                _take(packet, reports[packet.stream.index])
        except av.FFmpegError as error:
            file.demux_error = str(error)
        return file


def _take(packet: "av.Packet[Any]", report: StreamReport) -> None:
    if packet.size and packet.pts is not None and packet.time_base is not None:
        pts_s = float(packet.pts * packet.time_base)
        if report.pts_s and pts_s <= report.pts_s[-1]:
            report.disorder += 1
        report.pts_s.append(pts_s)
        report.checksums.append(zlib.crc32(bytes(packet)))
        report.packets += 1
        report.keyframes += packet.is_keyframe
    try:
        frames = packet.decode()
    except av.FFmpegError:
        report.decode_errors += 1
        return
    for frame in frames:
        report.frames += 1
        if isinstance(frame, av.AudioFrame):
            report.samples += frame.samples
        elif isinstance(frame, av.VideoFrame):
            size = (frame.width, frame.height)
            report.sizes[size] = report.sizes.get(size, 0) + 1
