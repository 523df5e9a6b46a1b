"""A power failure in the middle of a recording, again and again, and what is left of it.

`lose(folder, seed)` has the real journal writer take two microphones and two cameras in real time, with repaired and
lost packets, while the real recorder makes and stores the files, all on one data folder. At a moment that the seed
chooses, by time or just before a sync takes effect, what is not durable is cut off (`tests.support.power_loss`). The
recorder then works over what is left, twice. With odd seeds it deletes journals as soon as it may.
"""

import asyncio
import hashlib
import random
import zlib
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.accounts import Account, Journalled, account, read_journals
from recorder.delivery import Delivery
from recorder.events import ParticipantSeen, RecordingEvent, RecordingStarted, RecordingStopped, TakeOpened
from recorder.follower import SpoolFollower
from recorder.journal import JournalDecoder, JournalPacket, TrackHeader
from recorder.manifest import decode, manifest_key
from recorder.recording import RecordingWork, journal_names
from recorder.settings import RecorderSettings
from recorder.writer import SpoolWriter
from storage import open_store
from storage.catalog import Catalog
from storage.database import open_database
from storage.settings import DatabaseSettings, ObjectStoreSettings
from tests.support.encoded import opus_packets
from tests.support.journals import (
    RECORDING,
    SESSION,
    ZERO_NS,
    S,
    audio_packets,
    recording_header,
    repaired,
    track_header,
    video_packets,
)
from tests.support.payloads import encode, vp8_payloads
from tests.support.power_loss import Disk, watched
from tests.support.recorder import PARTICIPANT, Data, open_data

RECORDED_S = 1.6
LATEST_S = 2.6
"""Of the failure: the files are stored by then, mostly."""
SYNCS = 60
"""About as many as a run has."""
LOSS = 0.03
STEP_S = 0.01
PATIENCE_S = 60.0
DATABASE = "stemroom.sqlite"
KINDS = {"opus": "microphone", "vp8": "camera"}
SETTINGS = RecorderSettings()
AT_ONCE = RecorderSettings(keep_journal_days=0)
"""Journals go as soon as their files are stored."""


class Loss(NamedTuple):
    """One failure."""

    seed: int
    instant: str
    given: int
    """Packets that taps were given until then."""
    synced: int
    """Of those, durable."""
    account: Account
    missing_s: float
    """From the last packet that can be read, or else the first, to the failure; of the track that lost most."""
    problems: list[str]
    """Promises that were not kept; empty."""


class Source(NamedTuple):
    header: TrackHeader
    packets: list[JournalPacket]
    """By arrival."""


class Moment(NamedTuple):
    """What was so when the power failed."""

    at_ns: int
    """On the journals' clock."""
    given: dict[str, int]
    """Packets by segment."""
    first_ns: dict[str, int]
    """Arrival of a segment's first."""
    synced: dict[str, Journalled]
    events: list[RecordingEvent]
    """Of which it had been said that they are durable."""


@cache
def _media() -> tuple[list[bytes], list[bytes]]:
    count = round(RECORDED_S * 50)
    return opus_packets(count), encode("vp8", round(RECORDED_S * 30), width=160, height=120, key_every=12)


def frame_packets() -> dict[int, int]:
    """How many packets each sound or picture of the sources was sent in, by the CRC-32 of its bytes in a file."""
    sound, pictures = _media()
    return {zlib.crc32(packet): 1 for packet in sound} | {
        zlib.crc32(picture): len(list(vp8_payloads(picture, number))) for number, picture in enumerate(pictures)
    }


def _sources(chance: random.Random) -> list[Source]:
    """Two of each kind; one is published again in the middle, as a segment of the same take."""
    sound, pictures = _media()
    sources = []
    for number, codec in enumerate(("opus", "vp8", "opus", "vp8")):
        at_ns = round(chance.uniform(0, 0.3) * S)
        packets = (
            audio_packets(sound, at_ns=at_ns) if codec == "opus" else video_packets(pictures, vp8_payloads, at_ns=at_ns)
        )
        packets = repaired(packets, LOSS, chance.randrange(1 << 30), latest_ms=400, never=chance.random() < 0.3)
        parts = [packets]
        if number == 1:
            cut = chance.randrange(1, len(packets))
            parts = [packets[:cut], packets[cut:]]
        for part, some in enumerate(parts):
            letter = "abcdef"[number]
            ids = {"take_id": f"tak_{letter * 16}", "segment_id": f"seg_{letter * 15}{'xy'[part]}"}
            sources.append(Source(track_header(codec, participant_id=PARTICIPANT, **ids), some))
    return sources


class _Call:
    """The node's part: taps, events and the writer."""

    def __init__(self, folder: Path, sources: list[Source]) -> None:
        self.given: dict[str, int] = {}
        self.first_ns: dict[str, int] = {}
        self.durable: list[RecordingEvent] = []
        self.at_ns = ZERO_NS
        self._writer = SpoolWriter(folder, SETTINGS)
        self._writer.start()
        self._sources = sources
        self._journal = self._writer.open_recording(recording_header())

    async def run(self) -> None:
        self._say(RecordingStarted(recording_id=RECORDING, session_id=SESSION, title="A talk", started_ns=0))
        self._say(ParticipantSeen(participant_id=PARTICIPANT, display_name="Ada", role="host"))
        waiting = [(source, source.packets[:]) for source in self._sources]
        taps = {}
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while waiting:
            self.at_ns = ZERO_NS + round((loop.time() - began_s) * S)
            for source, packets in waiting:
                header = source.header
                while packets and packets[0].arrival_ns <= self.at_ns:
                    if header.segment_id not in taps:
                        self._say_take(header)
                        taps[header.segment_id] = self._journal.open_track(header)
                        self.given[header.segment_id] = 0
                        self.first_ns[header.segment_id] = packets[0].arrival_ns
                    arrival_ns, sequence, timestamp, marker, payload = packets.pop(0)
                    taps[header.segment_id].packet(arrival_ns / S, sequence, timestamp, marker, payload)
                    self.given[header.segment_id] += 1
                if not packets:
                    taps[header.segment_id].end(self.at_ns / S)
            waiting = [(source, packets) for source, packets in waiting if packets]
            await asyncio.sleep(STEP_S)
        self._say(RecordingStopped(stopped_ns=self.at_ns - ZERO_NS))
        self._journal.close()

    def close(self) -> None:
        self._writer.close()

    def _say_take(self, header: TrackHeader) -> None:
        slot = "abcdef".index(header.take_id[-1]) // 2
        ids = {"take_id": header.take_id, "participant_id": PARTICIPANT}
        self._say(TakeOpened(**ids, kind=header.kind, slot=slot))

    def _say(self, event: RecordingEvent) -> None:
        def settled(future: Future[None]) -> None:
            if future.exception() is None:
                self.durable.append(event)

        self._journal.event(event).add_done_callback(settled)


async def lose(folder: Path, seed: int) -> Loss:
    """The seed chooses media, losses and moment; threads have their own timing. `folder`: an empty one."""
    chance = random.Random(seed)
    cut = folder / "after"
    settings = AT_ONCE if seed % 2 else SETTINGS
    async with open_data(_made(folder / "data")) as data:
        moment, instant = await _record_until(data, folder / "hold", cut, chance, settings)
    stored, problems = await _broken_promises(cut, moment)
    journals = read_journals(cut / "spool" / RECORDING)
    await _recorder_works(cut)
    left = await _kept(cut)
    problems += await _not_listed(cut)
    counted = account(cut, RECORDING, frame_packets())
    await _recorder_works(cut)
    if await _kept(cut) != left:
        problems.append("a second run of the recorder changed something")
    missing_ns = 0
    for segment_id, given in moment.given.items():
        journal = journals.get(segment_id)
        readable = len(journal.packets) if journal is not None else 0
        if segment_id not in stored and given > readable:
            since_ns = journal.last_ns if journal is not None and readable else moment.first_ns[segment_id]
            missing_ns = max(missing_ns, moment.at_ns - since_ns)
    synced = sum(len(journal.packets) for journal in moment.synced.values())
    problems += counted.problems
    return Loss(seed, instant, sum(moment.given.values()), synced, counted, missing_ns / S, problems)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


async def _record_until(
    data: Data, hold: Path, cut: Path, chance: random.Random, settings: RecorderSettings
) -> tuple[Moment, str]:
    """Record until the power fails; what was so then, and when it was in words."""
    loop = asyncio.get_running_loop()
    failed = asyncio.Event()
    moments: list[Moment] = []
    at_sync = chance.randint(1, SYNCS) if chance.random() < 0.5 else 0
    at_s = chance.uniform(0.05, LATEST_S)
    sources = _sources(chance)
    began_s = loop.time()
    with watched(data.folder, hold, (DATABASE,)) as disk, ThreadPoolExecutor(4) as threads:
        call = _Call(data.folder / "spool", sources)

        def fail(number: int = 0) -> None:
            if number == at_sync and not moments:
                moments.append(_moment(call, data, disk))
                disk.cut(cut, chance)
                loop.call_soon_threadsafe(failed.set)

        disk.on_sync = fail
        delivery = Delivery(data.catalog, data.store)
        follower = SpoolFollower(data.folder / "spool", data.folder / "work", delivery, settings, threads)
        tasks = [asyncio.create_task(call.run()), asyncio.create_task(follower.run())]
        try:
            await asyncio.wait_for(failed.wait(), LATEST_S + 1 if at_sync else at_s)
            instant = f"sync {at_sync}"
        except TimeoutError:
            at_sync = 0
            fail()
            instant = f"{loop.time() - began_s:.2f} s"
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        call.close()
    faults = [end for end in ended if isinstance(end, Exception)]
    if faults:
        raise faults[0]
    return moments[0], instant


def _moment(call: _Call, data: Data, disk: Disk) -> Moment:
    events = call.durable[:]
    synced = read_journals(data.spool, disk.synced_bytes) if data.spool.exists() else {}
    return Moment(call.at_ns, dict(call.given), dict(call.first_ns), synced, events)


async def _broken_promises(cut: Path, moment: Moment) -> tuple[set[str], list[str]]:
    """Segments that rows call stored, and what had been said to be safe and is not; before anybody works on it."""
    problems = []
    stored = set()
    async with _opened(cut) as (catalog, _):
        for row in await catalog.segments(RECORDING):
            if row.state == "stored":
                stored.add(row.id)
                if not _whole(cut / "objects" / row.object_key, row.size_bytes, row.sha256):
                    problems.append(f"{row.id} is stored, says its row, and is not whole")
        recording = await catalog.recording(RECORDING)
        assert recording is not None
        if recording.state == "finished":
            try:
                decode((cut / "objects" / manifest_key(SESSION, RECORDING)).read_bytes())
            except (OSError, msgspec.MsgspecError) as error:
                problems.append(f"the recording is finished, says its row, and its manifest is not there: {error}")
    spool = cut / "spool" / RECORDING
    journals = read_journals(spool) if spool.exists() else {}
    for segment_id, synced in moment.synced.items():
        left = journals[segment_id].packets if segment_id in journals else []
        if left[: len(synced.packets)] != synced.packets and segment_id not in stored:
            problems.append(f"{segment_id}: {len(synced.packets)} packets were synced, {len(left)} can be read")
    events: list[object] = []
    for path in sorted(spool.glob("events-*.journal")):
        events += JournalDecoder().feed(path.read_bytes())
    if events or recording.state != "finished":  # otherwise the journals' days are over
        problems += [f"durable event lost: {event}" for event in moment.events if event not in events]
    if journals and not events:
        problems.append("there are tracks, and no events")
    return stored, problems


async def _not_listed(data: Path) -> list[str]:
    """Stored files that the manifest of a finished recording does not name."""
    async with _opened(data) as (catalog, _):
        recording = await catalog.recording(RECORDING)
        if recording is None or recording.state != "finished":
            return []
        manifest = decode((data / "objects" / manifest_key(SESSION, RECORDING)).read_bytes())
        listed = {segment.segment_id for take in manifest.takes for segment in take.segments}
        rows = await catalog.segments(RECORDING)
        return [f"{row.id} is stored and not in the manifest" for row in rows if row.id not in listed]


def _whole(path: Path, size_bytes: int, sha256: str) -> bool:
    if not path.exists():
        return False
    content = path.read_bytes()
    return (len(content), hashlib.sha256(content).hexdigest()) == (size_bytes, sha256)


async def _recorder_works(data: Path) -> None:
    """A new recorder, until nothing is left to do for the recording."""
    async with _opened(data) as (_, delivery):
        if not journal_names(data / "spool" / RECORDING):
            return
        with ThreadPoolExecutor(4) as threads:
            work = RecordingWork(data / "spool" / RECORDING, data / "work" / RECORDING, delivery, SETTINGS, threads)
            async with asyncio.timeout(PATIENCE_S):
                await work.run()


@asynccontextmanager
async def _opened(data: Path) -> AsyncIterator[tuple[Catalog, Delivery]]:
    database, store = open_database(DatabaseSettings(), data), open_store(ObjectStoreSettings(), data)
    await store.start()
    try:
        catalog = Catalog(database)
        yield catalog, Delivery(catalog, store)
    finally:
        await store.close()
        await database.close()


async def _kept(data: Path) -> dict[str, object]:
    """Everything that somebody could see afterwards: objects, files of the work folder, rows."""
    seen: dict[str, object] = {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("objects", "work")
        for path in (data / folder).rglob("*")
        if path.is_file()
    }
    async with _opened(data) as (catalog, _):
        for row in await catalog.segments(RECORDING):
            seen[row.id] = (row.state, row.size_bytes, row.sha256, row.object_key, row.problem)
        recording = await catalog.recording(RECORDING)
        assert recording is not None
        seen["recording"] = (recording.state, recording.stopped_ns)
    return seen
