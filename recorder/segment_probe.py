"""Looks at one track while its file is made. What goes wrong here costs the report a reason, and the file nothing.

It sees what the pipeline placed, in order, so the same journal gives the same figures, however it is read and however
often.
"""

import av
import structlog

from recorder.audio_probe import AudioProbe
from recorder.frames import MediaFrame
from recorder.health import FindingCode
from recorder.journal import TrackHeader
from recorder.report import SegmentFigures
from recorder.video_probe import VideoProbe
from recorder.watch import PictureWatch, SoundWatch

log = structlog.get_logger()

DECODER = f"FFmpeg {av.ffmpeg_version_info}"


class SegmentProbe:
    """A `recorder.track.FrameObserver`. Used from one thread at a time; never raises."""

    def __init__(self, track: TrackHeader) -> None:
        self._segment_id = track.segment_id
        self._gaps_ns: dict[str, int] = {}
        self._audio: AudioProbe | None = None
        self._video: VideoProbe | None = None
        self._problem = ""
        self._watch: SoundWatch | PictureWatch | None = None
        """Of what has a device: a shared screen may be silent, and may stand still."""
        try:
            if track.stream.codec == "opus":
                sound = SoundWatch() if track.kind == "microphone" else None
                self._audio = AudioProbe(track.stream.channels, sound)
                self._watch = sound
            else:
                picture = PictureWatch() if track.kind == "camera" else None
                self._video = VideoProbe(track.stream.codec, picture)
                self._watch = picture
        except (av.FFmpegError, ValueError) as error:
            self._problem = f"no decoder: {error}"

    def placed(self, frame: MediaFrame, position_ns: int) -> None:
        if self._problem:
            return
        try:
            if self._audio is not None:
                self._audio.placed(frame.data, position_ns)
            elif self._video is not None:
                self._video.placed(frame, position_ns)
        except Exception as error:
            self._fail(error, position_ns)

    def gap(self, position_ns: int, duration_ns: int, reason: str) -> None:
        self._gaps_ns[reason] = self._gaps_ns.get(reason, 0) + duration_ns
        if self._audio is not None and not self._problem:
            try:
                self._audio.gap()
            except Exception as error:
                self._fail(error, position_ns)

    def over(self, position_ns: int) -> None:
        if self._video is not None and not self._problem:
            self._video.over(position_ns)

    def muted(self, muted: bool) -> None:
        if self._watch is not None:
            self._watch.mute(muted)

    def warnings(self) -> dict[FindingCode, int]:
        """What is wrong where the file ends at present, with for how long (ns). From any thread."""
        return self._watch.findings() if self._watch is not None and not self._problem else {}

    def finish(self) -> SegmentFigures:
        """The file is complete."""
        figures = SegmentFigures(
            gaps_ms={reason: round(gap_ns / 1e6) for reason, gap_ns in sorted(self._gaps_ns.items())},
            decoder=DECODER,
        )
        try:
            figures.audio = self._audio.finish() if self._audio is not None else None
            figures.video = self._video.finish() if self._video is not None else None
        except Exception as error:
            self._fail(error, None)
        figures.problem = self._problem
        return figures

    def _fail(self, error: Exception, position_ns: int | None) -> None:
        """Whatever it is: a report is not worth a file."""
        where = "at its end" if position_ns is None else f"{position_ns / 1e9:.1f} s into the file"
        self._problem = f"{type(error).__name__} {where}: {error}"[:500]
        log.error("probe_failed", segment_id=self._segment_id, problem=self._problem, exc_info=error)
