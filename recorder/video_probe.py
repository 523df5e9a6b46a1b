"""What is to be seen in a video track: frame rate, freezes, sizes, black. Only key frames are decoded, one a second.

Decoding every frame would cost some 5-10 % of a core per track. What a stranger sends gets into a decoder here:
pictures are bounded in size, and no more than one a second is looked at.
"""

import av
import numpy as np

from recorder.frames import MediaFrame
from recorder.report import MAX_LISTED, MAX_RATES, PictureSize, VideoFigures
from recorder.watch import PictureWatch

FREEZE_NS = 500_000_000
EXAMINE_EVERY_NS = 1_000_000_000
RATE_STEP_NS = 10_000_000_000
MAX_PIXELS = 4096 * 2304
"""Of a picture that is decoded. Larger ones are not looked at; one that says it is smaller is refused."""
DARK = 26
"""Luma, 0..255: a tenth of white. A covered lens shows noise below it."""
DARK_SHARE = 98
"""Percent of the picture."""
SMALL = (64, 36)
"""Pixels to which a picture is scaled before it is looked at."""

_DECODERS = {"av1": "libdav1d"}
"""FFmpeg's own decoder of AV1 needs hardware."""


class VideoProbe:
    """Positions are nanoseconds since the file's first frame. Only making it raises: av.FFmpegError, ValueError."""

    def __init__(self, codec: str, watch: PictureWatch | None = None) -> None:
        self._watch = watch
        self._figures = VideoFigures()
        decoder = av.CodecContext.create(_DECODERS.get(codec, codec), "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.thread_count = 1
        decoder.options = {"max_pixels": str(MAX_PIXELS)}
        self._decoder = decoder
        self._size: tuple[int, int] | None = None
        self._last_ns: int | None = None
        self._examined_ns: int | None = None

    def placed(self, frame: MediaFrame, position_ns: int) -> None:
        figures = self._figures
        figures.frames += 1
        step = position_ns // RATE_STEP_NS
        rates = figures.frames_by_10_s
        if step < MAX_RATES:
            rates += [0] * (step + 1 - len(rates))
            rates[step] += 1
        self.over(position_ns)
        self._last_ns = position_ns
        if self._watch is not None:
            self._watch.frame(position_ns)
        if frame.key:
            self._key_frame(frame, position_ns)

    def over(self, position_ns: int) -> None:
        """The last picture lasted until then."""
        if self._last_ns is not None and position_ns - self._last_ns > FREEZE_NS:
            self._figures.freezes.add(self._last_ns, position_ns)

    def finish(self) -> VideoFigures:
        return self._figures

    def _key_frame(self, frame: MediaFrame, position_ns: int) -> None:
        figures = self._figures
        figures.key_frames += 1
        if frame.size is not None and frame.size != self._size:
            self._size = frame.size
            if len(figures.sizes) < MAX_LISTED:
                figures.sizes.append(PictureSize(position_ns // 1_000_000, *frame.size))
        width, height = self._size or (0, 0)
        due = self._examined_ns is None or position_ns - self._examined_ns >= EXAMINE_EVERY_NS
        if due and width * height <= MAX_PIXELS:
            self._examined_ns = position_ns
            self._examine(frame.data, position_ns)

    def _examine(self, data: bytes, position_ns: int) -> None:
        figures = self._figures
        try:
            pictures = [*self._decoder.decode(av.Packet(data)), *self._decoder.decode(None)]
        except av.FFmpegError:
            pictures = []
        finally:
            self._decoder.flush_buffers()
        if not pictures:
            figures.undecodable += 1
            return
        figures.examined += 1
        small = pictures[-1].reformat(*SMALL, format="gray").to_ndarray()
        black = bool(np.percentile(small, DARK_SHARE) < DARK)
        if self._watch is not None:
            self._watch.picture(position_ns, small.astype(np.uint8, copy=False), black)
        if black:
            figures.black += 1
            if len(figures.black_ms) < MAX_LISTED:
                figures.black_ms.append(position_ns // 1_000_000)
