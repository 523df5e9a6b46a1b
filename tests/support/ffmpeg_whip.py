"""FFmpeg as a WHIP client: `python -m tests.support.ffmpeg_whip URL TOKEN SECONDS [muxer option=value ...]`.

The muxer is FFmpeg's own, as PyAV ships it; a process of its own, for it holds the interpreter while it waits. Sends
the numbered camera of tests.support.media as H264 and a tone as Opus, in real time, and prints one line when connected.

The certificate is given to it: with GnuTLS, FFmpeg 8.1 makes one on secp224r1, which OpenSSL refuses by default.
"""

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from aiortc.rtcdtlstransport import RTCCertificate
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support import media
from tests.support.api import Json

ROOT = Path(__file__).parents[2]
CONNECT_S = 20.0
SAMPLES = 960
"""20 ms at 48 kHz."""


def publish(url: str, token: str, seconds: float, options: dict[str, str]) -> None:
    options = {"authorization": token, "strict": "experimental"} | options
    with av.open(url, "w", format="whip", options=options) as output:
        video = output.add_stream("libx264", rate=media.FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = media.WIDTH, media.HEIGHT, "yuv420p"
        video.codec_context.gop_size = media.FPS
        video.time_base = Fraction(1, media.FPS)
        audio = output.add_stream("libopus", rate=media.SAMPLE_RATE_HZ, layout="stereo")
        output.start_encoding()
        print("connected", flush=True)
        texture, began_s = media.background(), time.monotonic()
        grey = np.full((media.HEIGHT // 2, media.WIDTH), 128, np.uint8)
        frames = blocks = 0
        while frames < seconds * media.FPS:
            while blocks * SAMPLES < frames * media.SAMPLE_RATE_HZ // media.FPS:
                at = (np.arange(SAMPLES) + blocks * SAMPLES) / media.SAMPLE_RATE_HZ
                tone = (8000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16)
                sound = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], format="s16", layout="stereo")
                sound.sample_rate, sound.pts = media.SAMPLE_RATE_HZ, blocks * SAMPLES
                output.mux(audio.encode(sound))
                blocks += 1
            luma = media.frame(frames, texture)
            picture = av.VideoFrame.from_ndarray(np.vstack([luma, grey]), format="yuv420p")
            picture.pts = frames
            output.mux(video.encode(picture))
            frames += 1
            time.sleep(max(0.0, began_s + frames / media.FPS - time.monotonic()))


def certificate(folder: Path) -> dict[str, str]:
    """The muxer's options for a new one, as FFmpeg with OpenSSL makes it itself."""
    made = RTCCertificate.generateCertificate()
    key, cert = folder / "key.pem", folder / "cert.pem"
    key.write_bytes(made._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    cert.write_bytes(made._cert.public_bytes(Encoding.PEM))
    return {"key_file": str(key), "cert_file": str(cert)}


@asynccontextmanager
async def encoder(made: Json, seconds: float, **options: str) -> AsyncIterator[Process]:
    """FFmpeg publishing with an ingest's token, connected; it is ended at the end if it runs longer."""
    arguments = [made["whip_url"], made["token"], str(seconds), *(f"{name}={value}" for name, value in options.items())]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.ffmpeg_whip", *arguments), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(CONNECT_S):
            assert await process.stdout.readline() == b"connected\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        given = dict(option.split("=", 1) for option in sys.argv[4:])
        publish(sys.argv[1], sys.argv[2], float(sys.argv[3]), certificate(Path(folder)) | given)
