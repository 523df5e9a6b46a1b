"""A stream copy of a whole file that gives it what a live recording lacks: a duration and cues, in front.

The same input always gives the same bytes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av

CLUSTER_MS = 1_000
"""Also how finely an audio file can be searched: its cues point at clusters."""
WEBM_CODECS = frozenset(("vp8", "vp9", "av1", "opus", "vorbis"))


Change = Callable[["av.Packet[Any]"], "av.Packet[Any] | None"]
"""What becomes of a packet of a stream; None: nothing."""


class RemuxedFile(NamedTuple):
    codecs: tuple[str, ...]
    """Of its streams, video first."""
    has_video: bool
    duration_ns: int
    """From the first sample of the earliest stream to the end of the last."""
    packets: int


def stream_codecs(path: Path) -> tuple[str, ...]:
    """Codec names of the audio and video streams, video first. Raises av.FFmpegError for what is no media file."""
    with av.open(str(path)) as source:
        return tuple(stream.codec_context.name for stream in (*source.streams.video, *source.streams.audio))


def remux(
    source_path: Path,
    target_path: Path,
    format_name: str,
    size: tuple[int, int] | None = None,
    change: Callable[[str], Change] | None = None,
) -> RemuxedFile:
    """Copy the audio and video packets that can be read. Raises av.FFmpegError, OSError, ValueError (nothing in it).

    `size`: what the head states of the picture; None: what FFmpeg finds in it, as a rule the size of the first one.
    `change`: by codec name, asked once for each stream; None: every packet stays as it is.
    """
    options = {"cues_to_front": "1", "cluster_time_limit": str(CLUSTER_MS), "fflags": "+bitexact"}
    packets = 0
    first: float | None = None
    last = 0.0
    with (
        av.open(str(source_path)) as source,
        av.open(str(target_path), "w", format=format_name, options=options) as target,
    ):
        streams = (*source.streams.video, *source.streams.audio)
        outputs = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in streams}
        changes = {stream.index: change(stream.codec_context.name) for stream in streams} if change else {}
        has_video = len(source.streams.video) > 0
        if size is not None:
            for stream in source.streams.video:
                copied = outputs[stream.index]
                assert isinstance(copied, av.VideoStream)
                copied.codec_context.width, copied.codec_context.height = size
        codecs = tuple(stream.codec_context.name for stream in streams)
        for packet in source.demux(*streams):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            index = packet.stream.index
            kept = changes[index](packet) if changes else packet
            if kept is None:
                continue
            begin = float(packet.pts * packet.time_base)
            end = begin + float((packet.duration or 0) * packet.time_base)
            first = begin if first is None else min(first, begin)
            last = max(last, end)
            kept.stream = outputs[index]
            target.mux(kept)
            packets += 1
    if not packets:
        raise ValueError("no packets")
    return RemuxedFile(codecs, has_video, round((last - (first or 0.0)) * 1e9), packets)
