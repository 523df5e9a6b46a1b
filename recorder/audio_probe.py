"""What is to be heard in an Opus track: loudness, peak, clipping, noise floor, silence. Each packet is decoded once.

Loudness is FFmpeg's `ebur128`; the rest is counted in blocks of a tenth of a second. Memory does not grow with the
length of the track: 5 MiB. About 4 ms of CPU per second of sound (`python -m bench.probes`).
"""

from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.filter import Graph

from recorder.report import AudioFigures
from recorder.watch import SoundWatch
from sfu.codecs.opus import CLOCK_RATE_HZ

BLOCK = CLOCK_RATE_HZ // 10
"""Samples per channel: how finely silence and clipping are placed."""
FLOOR_BLOCKS = 4
"""400 ms, as loudness is measured in: longer than the gaps between syllables."""
CHUNK = 12 * BLOCK
"""Looked at together; a multiple of FLOOR_BLOCKS. Longer ones save nothing and cost memory: 1 MiB for 0.8 s more."""
LONGEST = 12 * CLOCK_RATE_HZ // 100
"""Samples of a packet, at most (RFC 6716 3.2.5)."""
SILENT = 10 ** (-60 / 20)
"""RMS amplitude."""
SILENCE_NS = 10_000_000_000
"""Shorter silence is a pause of somebody who speaks."""
STEP = 1 / 32_768
"""Of 16-bit sound."""
CLIPPED = 32_767 / 32_768
LOWEST_DB = -120.0
BINS_PER_DB = 10
NOTHING_LUFS = -70.0
"""The absolute gate of BS.1770: what `ebur128` says when nothing is above it."""

Sound = npt.NDArray[np.float32]


class AudioProbe:
    """Positions are nanoseconds since the file's first sample. Only making it raises: av.FFmpegError, ValueError."""

    def __init__(self, channels: int, watch: SoundWatch | None = None) -> None:
        self._watch = watch
        self._figures = AudioFigures()
        decoder = av.CodecContext.create("opus", "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.layout = "mono" if channels == 1 else "stereo"
        self._decoder = decoder
        self._loudness = _Loudness(decoder.layout.name)
        self._sound: Sound = np.zeros((decoder.layout.nb_channels, CHUNK + LONGEST), np.float32)
        """Decoded; the first `_waiting` samples of each channel wait."""
        self._waiting = 0
        self._at_ns = 0
        """Position of the first of them."""
        self._peak = 0.0
        self._floor = np.zeros(round(-LOWEST_DB) * BINS_PER_DB + 1, np.int64)
        """How many stretches of 400 ms have which level."""
        self._silent_from: int | None = None
        self._silent_until = 0
        self._clipped_from: int | None = None
        self._clipped_until = 0

    def placed(self, data: bytes, position_ns: int) -> None:
        """The next packet; `data` is not empty."""
        self._figures.packets += 1
        try:
            decoded = self._decoder.decode(av.Packet(data))
        except av.FFmpegError:
            self._figures.undecodable += 1
            self.gap()
            return
        if not self._waiting:
            self._at_ns = position_ns
        for frame in decoded:
            assert isinstance(frame, AudioFrame)
            end = self._waiting + frame.samples
            for channel, plane in zip(self._sound, frame.planes, strict=True):
                channel[self._waiting : end] = np.frombuffer(plane, np.float32, frame.samples)  # type: ignore[call-overload]
            self._waiting = end
        if self._waiting >= CHUNK:
            self._examine(self._waiting // BLOCK * BLOCK)

    def gap(self) -> None:
        """The next packet does not follow. Silence may go on over a gap: there was no sound in it."""
        if self._waiting:
            self._examine(self._waiting)
        self._end_clipping()

    def finish(self) -> AudioFigures:
        """Nothing will come."""
        self.gap()
        self._end_silence()
        figures = self._figures
        figures.integrated_lufs = self._loudness.integrated()
        figures.sample_peak_dbfs = round(_db(self._peak), 1) if self._peak > 0 else None
        figures.noise_floor_dbfs = self._noise_floor()
        return figures

    def _examine(self, samples: int) -> None:
        """The first so many per channel of what waits."""
        sound, rest = self._sound[:, :samples], self._sound[:, samples : self._waiting].copy()
        begin_ns, self._at_ns = self._at_ns, self._at_ns + _ns(samples)
        self._figures.samples += sound.size
        self._loudness.add(sound)
        whole = samples // BLOCK * BLOCK
        blocks = sound[:, :whole].reshape(sound.shape[0], whole // BLOCK, BLOCK)
        peaks = np.abs(blocks).max(axis=(0, 2))
        powers = np.square(blocks, dtype=np.float64).mean(axis=(0, 2))
        self._add_floor(powers, peaks)
        for number, (peak, power) in enumerate(zip(peaks.tolist(), powers.tolist(), strict=True)):
            self._add_block(begin_ns + _ns(number * BLOCK), BLOCK, peak, power, blocks[:, number])
        if whole < samples:
            tail = sound[:, whole:]
            peak, power = float(np.abs(tail).max()), float(np.square(tail, dtype=np.float64).mean())
            self._add_block(begin_ns + _ns(whole), samples - whole, peak, power, tail)
        self._waiting = rest.shape[1]
        self._sound[:, : self._waiting] = rest

    def _add_block(self, at_ns: int, samples: int, peak: float, power: float, block: Sound) -> None:
        end_ns = at_ns + _ns(samples)
        self._peak = max(self._peak, peak)
        if peak <= STEP and samples == BLOCK:
            self._figures.digital_silence_ms += 100
        if power < SILENT * SILENT:
            if self._silent_from is None:
                self._silent_from = at_ns
            self._silent_until = end_ns
        else:
            self._end_silence()
        clipped = int(np.count_nonzero(np.abs(block) >= CLIPPED)) if peak >= CLIPPED else 0
        if self._watch is not None:
            self._watch.block(at_ns, end_ns, peak, block.size, clipped)
        if clipped:
            self._figures.clipped_samples += clipped
            if self._clipped_from is None:
                self._clipped_from = at_ns
            self._clipped_until = end_ns
        else:
            self._end_clipping()

    def _add_floor(self, powers: npt.NDArray[np.float64], peaks: Sound) -> None:
        count = len(powers) // FLOOR_BLOCKS
        used = count * FLOOR_BLOCKS
        levels = powers[:used].reshape(count, FLOOR_BLOCKS).mean(axis=1)
        sounding = peaks[:used].reshape(count, FLOOR_BLOCKS).min(axis=1) > STEP
        decibels = 10 * np.log10(np.maximum(levels[sounding], 10 ** (LOWEST_DB / 10)))
        places = np.rint((np.minimum(decibels, 0.0) - LOWEST_DB) * BINS_PER_DB).astype(np.int64)
        np.add.at(self._floor, places, 1)

    def _noise_floor(self) -> float | None:
        total = int(self._floor.sum())
        if not total:
            return None
        place = int(np.searchsorted(np.cumsum(self._floor), max(1, total // 10)))
        return round(LOWEST_DB + place / BINS_PER_DB, 1)

    def _end_silence(self) -> None:
        if self._silent_from is not None and self._silent_until - self._silent_from > SILENCE_NS:
            self._figures.silence.add(self._silent_from, self._silent_until)
        self._silent_from = None

    def _end_clipping(self) -> None:
        if self._clipped_from is not None:
            self._figures.clipped.add(self._clipped_from, self._clipped_until)
        self._clipped_from = None


class _Loudness:
    """FFmpeg's `ebur128`, fed in large frames: in frames of 20 ms it costs twice as much."""

    def __init__(self, layout: str) -> None:
        self._layout = layout
        self._graph = Graph()
        time_base = Fraction(1, CLOCK_RATE_HZ)
        source = self._graph.add_abuffer(format="fltp", sample_rate=CLOCK_RATE_HZ, layout=layout, time_base=time_base)
        meter = self._graph.add("ebur128", "metadata=1:framelog=quiet")
        sink = self._graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        self._graph.configure()
        self._samples = 0
        self._last: AudioFrame | None = None

    def add(self, sound: Sound) -> None:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=self._layout)
        frame.sample_rate = CLOCK_RATE_HZ
        frame.pts = self._samples
        self._samples += frame.samples
        self._graph.push(frame)
        while True:
            try:
                measured = self._graph.pull()
            except av.BlockingIOError:
                break
            assert isinstance(measured, AudioFrame)
            self._last = measured

    def integrated(self) -> float | None:
        """So far, in LUFS."""
        said = self._last.metadata.get("lavfi.r128.I") if self._last is not None else None
        if said is None:
            return None
        lufs = float(said)
        return round(lufs, 1) if lufs > NOTHING_LUFS else None


def _ns(samples: int) -> int:
    return samples * 1_000_000_000 // CLOCK_RATE_HZ


def _db(amplitude: float) -> float:
    return float(20 * np.log10(amplitude))
