"""Sound and pictures of a known person: every file of them says whose they are and when they were captured.

A person's media time begins at 0. Each picture carries its number (`tests.support.media`), the person's number below
it, and the first of every second is a flash. With that picture a beep begins: eight tones whose order is that of this
person and second, and of no other. Both are read back from decoded files; a reader tells nothing rather than something
wrong.
"""

import json
import random
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt

from tests.support.counter import MARGIN, MIN_CONTRAST, read_number
from tests.support.encoded import opus_of, vp8_of
from tests.support.files import single_threaded
from tests.support.media import (
    BLACK,
    BLOCK,
    FPS,
    HEIGHT,
    LEFT,
    PITCH,
    SAMPLE_RATE_HZ,
    WHITE,
    WIDTH,
    Luma,
    background,
    frame,
)

PAGE = Path(__file__).with_name("known_page.js")
"""The same as a page's camera and microphone."""
PAGE_S = 20
ID_BITS = 4
ID_TOP, ID_TOP_INVERTED = 128, 184
FLASH_TOP = 248
"""Below it the picture is white in a flash."""
FLASH_LUMA = 225
KEY_EVERY = 15
TONES, TONE_S = 8, 0.012
TONES_HZ = range(600, 3_600, 200)
LEVEL = 0.4
LEAST_LIKENESS = 0.6
"""Correlation of what was heard with the beep; that of another beep stays below 0.4."""

Sound = npt.NDArray[np.float64]


class Seen(NamedTuple):
    time_s: float
    """Presentation time in the file."""
    person: int
    number: int
    """Of the picture; captured `number / FPS` after the person's zero."""
    flash: bool


class Heard(NamedTuple):
    time_s: float
    """Presentation time of the beep's first sample."""
    second: int
    """It was captured so long after the person's zero."""


@cache
def pictures(person: int, seconds: int) -> list[bytes]:
    """Encoded VP8 frames, 320x180: as readable as larger ones, and soon encoded."""
    texture = background()
    return vp8_of([_picture(person, number, texture) for number in range(seconds * FPS)], keyframe_every=KEY_EVERY)


@cache
def packets(person: int, seconds: int) -> list[bytes]:
    """Opus packets of 20 ms."""
    samples = 0.001 * np.random.default_rng(person).standard_normal(seconds * SAMPLE_RATE_HZ)
    for second in range(seconds):
        tones = _beep(person, second)
        at = second * SAMPLE_RATE_HZ
        samples[at : at + len(tones)] += LEVEL * tones
    return opus_of((np.stack([samples, samples], axis=1) * 32767).astype("<i2"))


def beeps(person: int) -> str:
    """Samples of the beep of every second, as JSON (for `PAGE`)."""
    return json.dumps([[round(LEVEL * float(one), 4) for one in _beep(person, second)] for second in range(PAGE_S)])


def seen(path: Path) -> list[Seen]:
    """Every frame of a file that can be read."""
    found = []
    with av.open(str(path)) as container:
        single_threaded(container.streams.video[0])
        for decoded in container.decode(video=0):
            luma = decoded.to_ndarray(format="gray").astype(np.uint8, copy=False)
            number, person = read_number(luma), _read_person(luma)
            if number is not None and person is not None:
                flash = float(luma[(FLASH_TOP + MARGIN) * len(luma) // HEIGHT :].mean()) > FLASH_LUMA
                found.append(Seen(float(decoded.time or 0.0), person, number, flash))
    return found


def heard(path: Path, person: int, seconds: Iterable[int]) -> list[Heard]:
    """Those beeps of a person that are in a file, each where it is most like itself."""
    begin_s, sound = _decoded(path)
    size = 1 << (len(sound) + 4_096).bit_length()
    spectrum = np.fft.rfft(sound, size)
    energy = np.concatenate([[0.0], np.cumsum(sound**2)])
    found = []
    for second in seconds:
        tones = _beep(person, second)
        places = len(sound) - len(tones)
        if places <= 0:
            break
        product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(tones, size)), size)[:places]
        there = np.sqrt(np.maximum(energy[len(tones) :][:places] - energy[:places], 1e-6) * np.sum(tones**2))
        likeness = product / there
        best = int(np.argmax(likeness))
        if likeness[best] >= LEAST_LIKENESS:
            found.append(Heard(begin_s + best / SAMPLE_RATE_HZ, second))
    return found


def _picture(person: int, number: int, texture: Luma) -> Luma:
    luma = frame(number, texture)
    for bit in range(ID_BITS):
        value = WHITE if person >> bit & 1 else BLACK
        x = LEFT + bit * PITCH
        luma[ID_TOP : ID_TOP + BLOCK, x : x + BLOCK] = value
        luma[ID_TOP_INVERTED : ID_TOP_INVERTED + BLOCK, x : x + BLOCK] = WHITE + BLACK - value
    if number % FPS == 0:
        luma[FLASH_TOP:] = WHITE
    return np.ascontiguousarray(luma[::2, ::2])


def _read_person(luma: Luma) -> int | None:
    person, scale = 0, luma.shape[1] / WIDTH
    middle = np.arange(round((BLOCK - 2 * MARGIN) * scale)) + round(MARGIN * scale)
    for bit in range(ID_BITS):
        columns = middle + round((LEFT + bit * PITCH) * scale)
        upper = float(luma[np.ix_(middle + round(ID_TOP * scale), columns)].mean())
        lower = float(luma[np.ix_(middle + round(ID_TOP_INVERTED * scale), columns)].mean())
        if abs(upper - lower) < MIN_CONTRAST:
            return None
        person |= (upper > lower) << bit
    return person


@cache
def _beep(person: int, second: int) -> Sound:
    chance = random.Random(f"{person}/{second}")
    times = np.arange(round(TONE_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tones = [np.sin(2 * np.pi * hz * times) * np.hanning(len(times)) for hz in chance.sample(TONES_HZ, TONES)]
    return np.concatenate(tones)


def _decoded(path: Path) -> tuple[float, Sound]:
    """Presentation time of the first sample, and the left channel. Times of Matroska are whole milliseconds: samples
    follow each other unless more than two are missing or too many."""
    pieces: list[tuple[float, Sound]] = []
    with av.open(str(path)) as container:
        single_threaded(container.streams.audio[0])
        for decoded in container.decode(audio=0):
            samples = decoded.to_ndarray()
            left = samples[0] if decoded.format.is_planar else samples[0][:: decoded.layout.nb_channels]
            pieces.append((float(decoded.time or 0.0), left.astype(np.float64)))
    begin_s = pieces[0][0]
    end_s = max(time_s + len(left) / SAMPLE_RATE_HZ for time_s, left in pieces)
    sound = np.zeros(round((end_s - begin_s) * SAMPLE_RATE_HZ) + 200)
    at = 0
    for time_s, left in pieces:
        if abs(stated := round((time_s - begin_s) * SAMPLE_RATE_HZ) - at) > 0.002 * SAMPLE_RATE_HZ:
            at += stated
        sound[at : at + len(left)] = left[: len(sound) - at]
        at += len(left)
    return begin_s, sound
