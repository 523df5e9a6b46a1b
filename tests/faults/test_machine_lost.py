"""A machine is lost while it records: node and recorder killed, its data folder gone. Another finishes the files."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from recorder.manifest import Manifest, decode, manifest_key
from recorder.upload_plan import PART_BYTES
from storage import open_store
from storage.ids import new_id
from storage.objects import ObjectStore
from storage.settings import ObjectStoreSettings
from tests.support import counter
from tests.support.encoded import OPUS_SAMPLES, opus_packets, vp8_frames, vp8_payloads
from tests.support.files import inspect
from tests.support.media import FPS
from tests.support.parts import read, upload_ids
from tests.support.raw_peer import RawPeer
from tests.support.studio import ROOT, Studio, start_studio

RECORDED_S = 24
LOOP = 120
"""Frames, after which the camera shows the same ones again."""
LOST_S = 10 + 3 + 2
"""What may be missing: the time between two tails, what the recorder waits for lost packets, clusters that are not
full."""
NOISE_BYTES = 16_000
"""Behind each frame, so that a part is full after 14 s."""


@dataclass
class Place:
    """Where the machine keeps objects."""

    objects: ObjectStoreSettings

    @property
    def table(self) -> dict[str, Any]:
        made: dict[str, Any] = msgspec.to_builtins(self.objects)
        return made


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "folder":
        return Place(ObjectStoreSettings())
    s3 = msgspec.structs.replace(request.getfixturevalue("s3"), prefix=new_id("t"))
    return Place(ObjectStoreSettings(kind="s3", s3=s3))


async def record(studio: Studio) -> tuple[str, str]:
    """Speak and show for RECORDED_S; session and recording. Nobody stops it."""
    noise = np.random.default_rng(7)
    frames = [frame + noise.bytes(NOISE_BYTES) for frame in vp8_frames(LOOP)] * (RECORDED_S * FPS // LOOP)
    packets = opus_packets(RECORDED_S * 50)
    session = await studio.create_session("Lost")
    secret, loop = session["host_secret"], asyncio.get_running_loop()
    async with await RawPeer.join(studio.url, session["session_id"], host_secret=secret) as peer:
        microphone, camera = await peer.publish("microphone", "camera")
        recording = await studio.api.start_recording(session["session_id"], secret)
        began_s = loop.time()

        async def speak() -> None:
            for number, packet in enumerate(packets):
                await asyncio.sleep(began_s + number * 0.02 - loop.time())
                microphone.send(packet, number * OPUS_SAMPLES)

        async def show() -> None:
            for number, frame in enumerate(frames):
                await asyncio.sleep(began_s + number / FPS - loop.time())
                camera.send_frame(list(vp8_payloads(frame, number)), number * 90_000 // FPS)

        await asyncio.gather(speak(), show())
        recorder_pid = studio.recorder_pid()
        await studio.stop(signal.SIGKILL)
        os.kill(recorder_pid, signal.SIGKILL)
    return session["session_id"], recording["recording_id"]


@dataclass
class Elsewhere:
    """Another machine."""

    folder: Path
    store: ObjectStore

    async def recover(self, recording_id: str) -> tuple[int, str]:
        """Exit code and everything that was printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stemroom", "recover", "--from-store", recording_id),
            *("--config", str(self.folder / "config.toml")),
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


async def move(lost: Path, folder: Path, place: Place, stack: AsyncExitStack) -> Elsewhere:
    """Delete all that the lost machine had; of a store that is a folder, the objects are saved."""
    (folder / "data").mkdir(parents=True, mode=0o700)
    if place.objects.kind == "folder":
        shutil.move(lost / "data" / "objects", folder / "data" / "objects")
    shutil.rmtree(lost / "data")
    config = folder / "config.toml"
    config.touch(0o600)
    lines = [f'[object_store]\nkind = "{place.objects.kind}"']
    if place.objects.kind == "s3":
        fields = place.table["s3"].items()
        lines += ["[object_store.s3]", *(f"{name} = {msgspec.json.encode(value).decode()}" for name, value in fields)]
    config.write_text("\n".join(lines))
    store = open_store(place.objects, folder / "data")
    await store.start()
    stack.push_async_callback(store.close)
    return Elsewhere(folder, store)


async def test_another_machine_finishes_the_files_from_the_store(
    place: Place, tmp_path: Path, stack: AsyncExitStack
) -> None:
    async with start_studio(tmp_path / "lost", {"object_store": place.table}) as studio:
        session_id, recording_id = await record(studio)
    elsewhere = await move(tmp_path / "lost", tmp_path / "elsewhere", place, stack)
    assert len(await upload_ids(elsewhere.store, "")) == 1, "of the camera; the microphone has tails alone"

    code, printed = await elsewhere.recover(recording_id)
    assert code == 0, printed
    print(printed)
    key = manifest_key(session_id, recording_id)
    assert key in printed
    await files_are_whole(decode(await read(elsewhere.store, key)), elsewhere.store, tmp_path)
    keys = {info.key async for info in elsewhere.store.list("")}
    assert {found.rpartition("/")[2].partition("_")[0] for found in keys} == {"manifest.json", "seg"}
    assert len(keys) == 3
    assert await upload_ids(elsewhere.store, "") == set()

    code, printed = await elsewhere.recover(recording_id)
    assert code == 1
    assert printed.strip().endswith(f"the store has nothing unfinished of {recording_id}")


async def files_are_whole(manifest: Manifest, store: ObjectStore, folder: Path) -> None:
    assert [person.display_name for person in manifest.participants]
    assert {take.kind for take in manifest.takes} == {"camera", "microphone"}
    for take in manifest.takes:
        [segment] = take.segments
        assert (segment.state, segment.torn) == ("stored", True)
        path = folder / segment.file_name
        path.write_bytes(await read(store, segment.object_key))
        assert path.stat().st_size == segment.size_bytes
        report = inspect(path)
        assert report.sound
        assert report.duration_s == pytest.approx(segment.duration_ns / 1e9, abs=0.05)
        assert RECORDED_S - LOST_S < segment.duration_ns / 1e9 <= RECORDED_S
        if take.kind == "camera":
            assert segment.size_bytes > PART_BYTES
            assert (segment.width, segment.height) == (640, 360)
            numbers = [reading.number for reading in counter.read_file(path)]
            assert numbers == [number % LOOP for number in range(len(numbers))]
            assert len(numbers) > (RECORDED_S - LOST_S) * FPS
        else:
            assert report.stream("audio").samples == pytest.approx(segment.duration_ns * 48 / 1e6, abs=960)
    assert manifest.stopped_ns - manifest.started_ns > (RECORDED_S - LOST_S) * 1e9


async def test_a_recording_that_still_runs_is_left_alone(tmp_path: Path, stack: AsyncExitStack) -> None:
    async with start_studio(tmp_path / "runs") as studio:
        session = await studio.create_session("Runs")
        secret = session["host_secret"]
        async with await RawPeer.join(studio.url, session["session_id"], host_secret=secret) as peer:
            (microphone,) = await peer.publish("microphone")
            recording = await studio.api.start_recording(session["session_id"], secret)
            store = open_store(ObjectStoreSettings(), studio.data)
            stack.push_async_callback(store.close)
            other = Elsewhere(tmp_path / "runs", store)
            recovering = asyncio.create_task(speak_until_there_is_something(microphone, store, other, recording))
            code, printed = await recovering
            assert code == 1
            assert "is still recorded" in printed
            await studio.api.stop_recording(session["session_id"], recording["recording_id"], secret)
        await studio.event("recording_finished")


async def speak_until_there_is_something(
    microphone: Any, store: ObjectStore, other: Elsewhere, recording: Any
) -> tuple[int, str]:
    """Speak on; as soon as there is a provisional manifest, somebody tries to recover the recording."""
    loop = asyncio.get_running_loop()
    began_s, recovering = loop.time(), None
    for number, packet in enumerate(opus_packets(60 * 50)):
        await asyncio.sleep(began_s + number * 0.02 - loop.time())
        microphone.send(packet, number * OPUS_SAMPLES)
        if recovering is None and number % 25 == 0:
            keys = [info.key async for info in store.list("sessions/")]
            if any(key.endswith("provisional.json") for key in keys):
                recovering = asyncio.create_task(other.recover(recording["recording_id"]))
        elif recovering is not None and recovering.done():
            break
    assert recovering is not None
    return await recovering
