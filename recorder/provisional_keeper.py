"""Keeps the provisional manifest of one recording in the store, while there are files that are not stored."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from msgspec import structs

from recorder.delivery import Delivery
from recorder.manifest import Manifest
from recorder.progressive import ProgressiveUpload
from recorder.provisional import Provisional, UnfinishedFile
from recorder.track_file import container_of
from recorder.track_task import TrackTask
from storage.objects import ObjectStoreError

log = structlog.get_logger()

LOOKED_EVERY_S = 1.0
"""Until there is something to say."""
WRITTEN_EVERY_S = 10.0
"""At most so often, when something changed."""
WRITTEN_AGAIN_S = 3600.0
"""At least so often: uploads that one older than a day names are given up (`recorder.orphans`)."""


class ProvisionalKeeper:
    def __init__(self, delivery: Delivery, manifest: Callable[[], Manifest | None]) -> None:
        """`manifest`: of what is stored, as if the recording ended now; None: it is not known yet what it is."""
        self._delivery = delivery
        self._manifest = manifest
        self._uploads: dict[str, tuple[TrackTask, ProgressiveUpload]] = {}
        """By journal name."""
        self._lock = asyncio.Lock()
        """Held by who writes or deletes it: one that is late must not come back."""

    @asynccontextmanager
    async def unfinished(self, name: str, task: TrackTask, upload: ProgressiveUpload) -> AsyncIterator[None]:
        """In this block another machine would have to finish the file. `name`: of its journal."""
        self._uploads[name] = (task, upload)
        try:
            yield
        finally:
            del self._uploads[name]

    async def run(self) -> None:
        """Until cancelled. A store that is away gets it later."""
        written: tuple[Manifest, list[UnfinishedFile]] | None = None
        written_s = 0.0
        while True:
            async with self._lock:
                now = self._now()
                if now is not None and (now != written or time.time() - written_s > WRITTEN_AGAIN_S):
                    provisional = Provisional(written_s=time.time(), manifest=now[0], uploads=now[1])
                    try:
                        await self._delivery.put_provisional(provisional)
                        written, written_s = now, provisional.written_s
                    except ObjectStoreError as error:
                        log.warning("provisional_manifest_failed", reason=error.detail, retry_s=WRITTEN_EVERY_S)
            await asyncio.sleep(LOOKED_EVERY_S if now is None else WRITTEN_EVERY_S)

    async def forget(self, manifest: Manifest) -> None:
        """The recording is finished: delete it, and the tails."""
        async with self._lock:
            await self._delivery.forget_unfinished(manifest.session_id, manifest.recording_id)

    def _now(self) -> tuple[Manifest, list[UnfinishedFile]] | None:
        """None: there is nothing to say."""
        manifest, files = self._manifest(), []
        for _, (task, upload) in sorted(self._uploads.items()):
            state = upload.state()
            if state is not None and task.header is not None:
                track = task.header
                content_type = container_of(track.stream.codec)[2]
                files.append(
                    UnfinishedFile(
                        segment_id=track.segment_id,
                        take_id=track.take_id,
                        codec=track.stream.codec,
                        content_type=content_type,
                        start_ns=task.start_ns,
                        **structs.asdict(state),
                    )
                )
        if manifest is None or not files:
            return None
        return structs.replace(manifest, speakers=[], speakers_omitted=len(manifest.speakers)), files
