"""What the integrity report costs the recorder: CPU time of the probes per second of media. `python -m bench.probes`"""

import time
from collections.abc import Callable
from functools import partial

from recorder.audio_probe import AudioProbe
from recorder.frames import MediaFrame
from recorder.video_probe import VideoProbe
from tests.support.encoded import opus_packets, vp8_frames
from tests.support.media import AUDIO_S, FPS

SECONDS = 60
S = 1_000_000_000


def cpu_ms_per_s(look: Callable[[], object]) -> float:
    """Milliseconds of CPU per second of media."""
    begin_s = time.process_time()
    look()
    return 1_000 * (time.process_time() - begin_s) / SECONDS


def hear(packets: list[bytes], gap_every: int) -> None:
    probe = AudioProbe(2)
    for number in range(SECONDS * 50):
        if gap_every and number % gap_every == 0:
            probe.gap()
        probe.placed(packets[number % len(packets)], number * S // 50)
    probe.finish()


def see(frames: list[bytes], key_every: int) -> None:
    probe = VideoProbe("vp8")
    for number in range(SECONDS * FPS):
        place = number % key_every
        key = place == 0
        probe.placed(
            MediaFrame(0, 0, True, frames[place], key, (640, 360) if key else None, 0, 1, ""), number * S // FPS
        )
    probe.finish()


def main() -> None:
    packets, frames = opus_packets(AUDIO_S * 50), vp8_frames(10 * FPS, keyframe_every=10 * FPS)
    for what, gap_every in (("nothing lost", 0), ("a gap every 0.4 s", 20)):
        print(f"Opus, stereo, {what}: {cpu_ms_per_s(partial(hear, packets, gap_every)):.1f} ms of CPU per second")
    for what, key_every in (("a key frame every 10 s", 10 * FPS), ("a key frame every second", FPS)):
        print(f"VP8, 640x360, {what}: {cpu_ms_per_s(partial(see, frames, key_every)):.2f} ms of CPU per second")


if __name__ == "__main__":
    main()
