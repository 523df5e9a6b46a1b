"""A published track: its encodings, who takes it, and its tap."""

import structlog

from sfu.encoding import Encoding
from sfu.inbound import Source
from sfu.interfaces import RecordingSink, TrackInfo, TrackKind
from sfu.sdp import Codec
from sfu.subscription import Subscription

log = structlog.get_logger()


class Track:
    def __init__(self, track_id: str, participant_id: str, kind: TrackKind, codec: Codec) -> None:
        self.track_id = track_id
        self.participant_id = participant_id
        self.kind = kind
        self.codec = codec
        self.muted = False
        self.source: Source | None = None
        self.subscriptions: list[Subscription] = []
        self._current: Encoding | None = None

    @property
    def info(self) -> TrackInfo:
        return TrackInfo(self.track_id, self.participant_id, self.kind, self.codec.name, self.muted)

    def encodings(self) -> list[Encoding]:
        return self.source.encodings if self.source is not None else []

    def heard(self, encoding: Encoding) -> None:
        """A new stream of this track: viewers move to it from its first key frame on."""
        for subscription in self.subscriptions:
            if self._current is not None:
                self._current.unsubscribe(subscription)
            encoding.subscribe(subscription)
        self._current = encoding

    def subscribe(self, subscription: Subscription) -> None:
        self.subscriptions.append(subscription)
        if self._current is not None:
            self._current.subscribe(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)
        if self._current is not None:
            self._current.unsubscribe(subscription)

    def record(self, encoding: Encoding, sink: RecordingSink, now: float) -> None:
        """Open a tap for one encoding, and ask for a key frame: a file begins with one."""
        try:
            tap = sink.open(self.info, encoding.info, now)
        except Exception:  # a fault of the recorder must not touch the call
            log.exception("tap_not_opened", track_id=self.track_id)
            return
        if tap is not None:
            encoding.record(tap, now)
            encoding.want_key_frame()

    def stop_taps(self, now: float) -> None:
        """The recording is over."""
        for encoding in self.encodings():
            encoding.stop_tap(now)

    def end_taps(self, now: float) -> None:
        """The track is over: nothing will come."""
        for encoding in self.encodings():
            encoding.end_tap(now)
