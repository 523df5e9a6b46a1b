"""The file of a segment goes to the object store in parts while it grows; a thin shell of `recorder.upload_plan`.

What the store has is remembered beside the file (`<segment>.upload.json`) after each part, so that another process
goes on with the same upload: the file is made anew, each of its parts compared with what was sent, and sent if it
differs. Losing that memory costs the upload, which is aborted as an orphan one day, and never the object: that is made
of the closed file alone, part by part or whole.

What does not fill a part yet goes as tails (`recorder.tail_plan`), for another machine to finish the file if this one
is lost. The object does not need them; they are deleted when the recording is finished.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from recorder.tail_plan import Tail, TailPlan, tail_key
from recorder.upload_plan import PART_BYTES, SentPart, UploadPlan
from storage.files import publish
from storage.objects import ObjectNotFound, ObjectStore, ObjectStoreError, UploadNotFound

log = structlog.get_logger()

SUFFIX = ".upload.json"
POLL_S = 1.0
"""How often a growing file is looked at; at 8 Mbit/s a part is full every 8 s."""
TAIL_S = 8.0
"""How often a tail goes: with the looking and the sending no more than 10 s of a file are on this machine alone."""
TAIL_TYPE = "application/octet-stream"
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
"""Half of the 30 s within which work goes on after a store came back."""


class GrowingFile(NamedTuple):
    path: Path
    key: str
    content_type: str


class UploadState(msgspec.Struct, frozen=True):
    """What is remembered of an upload that is not over."""

    key: str
    upload_id: str
    """Empty: there are tails only."""
    part_bytes: int
    parts: list[SentPart]
    tails: list[Tail] = []


class ProgressiveUpload:
    """Of one file. `follow` while it grows, then `complete` as often as it fails, or `abandon`."""

    def __init__(self, store: ObjectStore, slots: asyncio.Semaphore, find: Callable[[], GrowingFile | None]) -> None:
        """`slots`: for each part in memory, of all uploads together; `find`: the file, once it is known."""
        self._store = store
        self._slots = slots
        self._find = find
        self._plan = UploadPlan()
        self._tails = TailPlan()
        self._tail_at_s = 0.0
        """Monotonic time of the next one."""
        self._upload_id = ""
        """Empty: none was begun."""
        self._recalled = False
        self._closing = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    def state(self) -> UploadState | None:
        """What the store has; None: it is not known yet whose file it is."""
        file = self._find()
        return self._state_of(file) if file is not None else None

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Send what grows from here on; at the end of the block nothing goes on."""
        self._follower = asyncio.create_task(self._follow(), name="follow file")
        try:
            yield
        finally:
            self._follower.cancel()
            await asyncio.wait((self._follower,))
            if not self._follower.cancelled() and (error := self._follower.exception()) is not None:
                log.error("following_failed", exc_info=error)  # the file is whole without it

    async def complete(self) -> bool:
        """Make the object of the closed file. False: there is no upload to make it of, put the file whole.

        Raises ObjectStoreError and OSError: what was sent until then stays sent.
        """
        await self._stop_following()
        file = self._find()
        if file is None:
            return False
        try:
            await self._recall(file)
            if not self._upload_id:
                await self._forget(file)
                return False
            digests = await asyncio.to_thread(_part_digests, file.path)
            missing = self._plan.missing(digests)
            if missing is None:
                log.warning("upload_of_another_file", object_key=file.key, parts=len(digests))
                await self._give_up(file)
                return False
            for number in missing:
                async with self._slots:
                    await self._put(file, number, await asyncio.to_thread(_read_part, file.path, number))
            parts = [part.info() for part in self._plan.sent]
            await self._store.complete_upload(file.key, self._upload_id, parts)
        except UploadNotFound:
            await self._forget(file)
            return await self._is_there(file)
        except ObjectStoreError as error:
            if error.id != "refused":
                raise
            log.warning("upload_refused", object_key=file.key, reason=error.detail)
            await self._give_up(file)
            return False
        await self._forget(file)
        return True

    async def abandon(self) -> None:
        """There will be no object."""
        await self._stop_following()
        if (file := self._find()) is not None:
            await self._give_up(file)

    async def _stop_following(self) -> None:
        """A part that is on its way arrives first: it must not replace the one that is sent next."""
        self._closing.set()
        if self._follower is not None:
            await asyncio.wait((self._follower,))

    async def _follow(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._closing.is_set():
            file = self._find()
            try:
                if file is not None:
                    if await self._send_next(file):
                        pause_s = FIRST_PAUSE_S
                        continue
                    await self._send_tail(file)
                    pause_s = FIRST_PAUSE_S
                await self._pause(POLL_S)
            except UploadNotFound:
                assert file is not None
                log.warning("upload_gone", object_key=file.key)
                await self._forget(file)
            except (ObjectStoreError, OSError) as error:
                key = file.key if file is not None else ""
                log.warning("part_upload_failed", object_key=key, reason=str(error)[:500], retry_s=pause_s)
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass

    async def _send_next(self, file: GrowingFile) -> bool:
        """Compare or send one part; False: the file has no further one yet."""
        await self._recall(file)
        number = self._plan.next_part(await asyncio.to_thread(_size, file.path))
        if number is None:
            return False
        async with self._slots:
            data = await asyncio.to_thread(_read_part, file.path, number)
            if len(data) < PART_BYTES:
                return False  # the file is being made anew
            digest = await asyncio.to_thread(_sha256, data)
            if not self._plan.compare(number, digest):
                await self._put(file, number, data)
        return True

    async def _send_tail(self, file: GrowingFile) -> None:
        """When it is time. Only after all parts: those have more."""
        now_s = time.monotonic()
        if now_s < self._tail_at_s:
            return
        for needless in self._tails.needless(self._plan.stored_bytes):
            await self._drop_tail(file, needless)
        flushed_bytes = await asyncio.to_thread(_size, file.path)
        while (remembered := self._tails.to_compare(flushed_bytes)) is not None:
            there = await asyncio.to_thread(_read, file.path, remembered.offset, remembered.size_bytes)
            if await asyncio.to_thread(_sha256, there) == remembered.sha256:
                self._tails.compared(remembered)
            else:
                await self._drop_tail(file, remembered)
        span = self._tails.next_range(self._plan.stored_bytes, flushed_bytes)
        if span is None:
            return
        async with self._slots:
            data = await asyncio.to_thread(_read, file.path, span.start, len(span))
            if len(data) < len(span):
                return  # the file is being made anew
            await self._store.put(tail_key(file.key, span.start), data, content_type=TAIL_TYPE)
        self._tail_at_s = max(self._tail_at_s + TAIL_S, now_s + TAIL_S - POLL_S)
        self._tails.take(Tail(span.start, len(data), await asyncio.to_thread(_sha256, data)))
        await self._remember(file)
        log.debug("tail_sent", object_key=file.key, offset=span.start, size_bytes=len(data))

    async def _drop_tail(self, file: GrowingFile, tail: Tail) -> None:
        await self._store.delete(tail_key(file.key, tail.offset))
        self._tails.drop(tail)

    async def _put(self, file: GrowingFile, number: int, data: bytes) -> None:
        if not self._upload_id:
            self._upload_id = await self._store.begin_upload(
                file.key, part_bytes=PART_BYTES, content_type=file.content_type
            )
            await self._remember(file)
            log.info("upload_begun", object_key=file.key)
        info = await self._store.put_part(file.key, self._upload_id, number, data)
        digest = await asyncio.to_thread(_sha256, data)
        self._plan.take(SentPart(number, info.size_bytes, info.etag, digest))
        await self._remember(file)
        log.debug("part_sent", object_key=file.key, number=number)

    async def _recall(self, file: GrowingFile) -> None:
        """Once: what an earlier process sent."""
        if self._recalled:
            return
        state = await asyncio.to_thread(read_state, _state_path(file))
        if state is not None and (state.key, state.part_bytes) == (file.key, PART_BYTES):
            self._tails = TailPlan(state.tails)
            if state.upload_id:
                stored = await self._store.parts(file.key, state.upload_id)
                self._upload_id, self._plan = state.upload_id, UploadPlan(state.parts, stored)
            log.info("upload_resumed", object_key=file.key, parts=len(self._plan.sent), tails=len(state.tails))
        self._recalled = True

    async def _remember(self, file: GrowingFile) -> None:
        await asyncio.to_thread(_write, _state_path(file), msgspec.json.encode(self._state_of(file)))

    def _state_of(self, file: GrowingFile) -> UploadState:
        return UploadState(file.key, self._upload_id, PART_BYTES, self._plan.sent, self._tails.sent)

    async def _forget(self, file: GrowingFile) -> None:
        """It is over. What the disk keeps of it names an upload that is no more, which does no harm."""
        self._upload_id, self._plan, self._recalled = "", UploadPlan(), True
        try:
            await asyncio.to_thread(_state_path(file).unlink, missing_ok=True)
        except OSError as error:
            log.warning("upload_state_not_deleted", object_key=file.key, reason=str(error))

    async def _give_up(self, file: GrowingFile) -> None:
        """One attempt to abort it: without the memory it is an orphan, which somebody else aborts."""
        upload_id = self._upload_id
        await self._forget(file)
        if upload_id:
            try:
                await self._store.abort_upload(file.key, upload_id)
            except ObjectStoreError as error:
                log.warning("upload_not_aborted", object_key=file.key, reason=error.detail)

    async def _is_there(self, file: GrowingFile) -> bool:
        """The answer of a completion may have been lost; what is there is read back by the caller anyway."""
        try:
            there = (await self._store.head(file.key)).size_bytes
        except ObjectNotFound:
            return False
        return there == await asyncio.to_thread(_size, file.path)


def read_state(path: Path) -> UploadState | None:
    """None: nothing is remembered, or a power failure damaged it. Blocking."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=UploadState)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        log.warning("upload_state_unreadable", name=path.name, reason=str(error))
        return None


def _state_path(file: GrowingFile) -> Path:
    return file.path.with_suffix(SUFFIX)


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.write_bytes(data)
    publish(draft, path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read_part(path: Path, number: int) -> bytes:
    return _read(path, (number - 1) * PART_BYTES, PART_BYTES)


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _part_digests(path: Path) -> list[str]:
    with path.open("rb") as file:
        return [_sha256(data) for data in iter(lambda: file.read(PART_BYTES), b"")]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
