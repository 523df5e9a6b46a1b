"""Everything the control plane works with, wired once by the composition root.

Guarantees: `start` leaves no recording of a dead node behind; `close` ends rooms (and with them recordings), then
writes what the catalog has not yet, then closes the journals. It starts and closes nothing that it was handed.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sfu.settings import MediaSettings
from signaling.captures import CaptureDesk
from signaling.catalog_queue import CatalogQueue
from signaling.clock import Clock
from signaling.live import LiveRooms
from signaling.live_api import LiveDesk
from signaling.media import MediaServer
from signaling.off_record import OffRecordDesk
from signaling.origins import Origins
from signaling.recorder_watch import RecorderWatch
from signaling.recording_log import Spool
from signaling.recordings import RecordingDesk
from signaling.settings import HttpSettings, OperatorsSettings, SessionSettings, TurnSettings
from signaling.space_desk import SpaceDesk
from signaling.watchdog import Watchdog
from storage.catalog import Catalog
from storage.objects import ObjectStore
from storage.settings import ObjectStoreSettings

WEB_FOLDER = Path(__file__).resolve().parents[1] / "web"


@dataclass(frozen=True, kw_only=True)
class StudioSettings:
    http: HttpSettings = HttpSettings()
    operators: OperatorsSettings = OperatorsSettings()
    session: SessionSettings = SessionSettings()
    media: MediaSettings = MediaSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    turn: TurnSettings = TurnSettings()


@dataclass(kw_only=True)
class Studio:
    catalog: Catalog
    store: ObjectStore
    sfu: MediaServer
    spool_writer: Spool
    live: LiveDesk
    """Of the files that the recorder makes from that spool."""
    settings: StudioSettings
    clock: Clock
    recorder_alarm: Callable[[], str] = lambda: ""
    """That the recorder process is gone or does not answer; empty: neither."""
    recorder: RecorderWatch = field(default_factory=RecorderWatch)
    """What it says itself."""
    web_folder: Path = WEB_FOLDER
    counters: Counter[str] = field(default_factory=Counter)
    """Events of the control plane since the start, by name; names are ours, so their number is bounded."""

    def __post_init__(self) -> None:
        self.origins = Origins(self.settings.http)
        self.queue = CatalogQueue(self.counters)
        self.recordings = RecordingDesk(self.catalog, self.queue, self.spool_writer, self.clock, self.counters)
        self.rooms = LiveRooms(
            self.sfu,
            self.catalog,
            self.queue,
            self.recordings,
            self.settings.session,
            self.clock,
            self.counters,
        )
        self.space = SpaceDesk(self.rooms, self.counters)
        self.watchdog = Watchdog(self.rooms, self.recorder, lambda: self.recorder_alarm(), self.space)
        self.captures = CaptureDesk(self.catalog, self.store, self.recordings, self.counters)
        self.off_record = OffRecordDesk(self.catalog, self.recordings, self.clock, self.counters)

    @property
    def recording_alarms(self) -> list[str]:
        """Why recordings are at risk now, for people."""
        return [alarm for alarm in (self.spool_writer.alarm, self.space.alarm) if alarm]

    async def start(self) -> None:
        self.queue.start()
        await self.recordings.recover()
        self.watchdog.start()

    def close_rooms(self) -> None:
        """Let nobody in any more and say goodbye to everybody; connections end on their own."""
        self.rooms.close()

    async def close(self) -> None:
        self.close_rooms()
        await self.watchdog.close()
        await self.queue.close()
        self.recordings.close()
