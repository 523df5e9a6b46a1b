"""What a host must hear of is found within its time, half an hour of ordinary speech gives nothing. Virtual time."""

import random
from collections.abc import Callable

import av
import numpy as np
import numpy.typing as npt
import pytest

from recorder.audio_probe import AudioProbe
from recorder.frames import MediaFrame
from recorder.health import FindingCode
from recorder.video_probe import VideoProbe
from recorder.watch import PictureWatch, Small, SoundWatch

S = 1_000_000_000
TOLD_S = 19.0
"""Of the 20 s that are promised a beat of the recorder and a look of the node are left."""
RATE = 48_000
Sound = npt.NDArray[np.float32]


def opus(sound: Sound) -> list[bytes]:
    """Mono, in packets of 20 ms, as a browser encodes speech."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = RATE, "mono", "flt", 32_000  # type: ignore[assignment]
    encoder.options = {"application": "voip", "compression_level": "0"}
    packets = []
    for at in range(0, len(sound) - 959, 960):
        frame = av.AudioFrame.from_ndarray(sound[None, at : at + 960], format="flt", layout="mono")
        frame.sample_rate, frame.pts = RATE, at
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


def babble(seconds: float, seed: int, *, floor: float = 0.0) -> Sound:
    """Syllables at a speaker's pace over a noise floor of this amplitude; 0: a gate makes zeros of it."""
    chance = np.random.default_rng(seed)
    at = np.arange(round(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * 130 * n * at) / n for n in range(1, 6))
    pace = np.maximum(0, np.sin(2 * np.pi * 2.1 * at)) ** 2
    return (0.1 * voice * pace + floor * chance.standard_normal(len(at))).astype(np.float32)


def noise(seconds: float, amplitude: float) -> Sound:
    return (amplitude * np.random.default_rng(1).standard_normal(round(seconds * RATE))).astype(np.float32)


def zeros(seconds: float) -> Sound:
    return np.zeros(round(seconds * RATE), np.float32)


class Listener:
    """A microphone's probe; notes when what was found."""

    def __init__(self) -> None:
        self.watch = SoundWatch()
        self.at_ns = 0
        self.found: dict[FindingCode, float] = {}
        """When each was found first, in seconds."""
        self._probe = AudioProbe(1, self.watch)

    def hear(self, packets: list[bytes]) -> None:
        for packet in packets:
            self._probe.placed(packet, self.at_ns)
            self.at_ns += S // 50
            for code in self.watch.findings():
                self.found.setdefault(code, self.at_ns / S)


def test_zeros_of_a_microphone_that_is_on_are_found_in_time_and_over_with_the_first_sound() -> None:
    listener = Listener()
    listener.hear(opus(babble(10, 1)))
    listener.hear(opus(zeros(25)))
    assert set(listener.found) == {FindingCode.SILENCE}
    assert 10 + 15 <= listener.found[FindingCode.SILENCE] <= 10 + TOLD_S
    age_s = listener.watch.findings()[FindingCode.SILENCE] / S
    assert 23 <= age_s <= 25
    listener.hear(opus(babble(3, 2)))
    assert listener.watch.findings() == {}


@pytest.mark.parametrize("amplitude", [1e-2, 1e-4, 1 / 32_768, 1 / 32_768 / 8])
def test_who_only_listens_with_a_live_microphone_has_one(amplitude: float) -> None:
    listener = Listener()
    listener.hear(opus(babble(2, 1)))
    listener.hear(opus(noise(40, amplitude)))
    assert listener.found == {}


def test_a_mute_is_no_silence_also_right_after_it() -> None:
    listener = Listener()
    silence = opus(zeros(54))
    listener.watch.mute(True)
    listener.hear(silence[: 35 * 50])
    listener.watch.mute(False)
    listener.hear(silence[35 * 50 : 49 * 50])
    assert listener.found == {}
    listener.hear(silence[49 * 50 :])
    assert set(listener.found) == {FindingCode.SILENCE}


def test_silence_is_counted_anew_behind_what_is_missing() -> None:
    listener = Listener()
    silence = opus(zeros(10))
    for _ in range(5):
        listener.hear(silence)
        listener._probe.gap()
        listener.at_ns += 3 * S
    assert listener.found == {}


def test_half_an_hour_of_speech_with_pauses_of_exact_zeros_gives_no_finding() -> None:
    """A gate makes zeros of every pause, up to eight seconds of them, as processing in a browser may."""
    chance, listener = random.Random(1), Listener()
    talk, pause = opus(babble(20, 1)), opus(zeros(8))
    while listener.at_ns < 1800 * S:
        begin = chance.randrange(len(talk) // 2)
        listener.hear(talk[begin : begin + chance.randint(25, 500)])
        listener.hear(pause[: chance.randint(5, len(pause))])
    assert listener.found == {}


def test_a_microphone_that_is_far_too_loud_is_found_and_over_when_it_is_turned_down() -> None:
    listener = Listener()
    listener.hear(opus(babble(10, 1)))
    listener.hear(opus(np.clip(20 * babble(20, 2), -1, 1)))
    assert set(listener.found) == {FindingCode.CLIPPING}
    assert listener.found[FindingCode.CLIPPING] <= 10 + TOLD_S
    listener.hear(opus(babble(12, 3)))
    assert listener.watch.findings() == {}


def test_loud_speech_and_a_single_bang_are_no_clipping() -> None:
    listener = Listener()
    loud = babble(30, 1)
    loud *= 0.95 / np.abs(loud).max()
    loud[10 * RATE : 10 * RATE + 48] = 1.0
    listener.hear(opus(loud))
    assert listener.found == {}


# --- pictures

KEY_S = 10
"""Between two key frames, as the node asks for them."""


def scene(seed: int) -> Small:
    return np.random.default_rng(seed).integers(40, 220, (36, 64), np.uint8)


def encoded(picture: Small, seed: int) -> Small:
    """As another key frame of it comes out of an encoder: two of them differ by 0.26 on the mean and 6 at most."""
    off = np.random.default_rng(seed).choice([-3, -1, 0, 1, 3], picture.shape, p=[0.001, 0.065, 0.868, 0.065, 0.001])
    return (picture + off).astype(np.uint8)


class Viewer:
    """A camera of five frames a second; notes when what was found."""

    def __init__(self) -> None:
        self.watch = PictureWatch()
        self.at_ns = 0
        self.found: dict[FindingCode, float] = {}

    def see(self, seconds: float, picture: Callable[[int], Small]) -> None:
        end_ns = self.at_ns + round(seconds * S)
        while self.at_ns < end_ns:
            self.watch.frame(self.at_ns)
            if self.at_ns % (KEY_S * S) == 0:
                small = picture(self.at_ns // S)
                self.watch.picture(self.at_ns, small, bool(small.max() < 26))
            self.at_ns += S // 5
            for code in self.watch.findings():
                self.found.setdefault(code, self.at_ns / S)


def still(at_s: int) -> Small:
    return encoded(scene(0), at_s)


def black(at_s: int) -> Small:
    return encoded(np.full((36, 64), 16, np.uint8), at_s)


def moving(at_s: int) -> Small:
    """A head that sways by less than a place, in front of a wall."""
    picture = scene(0)
    picture[10:30, 20:40] = np.roll(picture[10:30, 20:40], at_s % 7 + 1, 1) // 2 + picture[10:30, 20:40] // 2
    return encoded(picture, at_s)


@pytest.mark.parametrize(("picture", "code"), [(black, FindingCode.BLACK), (still, FindingCode.FROZEN)])
def test_a_camera_that_is_black_or_stands_still_is_found_in_time_and_over_with_the_next_picture(
    picture: Callable[[int], Small], code: FindingCode
) -> None:
    viewer = Viewer()
    viewer.see(39, moving)
    viewer.see(31, picture)
    assert set(viewer.found) == {code}
    assert viewer.found[code] - 40 <= TOLD_S - 4, "the node needs four seconds to ask for the first key frame"
    assert viewer.watch.findings()[code] >= 29 * S
    viewer.see(1, moving)
    assert viewer.watch.findings() == {}


def test_who_sits_there_is_not_frozen() -> None:
    viewer = Viewer()
    viewer.see(600, moving)
    assert viewer.found == {}


def test_a_camera_that_is_switched_off_may_be_black_and_stand_still() -> None:
    viewer = Viewer()
    viewer.see(5, moving)
    viewer.watch.mute(True)
    viewer.see(40, black)
    viewer.watch.mute(False)
    viewer.see(40, moving)
    assert viewer.found == {}


def test_the_probe_of_a_file_tells_what_is_black() -> None:
    watch = PictureWatch()
    probe = VideoProbe("vp8", watch)
    encoder = av.CodecContext.create("libvpx", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = 64, 48, "yuv420p", 1  # type: ignore[assignment]
    encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "g": "1"}
    dark = np.full((72, 64), 16, np.uint8)
    dark[48:] = 128
    for second in range(10):
        picture = av.VideoFrame.from_ndarray(dark, format="yuv420p")
        picture.pts = second
        for packet in encoder.encode(picture):
            probe.placed(MediaFrame(0, 0, True, bytes(packet), True, (64, 48), 0, 1, ""), second * S)
    assert watch.findings() == {FindingCode.BLACK: 9 * S}
