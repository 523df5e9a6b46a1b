"""Prometheus metrics, read from the parts at scrape time: nothing is counted twice and nothing is kept here.

Figures are summed over rooms and participants, so the number of series does not grow with use; per track they are at
/api/v1/rooms/{id}/stats.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sfu.figures import BOUNDS, Reason
from sfu.interfaces import Quality
from signaling.notices import NoticeCode
from signaling.rooms import LiveRoom
from signaling.studio import Studio

SPOOL_GAUGES = frozenset({"bytes_queued", "journals_open", "oldest_unsynced_s"})
"""Of the spool writer's figures, those that go down again; the others are counters."""


class StudioCollector(Collector):
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def describe(self) -> Iterable[Metric]:
        """Registering must not read the parts: they may not be running yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        studio = self._studio
        rooms = list(studio.rooms.live.values())
        yield _gauge("rooms", "Live rooms", len(rooms))
        yield _gauge("participants", "Participants in live rooms", sum(len(room.participants) for room in rooms))
        yield _gauge("participants_connected", "Those with a WebSocket", sum(room.connected for room in rooms))
        yield self._qualities(rooms)
        yield from self._pages(rooms)
        yield _gauge("tracks", "Published tracks", sum(len(room.media.tracks()) for room in rooms))
        yield _gauge("recordings_running", "Running recordings", sum(room.recording is not None for room in rooms))
        yield self._notices(rooms)
        yield _gauge("catalog_facts_waiting", "Facts that the database has not taken yet", len(studio.queue))
        yield _gauge("event_loop_tasks", "Tasks of the node's event loop", len(asyncio.all_tasks()))
        yield from self._media()
        yield _events("media_events", "Events of the media plane since the start", studio.sfu.counters())
        yield _events("control_events", "Events of the control plane since the start", studio.counters)
        yield from self._spool()
        yield from self._recorder()

    def _qualities(self, rooms: list[LiveRoom]) -> Metric:
        known = [p.quality for room in rooms for p in room.participants.values() if p.quality is not None]
        return _counts("connections", "Participants by the quality of their connection", "quality", known, Quality)

    def _notices(self, rooms: list[LiveRoom]) -> Metric:
        codes = [notice.code for room in rooms if room.recording for notice in room.recording.notices.open]
        return _counts("notices", "Open notices to hosts, by what is wrong", "code", codes, NoticeCode)

    def _pages(self, rooms: list[LiveRoom]) -> Iterator[Metric]:
        """What pages said last."""
        pages = [p.page.newest for room in rooms for p in room.participants.values() if p.page.newest is not None]
        yield _counts(
            "pictures_sent",
            "Pictures that pages send, by what holds their encoder back",
            "limited_by",
            [sent.limited_by for page in pages for sent in page.sent if sent.height],
            ("none", "cpu", "bandwidth", "other"),
        )
        paths = Counter(
            (path.candidate, path.protocol) for page in pages for path in (page.publish, page.subscribe) if path
        )
        family = GaugeMetricFamily(
            "stemroom_paths", "Connections by the way that they take", labels=["candidate", "protocol"]
        )
        for (candidate, protocol), count in sorted(paths.items()):
            family.add_metric([candidate, protocol], count)
        yield family

    def _media(self) -> Iterator[Metric]:
        received = sent = 0.0
        reasons: list[str] = []
        bounds: list[str] = []
        for room_id in self._studio.rooms.live:
            figures = self._studio.sfu.figures(room_id)
            for participant in figures.participants if figures else ():
                for track in participant.tracks:
                    received += sum(encoding.bitrate_bps for encoding in track.encodings)
                sent += sum(subscription.bitrate_bps for subscription in participant.subscriptions)
                reasons += [subscription.reason for subscription in participant.subscriptions]
                if (estimate := participant.subscribe.estimate) is not None:
                    bounds.append(estimate.bound)
        yield _gauge("received_bps", "Media received from participants", received)
        yield _gauge("sent_bps", "Media sent to participants", sent)
        yield _counts("subscriptions", "Subscriptions by why no more is sent", "reason", reasons, Reason)
        yield _counts("estimates", "Viewers by what bounds the estimate of their network", "bound", bounds, BOUNDS)

    def _spool(self) -> Iterator[Metric]:
        for name, value in self._studio.spool_writer.counters().items():
            help = f"Journals: {name.replace('_', ' ')}"
            if name in SPOOL_GAUGES:
                yield _gauge(f"spool_{name}", help, value)
            else:
                yield CounterMetricFamily(f"stemroom_spool_{name}", help, value=value)
        space = self._studio.space.report
        yield _gauge("spool_free_bytes", "Free on the disk of journals, beyond what ends recordings", space.free_bytes)
        yield _gauge("spool_used_bytes", "Taken by journals and by files that are being made", space.used_bytes)
        yield _gauge("spool_alarm", "1 while recordings are at risk", int(bool(self._studio.recording_alarms)))

    def _recorder(self) -> Iterator[Metric]:
        studio = self._studio
        said = studio.recorder.health
        away = bool(studio.recorder_alarm())
        yield _gauge("recorder_alarm", "1 while the recorder process hangs or is gone", int(away))
        yield _gauge("recorder_lag_seconds", "Age of the oldest packet that is in no file yet", said.lag_s)
        yield _gauge("recorder_tracks", "Journals that the recorder follows", said.tracks)
        yield _gauge("recorder_tracks_stuck", "Journals on which the recorder hung", said.tracks_stuck)
        yield _gauge(
            "upload_backlog_bytes", "Finished files that the store has not confirmed", said.upload_backlog_bytes
        )
        yield CounterMetricFamily(
            "stemroom_upload_errors", "Attempts to store files that failed", value=said.upload_errors
        )
        yield CounterMetricFamily(
            "stemroom_recorder_lines_refused", "Lines of the recorder that were none", value=studio.recorder.refused
        )


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(f"stemroom_{name}", help, value=value)


def _counts(name: str, help: str, label: str, found: Iterable[str], values: Iterable[str]) -> Metric:
    """How often each of `values` was found."""
    counts = Counter(found)
    family = GaugeMetricFamily(f"stemroom_{name}", help, labels=[label])
    for value in values:
        family.add_metric([value], counts[value])
    return family


def _events(name: str, help: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"stemroom_{name}", help, labels=["event"])
    for event, count in sorted(counts.items()):
        family.add_metric([event], count)
    return family
