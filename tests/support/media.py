"""Known sources for the fake camera and microphone of a browser.

Guarantees: the same bytes on every machine (seeded, numpy only); a file is complete once its name exists. Every video
frame carries its own number twice, as blocks and as inverted blocks, so that a reader can tell a wrong number from an
unreadable one (`tests.support.counter`). The sound never repeats within its 20 s, so that a shift has one answer.
"""

import os
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, FPS = 640, 360, 30
FRAMES = 600
"""20 s: longer than any recording of the tests, and 207 MB of y4m, which the page cache holds."""
COUNTER_BITS = 12
BLOCK, PITCH, LEFT, TOP, TOP_INVERTED = 48, 52, 8, 8, 64
"""Geometry of the counter in pixels at 640x360; `tests.support.counter` reads the middle of each block."""
WHITE, BLACK = 235, 16
SAMPLE_RATE_HZ = 48_000
AUDIO_S = FRAMES // FPS

CACHE = Path(__file__).resolve().parent.parent / ".media"
VERSION = 1
"""Part of the file names: raise it when the content changes."""

Luma = npt.NDArray[np.uint8]


def draw_counter(luma: Luma, number: int) -> None:
    """Draw `number` modulo 2**12 into a 640x360 luma plane, in place, least significant bit at the left."""
    for bit in range(COUNTER_BITS):
        value = WHITE if number >> bit & 1 else BLACK
        x = LEFT + bit * PITCH
        luma[TOP : TOP + BLOCK, x : x + BLOCK] = value
        luma[TOP_INVERTED : TOP_INVERTED + BLOCK, x : x + BLOCK] = WHITE + BLACK - value


def background() -> Luma:
    """Static texture of 8x8 blocks; `frame` shifts it, so that an encoder has motion to code."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(60, 180, (HEIGHT // 8, WIDTH // 8)).astype(np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


def frame(number: int, texture: Luma) -> Luma:
    """The luma plane of frame `number`; a new array."""
    luma = np.roll(texture, 2 * number, axis=1)
    draw_counter(luma, number)
    return luma


def camera() -> Path:
    """A y4m file of FRAMES frames at FPS; made on first use."""

    def write(out: BinaryIO) -> None:
        texture = background()
        chroma = bytes([128]) * (WIDTH * HEIGHT // 2)
        out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420\n".encode())
        for number in range(FRAMES):
            out.write(b"FRAME\n" + frame(number, texture).tobytes() + chroma)

    return _cached("camera.y4m", write)


def sound() -> npt.NDArray[np.int16]:
    """AUDIO_S seconds of stereo, shape (samples, 2): noise bursts of 20-120 ms at irregular moments over faint noise.

    The right channel is quieter and carries a 1 kHz tone of its own: it tells stereo from a copy of the left.
    """
    rng = np.random.default_rng(7)
    samples = AUDIO_S * SAMPLE_RATE_HZ
    left = 0.002 * rng.standard_normal(samples)
    start_s = 0.05
    while start_s < AUDIO_S - 0.2:
        length = int(rng.uniform(0.02, 0.12) * SAMPLE_RATE_HZ)
        begin = int(start_s * SAMPLE_RATE_HZ)
        left[begin : begin + length] += 0.25 * rng.standard_normal(length) * np.hanning(length)
        start_s += rng.uniform(0.15, 0.5)
    left /= 1.1 * np.abs(left).max()
    right = 0.6 * left + 0.05 * np.sin(2 * np.pi * 1000 * np.arange(samples) / SAMPLE_RATE_HZ)
    return _samples(np.stack([left, right], axis=1))


def voice() -> Path:
    """A wav file like somebody who speaks in a quiet room: syllables of 150-250 ms at about -20 dBFS with dips between,
    phrases of 1-2.5 s, pauses of 200-500 ms; the last second is silent. Made on first use."""

    def write(out: BinaryIO) -> None:
        rng = np.random.default_rng(11)
        total = AUDIO_S * SAMPLE_RATE_HZ
        left = 0.0005 * rng.standard_normal(total)
        at_s = 0.2
        while at_s < AUDIO_S - 3.5:
            end_s = at_s + rng.uniform(1.0, 2.5)
            while at_s < end_s:
                length = int(rng.uniform(0.15, 0.25) * SAMPLE_RATE_HZ)
                begin = int(at_s * SAMPLE_RATE_HZ)
                pitch = rng.uniform(110, 190) * (1 + 0.1 * np.linspace(0, rng.uniform(-1, 1), length))
                phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
                tone = sum(np.sin(n * phase) / n for n in range(1, 20)) + 0.2 * rng.standard_normal(length)
                left[begin : begin + length] += 0.15 * tone * (0.1 + 0.9 * np.hanning(length))
                at_s += length / SAMPLE_RATE_HZ
            at_s += rng.uniform(0.2, 0.5)
        _write_wav(out, _samples(np.stack([left, left], axis=1)))

    return _cached("voice.wav", write)


def microphone() -> Path:
    """The wav file of `sound()`; made on first use."""

    return _cached("microphone.wav", lambda out: _write_wav(out, sound()))


def _samples(stereo: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    return (np.clip(stereo, -1, 1) * 32767).astype("<i2")


def _write_wav(out: BinaryIO, stereo: npt.NDArray[np.int16]) -> None:
    with wave.open(out, "wb") as wav:
        wav.setnchannels(2)
        wav.setsampwidth(2)
        wav.setframerate(SAMPLE_RATE_HZ)
        wav.writeframes(stereo.tobytes())


def _cached(name: str, write: Callable[[BinaryIO], None]) -> Path:
    path = CACHE / f"v{VERSION}-{name}"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=CACHE, suffix=".part", delete=False) as out:
            write(out)  # type: ignore[arg-type]
        os.replace(out.name, path)
    return path
