"""One segment's file without what is off the record, from the whole file in the store; what it replaces is deleted.

It may be begun anew at any time: the same ranges give the same file under the same name.
"""

from concurrent.futures import Executor
from pathlib import Path

import av
import structlog
from msgspec.structs import replace

from recorder.delivery import Delivery, file_sha256
from recorder.events import OffRecordMarked
from recorder.manifest import Redacted, Segment, file_key
from recorder.off_record import redacted_name, redacted_prefix
from recorder.redaction import redact
from recorder.track_task import in_thread
from storage.objects import ObjectNotFound

log = structlog.get_logger()


class RedactTask:
    """Of one segment of one recording that is stored."""

    def __init__(self, segment: Segment, folder: Path, delivery: Delivery, threads: Executor) -> None:
        self._segment = segment
        self._folder = folder
        self._delivery = delivery
        self._threads = threads

    async def run(
        self, ranges: list[OffRecordMarked], before: Redacted | None, session_id: str, recording_id: str
    ) -> Redacted:
        """Returns what was made of it without `ranges`, stored and verified, its row written.

        `before`: what it is made from when the whole file is gone for good.
        """
        segment = self._segment
        ids = sorted({one.off_record_id for one in ranges}.union(before.off_record if before is not None else ()))
        name = redacted_name(segment.segment_id, ids, segment.file_name.rpartition(".")[2])
        key = file_key(session_id, recording_id, segment.copy, name)
        target = self._folder / name
        try:
            redacted = await self._make(
                ranges,
                before,
                Redacted(
                    object_key=key,
                    file_name=name,
                    size_bytes=0,
                    sha256="",
                    off_record=ids,
                    whole_gone=before is not None,
                ),
                target,
            )
            await self._delivery.deliver_redacted(segment, target, redacted)
        finally:
            target.unlink(missing_ok=True)
        return redacted

    async def put_back(self, session_id: str, recording_id: str) -> None:
        """Nothing in it is off the record any more."""
        await self._delivery.forget_redaction(self._segment.segment_id)
        await self.forget_others(session_id, recording_id, "")
        log.info("segment_put_back", recording_id=recording_id, segment_id=self._segment.segment_id)

    async def forget_others(self, session_id: str, recording_id: str, but: str) -> None:
        """Delete its other files without ranges: they may hold what is off the record since."""
        prefix = file_key(session_id, recording_id, self._segment.copy, redacted_prefix(self._segment.segment_id))
        await self._delivery.forget_all(prefix, but)

    async def _make(
        self, ranges: list[OffRecordMarked], before: Redacted | None, made: Redacted, target: Path
    ) -> Redacted:
        """`made` with what there is to be said of it."""
        segment = self._segment
        source = before or segment
        whole = self._folder / f"{segment.segment_id}.whole"
        nothing = replace(made, object_key="", file_name="")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole.unlink(missing_ok=True)
        if before is not None and not before.object_key:
            return nothing  # was left before
        try:
            await self._delivery.fetch(source.object_key, source.size_bytes, source.sha256, whole)
            format_name = "webm" if segment.file_name.endswith(".webm") else "matroska"
            left_out = await in_thread(self._threads, redact, whole, target, format_name, ranges, segment)
        except ObjectNotFound:
            return replace(nothing, problem="the whole file is gone from the object store")
        except OSError:  # PyAV's errors of the disk are FFmpegError too
            raise
        except av.FFmpegError as error:
            return replace(nothing, problem=f"the file cannot be read: {error}"[:500])
        except ValueError:
            return nothing
        finally:
            whole.unlink(missing_ok=True)
        size_bytes, sha256 = await in_thread(self._threads, file_sha256, target)
        left_out += before.left_out if before is not None else []
        left_out = sorted(set(left_out), key=lambda one: (one.from_ns, one.to_ns))
        return replace(made, size_bytes=size_bytes, sha256=sha256, left_out=left_out)
