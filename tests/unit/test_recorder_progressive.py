"""A growing file sent in parts: each once, the head twice; killed, cut off and failing in any order, the object is the
file."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from recorder import delivery, orphans, progressive, tail_plan, upload_plan
from recorder.delivery import Delivery, forget_unfinished
from recorder.events import TakeOpened
from recorder.manifest import Manifest, Segment, file_key
from recorder.orphans import AGE_S, abort_older, abort_orphans
from recorder.progressive import SUFFIX, GrowingFile, ProgressiveUpload, read_state
from recorder.provisional import Provisional, UnfinishedFile, provisional_key
from recorder.tail_plan import tail_key, tails_prefix
from storage import multipart
from storage.objects import ObjectNotFound, ObjectStoreError
from tests.support.failing_store import FailingStore
from tests.support.fake_catalog import FakeCatalog
from tests.support.parts import read, upload_ids

PART = 64
HEAD = 16
WEBM = "video/webm"
KEY = file_key("ses_1", "rec_1", "server", "seg_1.webm")
TAKE = TakeOpened(take_id="tak_1", participant_id="par_1", kind="camera", slot=0)


@pytest.fixture(autouse=True)
def _small_parts_and_no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", 1)
    monkeypatch.setattr(upload_plan, "PART_BYTES", PART)
    monkeypatch.setattr(progressive, "PART_BYTES", PART)
    monkeypatch.setattr(tail_plan, "PART_BYTES", PART)
    monkeypatch.setattr(progressive, "TAIL_S", 0.002)
    monkeypatch.setattr(progressive, "POLL_S", 0.001)
    monkeypatch.setattr(progressive, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(progressive, "LONGEST_PAUSE_S", 0.002)
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.0)


class Film:
    """A file as the muxer makes it: it grows behind a head, which is filled in at the end. Always the same bytes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / "seg_1.webm"
        self.made = 0
        """Bytes behind the head."""

    def grow(self, size_bytes: int) -> None:
        with self.path.open("ab") as file:
            if file.tell() == 0:
                file.write(bytes(HEAD))
            file.write(self._body(self.made, self.made + size_bytes))
        self.made += size_bytes

    def make_anew(self) -> None:
        made, self.made = self.made, 0
        self.path.write_bytes(b"")
        self.grow(made)

    def close(self) -> None:
        with self.path.open("r+b") as file:
            file.write(b"%0*d" % (HEAD, self.made))

    @property
    def growing(self) -> GrowingFile:
        return GrowingFile(self.path, KEY, WEBM)

    @property
    def state(self) -> Path:
        return self.path.with_suffix(SUFFIX)

    def remembered(self) -> int:
        """Parts that are noted as sent."""
        state = read_state(self.state)
        return len(state.parts) if state is not None else 0

    @staticmethod
    def _body(begin: int, end: int) -> bytes:
        return b"".join(b"%7d " % (at // 8) for at in range(begin // 8 * 8, end + 8, 8))[begin % 8 :][: end - begin]


class Recorder:
    """What of the recorder process a file meets: following, delivery, and being killed."""

    def __init__(self, store: FailingStore) -> None:
        self.catalog = FakeCatalog()
        self._delivery = Delivery(self.catalog, store)  # type: ignore[arg-type]  # only what is used

    def upload(self, film: Film) -> ProgressiveUpload:
        return self._delivery.upload(lambda: film.growing)

    async def deliver(self, film: Film, upload: ProgressiveUpload | None) -> Segment:
        segment = Segment(segment_id="seg_1", copy="server", state="finishing", codec="vp8", content_type=WEBM)
        await self._delivery.deliver(segment, film.path, TAKE, "ses_1", "rec_1", upload)
        return segment


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FailingStore]:
    made = FailingStore(tmp_path / "objects")
    await made.inner.start()
    yield made
    await made.inner.close()


@pytest.fixture
def film(tmp_path: Path) -> Film:
    return Film(tmp_path / "work")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def stored_as(film: Film, store: FailingStore) -> None:
    """The object is the file, and nothing else is left in the store or beside the file."""
    assert await read(store.inner, KEY) == film.path.read_bytes()
    assert await upload_ids(store.inner, "") == set()
    assert not film.state.exists()


async def test_each_part_goes_once_while_the_file_grows_and_the_head_again_at_its_end(
    store: FailingStore, film: Film
) -> None:
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        for number in range(1, 4):
            film.grow(PART)
            await until(lambda number=number: store.parts_put[number] == 1)  # type: ignore[misc]
            with pytest.raises(ObjectNotFound):
                await store.head(KEY)
        film.grow(10)
        film.close()
        assert recorder.catalog.states == []
        segment = await recorder.deliver(film, upload)
    assert store.parts_put == {1: 2, 2: 1, 3: 1, 4: 1}
    assert store.done["put_file"] == 0
    assert recorder.catalog.states == ["finishing", "stored"]
    assert segment.size_bytes == film.path.stat().st_size
    await stored_as(film, store)


async def test_a_file_shorter_than_a_part_is_put_plainly(store: FailingStore, film: Film) -> None:
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(PART - HEAD - 1)
        film.close()
        await recorder.deliver(film, upload)
    assert store.done - Counter(put=store.done["put"]) == {"put_file": 1, "head": 1}
    await stored_as(film, store)


async def test_a_killed_recorder_goes_on_with_what_the_store_has(store: FailingStore, film: Film) -> None:
    upload = Recorder(store).upload(film)
    async with upload.following():
        film.grow(3 * PART)
        await until(lambda: film.remembered() == 3)
    film.make_anew()
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(2 * PART)
        await until(lambda: store.parts_put[5] == 1)
        film.close()
        await recorder.deliver(film, upload)
    assert store.done["begin_upload"] == 1
    assert store.parts_put == {1: 2, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1}
    await stored_as(film, store)


async def test_parts_that_are_not_those_of_the_new_file_are_sent_again(store: FailingStore, film: Film) -> None:
    film.grow(3 * PART)
    with film.path.open("r+b") as file:  # as a power failure may leave what was not synced
        file.seek(PART + 5)
        file.write(b"torn")
    upload = Recorder(store).upload(film)
    async with upload.following():
        await until(lambda: film.remembered() == 3)
    film.make_anew()
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        await until(lambda: store.parts_put[2] == 2)
        film.close()
        await recorder.deliver(film, upload)
    assert store.parts_put == {1: 2, 2: 2, 3: 1, 4: 1}
    await stored_as(film, store)


async def test_a_file_that_was_written_otherwise_at_its_end_aborts_the_upload_and_is_put_plainly(
    store: FailingStore, film: Film
) -> None:
    """Its index outgrew its space, so everything behind the head moved."""
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(3 * PART)
        await until(lambda: store.parts_put[3] == 1)
        larger = film.path.read_bytes()
        film.path.write_bytes(larger[:HEAD] + b"index" * 20 + larger[HEAD:])
        await recorder.deliver(film, upload)
    assert (store.done["abort_upload"], store.done["put_file"], store.done["complete_upload"]) == (1, 1, 0)
    await stored_as(film, store)


@pytest.mark.parametrize("closed_before", [True, False])
async def test_a_store_that_refuses_for_a_while_has_the_file_when_it_takes_it_again(
    store: FailingStore, film: Film, closed_before: bool
) -> None:
    """403, as S3 answers to a key that was withdrawn, or to a clock that is off by more than 15 minutes."""
    refused = 0
    refuses = False

    def fails(_: str) -> str:
        nonlocal refused
        refused += refuses
        return "refused" if refuses else ""

    store.fails = fails
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(2 * PART)
        await until(lambda: store.parts_put[2] == 1)
        refuses = True
        film.grow(2 * PART)
        await until(lambda: refused >= 5)
        if closed_before:
            film.close()
            delivering = asyncio.create_task(recorder.deliver(film, upload))
            await until(lambda: refused >= 15)
            assert recorder.catalog.states == ["finishing"]
            refuses = False
            await delivering
        else:
            refuses = False
            await until(lambda: store.parts_put[4] == 1)
            film.close()
            await recorder.deliver(film, upload)
    assert recorder.catalog.states == ["finishing", "stored"]
    assert await read(store.inner, KEY) == film.path.read_bytes()
    assert not film.state.exists()
    # an upload that could not be aborted either is an orphan, which goes after a day
    assert await abort_older(store, film.path.parent.parent, 2e12) == closed_before  # type: ignore[arg-type]
    assert await upload_ids(store.inner, "") == set()


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("method", ["begin_upload", "put_part", "complete_upload", "head"])
async def test_what_fails_is_done_again_until_it_succeeds(
    store: FailingStore, film: Film, method: str, how: str
) -> None:
    asked: Counter[str] = Counter()

    def fails(called: str) -> str:
        asked[called] += 1
        return how if called == method and asked[called] <= 3 else ""

    store.fails = fails
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(2 * PART)
        await until(lambda: store.parts_put[2] >= 1)
        film.close()
        await recorder.deliver(film, upload)
    assert recorder.catalog.states == ["finishing", "stored"]
    assert store.done["put_file"] == 0
    assert await read(store.inner, KEY) == film.path.read_bytes()
    left = await upload_ids(store.inner, "")
    assert len(left) == (3 if (method, how) == ("begin_upload", "after") else 0)
    assert not film.state.exists()


async def test_a_store_that_is_away_while_the_file_grows_gets_all_of_it_afterwards(
    store: FailingStore, film: Film
) -> None:
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(2 * PART)
        await until(lambda: store.parts_put[2] == 1)
        asked = 0

        def away(method: str) -> str:
            nonlocal asked
            asked += 1
            return "before"

        store.fails = away
        film.grow(4 * PART)
        film.close()
        delivering = asyncio.create_task(recorder.deliver(film, upload))
        await until(lambda: asked > 5)
        assert recorder.catalog.states == ["finishing"]
        assert film.path.exists()
        store.fails = lambda method: ""
        await delivering
    assert store.parts_put == {1: 2, **dict.fromkeys(range(2, 8), 1)}
    await stored_as(film, store)


async def test_a_store_that_takes_no_parts_gets_the_file_whole(
    store: FailingStore, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(key: str, upload_id: str, parts: object) -> None:
        raise ObjectStoreError("refused", "no multipart here")

    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(2 * PART)
        await until(lambda: store.parts_put[2] == 1)
        monkeypatch.setattr(store, "complete_upload", refuses)
        film.close()
        await recorder.deliver(film, upload)
    assert store.done["put_file"] == 1
    await stored_as(film, store)


async def test_an_upload_that_somebody_aborted_is_begun_anew(store: FailingStore, film: Film) -> None:
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(2 * PART)
        await until(lambda: store.parts_put[2] == 1)
        ((key, upload_id),) = await upload_ids(store.inner, "")
        await store.inner.abort_upload(key, upload_id)
        film.grow(PART)
        await until(lambda: store.done["begin_upload"] == 2 and store.parts_put[3] == 1)
        film.close()
        await recorder.deliver(film, upload)
    assert store.parts_put == {1: 3, 2: 2, 3: 1, 4: 1}
    await stored_as(film, store)


async def test_an_upload_that_was_aborted_before_the_end_is_not_taken_for_a_stored_file(
    store: FailingStore, film: Film
) -> None:
    """Nor is an older object of the same size, though it looks like the one whose answer was lost."""
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(2 * PART)
        await until(lambda: store.parts_put[2] == 1)
        ((key, upload_id),) = await upload_ids(store.inner, "")
        film.close()
        await store.inner.put(KEY, bytes(film.path.stat().st_size), content_type=WEBM)
        await store.inner.abort_upload(key, upload_id)
        await recorder.deliver(film, upload)
    assert store.done["put_file"] == 1
    await stored_as(film, store)


async def test_a_segment_that_failed_leaves_no_upload(store: FailingStore, film: Film) -> None:
    upload = Recorder(store).upload(film)
    async with upload.following():
        film.grow(2 * PART)
        await until(lambda: store.parts_put[2] == 1)
        await upload.abandon()
    assert await upload_ids(store.inner, "") == set()
    assert not film.state.exists()


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"key": 1}', b"\xff\xfe", None])
async def test_a_memory_that_is_damaged_costs_the_parts_and_nothing_else(
    store: FailingStore, film: Film, damaged: bytes | None
) -> None:
    upload = Recorder(store).upload(film)
    async with upload.following():
        film.grow(2 * PART)
        await until(lambda: film.remembered() == 2)
    if damaged is None:
        film.state.unlink()
    else:
        film.state.write_bytes(damaged)
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        await until(lambda: store.parts_put[2] == 2)
        film.close()
        await recorder.deliver(film, upload)
    assert await read(store.inner, KEY) == film.path.read_bytes()
    ((key, _),) = await upload_ids(store.inner, "")
    assert key == KEY
    assert await abort_older(store, film.path.parent.parent, 2e12) == 1  # type: ignore[arg-type]
    assert store.parts_put[2] == 2
    await stored_as(film, store)


async def test_an_old_upload_that_a_recorder_remembers_is_no_orphan(store: FailingStore, film: Film) -> None:
    upload = Recorder(store).upload(film)
    async with upload.following():
        film.grow(PART)
        await until(lambda: film.remembered() == 1)
    orphan = await store.inner.begin_upload(KEY, part_bytes=PART, content_type=WEBM)
    foreign = await store.inner.begin_upload("elsewhere/a", part_bytes=PART, content_type=WEBM)
    state = read_state(film.state)
    assert state is not None
    work = film.path.parent.parent
    assert await abort_older(store, work, 0.0) == 0  # type: ignore[arg-type]
    assert {found for _, found in await upload_ids(store.inner, "")} == {state.upload_id, orphan, foreign}
    assert await abort_older(store, work, 2e12) == 1  # type: ignore[arg-type]
    assert {found for _, found in await upload_ids(store.inner, "")} == {state.upload_id, foreign}


@pytest.mark.parametrize(("age_s", "aborted"), [(60.0, 0), (2 * AGE_S, 1)])
async def test_what_a_fresh_provisional_manifest_of_another_machine_names_is_no_orphan(
    store: FailingStore, film: Film, age_s: float, aborted: int
) -> None:
    upload_id = await store.inner.begin_upload(KEY, part_bytes=PART, content_type=WEBM)
    now_s = 2e12
    there = Manifest(session_id="ses_1", recording_id="rec_1", title="", started_ns=0, stopped_ns=0)
    file = UnfinishedFile(
        segment_id="seg_1",
        take_id="tak_1",
        codec="vp8",
        content_type=WEBM,
        key=KEY,
        start_ns=None,
        upload_id=upload_id,
        part_bytes=PART,
        parts=[],
        tails=[],
    )
    provisional = Provisional(written_s=now_s - age_s, manifest=there, uploads=[file])
    await Delivery(FakeCatalog(), store).put_provisional(provisional)  # type: ignore[arg-type]
    assert await abort_older(store, film.path.parent.parent, now_s - AGE_S) == aborted  # type: ignore[arg-type]
    await store.inner.put(provisional_key("ses_1", "rec_1"), b"{damaged", content_type="application/json")
    assert await abort_older(store, film.path.parent.parent, now_s - AGE_S) == 1 - aborted  # type: ignore[arg-type]
    assert await upload_ids(store.inner, "") == set()


async def joined(store: FailingStore, upload: ProgressiveUpload) -> bytes:
    """What another machine could put together, as the upload itself says."""
    state = upload.state()
    assert state is not None
    data = b""
    if state.upload_id:
        there = {part.number for part in await store.inner.parts(KEY, state.upload_id)}
        assert there >= {part.number for part in state.parts}
        data = bytes(len(state.parts) * PART)
    for tail in state.tails:
        try:
            content = await read(store.inner, tail_key(KEY, tail.offset))
        except ObjectNotFound:
            continue  # deleted meanwhile: a part has it
        assert len(content) == tail.size_bytes
        if tail.offset <= len(data) < tail.end:
            data += content[len(data) - tail.offset :]
    return data


async def test_what_does_not_fill_a_part_is_in_the_store_all_the_same(store: FailingStore, film: Film) -> None:
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        for size in (10, 5, 1, 30, 70, 3, 64, 200, 9):
            film.grow(size)
            size_bytes = film.path.stat().st_size
            async with asyncio.timeout(20):
                while len(data := await joined(store, upload)) < size_bytes:
                    await asyncio.sleep(0.002)
            parts = size_bytes // PART * PART
            assert data[parts:] == film.path.read_bytes()[parts:]
    # killed: the next process makes the file anew, and sends none of it again
    sent = store.done["put"]
    film.make_anew()
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(20)
        size_bytes = film.path.stat().st_size
        async with asyncio.timeout(20):
            while len(data := await joined(store, upload)) < size_bytes:
                await asyncio.sleep(0.002)
        assert store.done["put"] == sent + 1
        assert len(await keys(store, tails_prefix(KEY))) == len(upload.state().tails)  # type: ignore[union-attr]
        film.close()
        await recorder.deliver(film, upload)
    await forget_unfinished(store, "ses_1", "rec_1")  # type: ignore[arg-type]
    assert await keys(store, "") == [KEY]
    await stored_as(film, store)


async def test_tails_of_a_file_that_is_another_one_now_are_replaced(store: FailingStore, film: Film) -> None:
    recorder = Recorder(store)
    upload = recorder.upload(film)
    async with upload.following():
        film.grow(20)
        await until(lambda: store.done["put"] == 1)
    film.path.write_bytes(b"another version of the program makes other bytes")
    upload = recorder.upload(film)
    async with upload.following():
        async with asyncio.timeout(20):
            while await joined(store, upload) != film.path.read_bytes():
                await asyncio.sleep(0.002)


async def keys(store: FailingStore, prefix: str) -> list[str]:
    return sorted([info.key async for info in store.list(prefix)])


async def test_a_store_that_answers_strangely_does_not_end_the_look_for_orphans(
    store: FailingStore, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload without a time of its beginning, say: the recorder ended with it, at each start."""
    monkeypatch.setattr(orphans, "CHECK_S", 0.0)
    looks = 0
    again = asyncio.Event()

    async def strange(*_: object) -> int:
        nonlocal looks
        looks += 1
        if looks == 2:
            again.set()
        raise AttributeError("'NoneType' object has no attribute 'timestamp'")

    monkeypatch.setattr(orphans, "abort_older", strange)
    looking = asyncio.create_task(abort_orphans(store, film.path.parent.parent))  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        await again.wait()
    assert not looking.done()
    looking.cancel()


class Uploading(RuleBasedStateMachine):
    """A file grows while the recorder is killed and the store fails; in the end the object is the file."""

    loop: asyncio.Runner

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = FailingStore(self.folder / "objects")
        self.loop.run(self.store.inner.start())
        self.film = Film(self.folder / "work")
        self.orphans = 0
        self._start()

    @rule(size=st.integers(1, 3 * PART))
    def grow(self, size: int) -> None:
        self.film.grow(size)

    @rule()
    def time_passes(self) -> None:
        self.loop.run(asyncio.sleep(0.01))

    @rule(
        how=st.sampled_from(["before", "after"]),
        methods=st.sets(st.sampled_from(["begin_upload", "put_part", "parts"]), min_size=1),
    )
    def fail(self, how: str, methods: set[str]) -> None:
        self.store.fails = lambda method: how if method in methods else ""

    @rule()
    def recover(self) -> None:
        self.store.fails = lambda method: ""

    @rule(forget=st.booleans())
    def kill(self, forget: bool) -> None:
        self.loop.run(self._leave())
        if forget:
            self.film.state.unlink(missing_ok=True)
        self.film.make_anew()
        self._start()

    @invariant()
    def nothing_can_be_read_yet(self) -> None:
        if hasattr(self, "film"):
            with pytest.raises(ObjectNotFound):
                self.loop.run(self.store.inner.head(KEY))

    def teardown(self) -> None:
        if hasattr(self, "film"):
            self.loop.run(self._end())
            shutil.rmtree(self.folder)

    def _start(self) -> None:
        self.recorder = Recorder(self.store)
        self.upload = self.recorder.upload(self.film)
        self.following = self.upload.following()
        self.loop.run(_enter(self.following.__aenter__))

    async def _leave(self) -> None:
        await self.following.__aexit__(None, None, None)

    async def _end(self) -> None:
        self.film.grow(1)
        self.film.close()
        delivering = asyncio.create_task(self.recorder.deliver(self.film, self.upload))
        await asyncio.sleep(0.005)
        self.store.fails = lambda method: ""
        await delivering
        await self._leave()
        assert self.recorder.catalog.states == ["finishing", "stored"]
        assert await read(self.store.inner, KEY) == self.film.path.read_bytes()
        assert not self.film.state.exists()
        await abort_older(self.store, self.folder, 2e12)  # type: ignore[arg-type]
        assert await upload_ids(self.store.inner, "") == set()
        await self.store.inner.close()


async def _enter(enter: Callable[[], Awaitable[None]]) -> None:
    await enter()


def test_whatever_happens_while_it_grows_the_object_is_the_file() -> None:
    with asyncio.Runner() as loop:
        machine = type("UploadingInOneLoop", (Uploading,), {"loop": loop})
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine, settings=settings(stateful_step_count=12, deadline=None)
        )
