"""Half an hour of speech with pauses in a real browser, recorded by the real program: no host may be warned of it.

`make watch-soak`, or `python -m bench.watch_soak MINUTES`. The sound goes through the browser's own processing (noise
suppression, automatic gain), as that of any microphone does: syllables over a quiet room, with pauses of up to eight
seconds, some of them exact zeros. Prints what hosts were told; the exit code is 1 if that is anything.
"""

import asyncio
import random
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

from tests.support.chromium import chromium
from tests.support.studio import start_studio

RATE = 48_000
MINUTES = 30.0
WAV_S = 120


def speech(path: Path, seed: int = 1) -> None:
    """Two minutes of talk, 16 bits, mono; the browser begins it anew again and again."""
    chance, noise = random.Random(seed), np.random.default_rng(seed)
    parts: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = []
    while sum(map(len, parts)) < WAV_S * RATE:
        at = np.arange(round(chance.uniform(1, 9) * RATE)) / RATE
        pitch = 130 + 15 * np.sin(2 * np.pi * 0.4 * at)
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        voice = sum(np.sin(n * phase) / n for n in range(1, 9))
        pace = np.maximum(0, np.sin(2 * np.pi * 2.1 * at)) ** 2
        parts.append(0.15 * voice * pace + 2e-4 * noise.standard_normal(len(at)))
        pause = round(chance.uniform(0.2, 8) * RATE)
        parts.append(np.zeros(pause) if chance.random() < 0.5 else 2e-4 * noise.standard_normal(pause))
    sound = np.concatenate(parts)[: WAV_S * RATE]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())


async def soak(minutes: float) -> list[str]:
    """What the host was told, as the page said it."""
    told: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech(folder / "speech.wav")
        async with start_studio(folder / "studio") as studio, chromium(folder / "speech.wav") as rooms:
            session = await studio.create_session("A long talk")
            host = await rooms.join(session["host_url"], "Ann")
            await rooms.join(session["guest_url"], "Bob")
            await host.plays(1)
            await host.start_recording()
            for _ in range(round(minutes * 60)):
                await asyncio.sleep(1)
                shown = await host.page.locator(".notice-line p").all_inner_texts()
                told += [text for text in shown if text not in told]
            await host.stop_recording()
    return told


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    told = asyncio.run(soak(minutes))
    print(f"{minutes:g} minutes of speech with pauses through Chromium: {len(told)} warnings")
    for text in told:
        print(f"  {text}")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
