"""The whole program with an S3 server as its object store."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from storage.settings import S3Settings
from tests.support.encoded import OPUS_SAMPLES, opus_packets
from tests.support.evidence import finished
from tests.support.files import inspect
from tests.support.raw_peer import RawPeer
from tests.support.studio import Studio, start_studio

PACKETS = 75


@pytest.fixture
async def studio(tmp_path: Path, s3: S3Settings) -> AsyncIterator[Studio]:
    settings = msgspec.to_builtins(msgspec.structs.replace(s3, bucket="serve-tests"))
    async with start_studio(tmp_path, {"object_store": {"kind": "s3", "s3": settings}}) as running:
        yield running


async def test_a_recording_ends_in_the_bucket_and_is_fetched_from_there(
    studio: Studio, s3: S3Settings, tmp_path: Path
) -> None:
    packets = opus_packets(PACKETS)
    session = await studio.create_session("To the bucket")
    secret, session_id = session["host_secret"], session["session_id"]
    async with await RawPeer.join(studio.url, session_id, host_secret=secret) as peer:
        (microphone,) = await peer.publish("microphone")
        recording = await studio.api.start_recording(session_id, secret)
        began = time.monotonic()
        for number, packet in enumerate(packets):
            await asyncio.sleep(began + number * 0.02 - time.monotonic())
            microphone.send(packet, number * OPUS_SAMPLES)
        await studio.api.stop_recording(session_id, recording["recording_id"], secret)
    await finished(studio, session, recording["recording_id"], local_copies=0)

    view = await studio.api.recording(session_id, recording["recording_id"], secret)
    (segment,) = [segment for take in view["takes"] for segment in take["segments"]]
    assert segment["play_url"].startswith(s3.endpoint + "/serve-tests/")
    file = await studio.api.download(segment["play_url"], tmp_path / "file.webm")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == segment["sha256"]
    assert inspect(file).stream("audio").packets == PACKETS
    assert not list((studio.data / "work").rglob("*.webm")), "the local file went once it was verified"
    assert s3.secret_key not in (studio.folder / "studio.log").read_text()


async def test_pages_may_reach_the_server_of_the_objects(studio: Studio, s3: S3Settings) -> None:
    async with aiohttp.ClientSession() as client, client.get(studio.url + "/createsession") as reply:
        assert s3.endpoint in reply.headers["Content-Security-Policy"]
