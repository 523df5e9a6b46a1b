"""A published track: its encodings, who takes which of them, and its tap."""

from collections.abc import Sequence

import structlog

from sfu.encoding import Encoding
from sfu.inbound import Source
from sfu.interfaces import RecordingSink, TrackInfo, TrackKind
from sfu.layer_recording import LayerRecording
from sfu.options import Choice, Choices
from sfu.sdp import Codec
from sfu.subscription import Subscription

log = structlog.get_logger()

SILENT_S = 0.5
"""A layer of which nothing came for so long, while others of the same track did, is not sent at present: a frame or two
at the lowest rates that browsers choose."""

PROOF_S = 2.0
"""What returns is taken after so long: a sender at the edge of its bandwidth switches a layer on and off."""

SETTLE_S = 0.3
"""Browsers send the smallest layer first and the others with their next frames: a recording that would begin with it
waits for them so long: players open a file at the size of its first picture."""


class Track:
    def __init__(
        self, track_id: str, participant_id: str, kind: TrackKind, codec: Codec, max_viewer_lines: int = 0
    ) -> None:
        """`max_viewer_lines`: the largest picture of several layers that viewers get, 0: no limit."""
        self.track_id = track_id
        self.participant_id = participant_id
        self.kind = kind
        self.codec = codec
        self.muted = False
        self.gated = False
        """A microphone that is not among the loudest of its room (sfu.sound): viewers are not sent it at present."""
        self._max_viewer_lines = max_viewer_lines
        self.source: Source | None = None
        self.subscriptions: list[Subscription] = []
        self._layers: dict[str, Encoding] = {}
        """The present stream of each rid; one without a name where there is no simulcast."""
        self._silent: dict[Encoding, float] = {}
        """When a layer that had been sent was last found not to be. As many as layers."""
        self.flowing: list[Encoding] = []
        """The layers that were being sent when that was looked at last, the smallest picture first."""
        self.for_viewers: list[Encoding] = []
        """Of these the ones that viewers may get."""
        self._choices = Choices()
        self._begun: float | None = None
        """When its first packets came."""
        self._recording: LayerRecording | None = None
        """While a track in several layers is recorded."""

    @property
    def is_red(self) -> bool:
        """Published as RED (RFC 2198)."""
        return self.source is not None and self.source.chosen.red_payload_type != 0

    @property
    def info(self) -> TrackInfo:
        return TrackInfo(self.track_id, self.participant_id, self.kind, self.codec.name, self.muted)

    def mute(self, muted: bool, now: float) -> None:
        """The participant muted it, or ended that."""
        if muted is not self.muted:
            self.muted = muted
            if self._recording is not None:
                self._recording.muted(now, muted)
            else:
                for encoding in self.encodings():
                    encoding.tell_muted(now, muted)

    def encodings(self) -> list[Encoding]:
        return self.source.encodings if self.source is not None else []

    def layers(self) -> list[Encoding]:
        """From the smallest to the largest picture; until a key frame of each has come, as the offer names them:
        browsers begin with the smallest."""
        rids = self.source.chosen.rids if self.source is not None else ()
        offered = sorted(self._layers.items(), key=lambda item: rids.index(item[0]) if item[0] in rids else 0)
        layers = [layer for _, layer in offered]
        if all(layer.size for layer in layers):
            layers.sort(key=lambda layer: layer.size[1] if layer.size else 0)
        return layers

    def heard(self, encoding: Encoding) -> None:
        """A new stream of this track: viewers of the layer move to it from its first key frame on."""
        before = self._layers.get(encoding.info.rid)
        if before is not None:
            self._silent.pop(before, None)
        self._layers[encoding.info.rid] = encoding
        for subscription in self.subscriptions:
            if before is not None and subscription.wants is before:
                self._want(subscription, None)
        self.choose_layers()

    def show(self, subscription: Subscription, height: int) -> None:
        """A viewer shows this track in so many lines (0: not at all)."""
        subscription.wanted_height = height
        self._choose_layer(subscription)

    def limit(self, subscription: Subscription, max_temporal: int) -> None:
        """Send a viewer the temporal layers up to this one, 0..TOP (sfu.codecs.temporal; TOP: all, as from the
        beginning).

        Holds for every layer that it takes from now on. Fewer come from the next frame on; more from one that its
        sender lets viewers up with, for which no key frame is asked, but none of a layer that ends as soon as another
        one has its key frame. Without temporal layers nothing changes. What is recorded is not limited. Cheap where
        nothing changes.
        """
        if max_temporal != subscription.max_temporal:
            more = max_temporal > subscription.max_temporal
            subscription.max_temporal = max_temporal
            present = subscription.encoding
            if present is not None and (present is subscription.wants or not more):
                present.limit(subscription)

    def subscribe(self, subscription: Subscription) -> None:
        self.subscriptions.append(subscription)
        self._choose_layer(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)
        self._want(subscription, None)

    def gate(self, gated: bool) -> None:
        """Stop sending this track to viewers, or go on with its next packet."""
        if gated != self.gated:
            self.gated = gated
            self.choose_layers()

    def take_level(self) -> int | None:
        """The level of the loudest packet since the last call (sfu.encoding); None: none said one."""
        levels = [level for encoding in self.encodings() if (level := encoding.take_level()) is not None]
        return min(levels, default=None)

    def measure(self, now: float) -> None:
        """A few times a second: how much flows, and in which layers."""
        for encoding in self.encodings():
            encoding.measure(now)
        if len(self.encodings()) > 1:
            self.choose_layers()
        else:
            self._choices.forget()

    def layers_for(self, subscription: Subscription) -> list[Encoding]:
        """The layers that flow and that the viewer has room for, from the smallest picture to the largest."""
        flowing = self.for_viewers
        largest = choose(flowing, subscription.wanted_height)
        return flowing[: flowing.index(largest) + 1] if largest is not None else []

    def choice(self, subscription: Subscription) -> Choice | None:
        """What the viewer can be sent; None: nothing flows, or it shows nothing."""
        layers = self.layers_for(subscription)
        return self._choices.of(layers, subscription.wants, subscription.max_temporal) if layers else None

    def grant(self, subscription: Subscription, layer: Encoding | None, *, at_once: bool) -> None:
        """Send the viewer no more than this layer; None: nothing. What it takes too much of goes on until a smaller
        layer has a key frame, or ends now (`at_once`). Cheap where nothing changes."""
        if not at_once and subscription.granted is layer and subscription.paused is (layer is None):
            return
        subscription.granted, subscription.paused = layer, layer is None
        present = subscription.encoding
        if at_once and layer is not None and present is not None and present is not layer:
            present.unsubscribe(subscription)
        self._choose_layer(subscription)

    def choose_layers(self) -> None:
        """What flows, or what viewers want, may have changed; called a few times a second."""
        self.flowing = flowing = self._find_flowing()
        most = self._max_viewer_lines
        self.for_viewers = [layer for layer in flowing if not most or (layer.size or (0, 0))[1] <= most] or flowing[:1]
        self._choices.forget()
        for subscription in self.subscriptions:
            self._choose_layer(subscription)
        if self._recording is not None:
            self._recording.follow(self._best(flowing))

    def _best(self, flowing: Sequence[Encoding]) -> Encoding | None:
        """The layer to record; None: the others may come any moment."""
        newest = max((layer.last_arrival for layer in flowing), default=0.0)
        if self._begun is None and newest:
            self._begun = newest
        offered = len(self.source.chosen.rids) if self.source is not None else 0
        if len(self._layers) < offered and (self._begun is None or newest - self._begun < SETTLE_S):
            return None
        return choose(flowing, None)

    def _find_flowing(self) -> list[Encoding]:
        """The layers that are being sent, also one that is heard just now. One that was not for a while has to prove
        itself: moving viewers to it costs its sender a key frame."""
        layers = self.layers()
        newest = max((layer.last_arrival for layer in layers), default=0.0)
        for layer in layers:
            if newest - layer.last_arrival > SILENT_S and layer.packets:
                self._silent[layer] = newest
        sent = [layer for layer in layers if newest - layer.last_arrival <= SILENT_S or not layer.packets]
        return [layer for layer in sent if newest - self._silent.get(layer, -PROOF_S) >= PROOF_S] or sent

    def _choose_layer(self, subscription: Subscription) -> None:
        self._want(subscription, self._fitting(self.for_viewers, subscription))

    def _fitting(self, layers: Sequence[Encoding], subscription: Subscription) -> Encoding | None:
        """What fits both the place where it is shown and the viewer's network."""
        if self.gated or subscription.paused:
            return None
        wanted, granted = choose(layers, subscription.wanted_height), subscription.granted
        if wanted is not None and granted in layers and layers.index(granted) < layers.index(wanted):
            return granted
        return wanted

    def _want(self, subscription: Subscription, encoding: Encoding | None) -> None:
        """The present source goes on until the wanted one has a key frame; wanting nothing ends it at once."""
        wanted, subscription.wants = subscription.wants, encoding
        if wanted is encoding:
            return
        if wanted is not None and wanted is not subscription.encoding:
            wanted.unsubscribe(subscription)  # it waited there
        if encoding is None:
            if subscription.encoding is not None:
                subscription.encoding.unsubscribe(subscription)
        elif encoding is not subscription.encoding:
            encoding.subscribe(subscription)
        else:
            encoding.limit(subscription)  # it may have had fewer frames while another one was wanted

    def record(self, encoding: Encoding, sink: RecordingSink, now: float) -> None:
        """Open a tap for an encoding, and ask for a key frame: a file begins with one. Of a track in several layers the
        best is recorded, in one tap."""
        if self._recording is not None:
            self._recording.follow(self._best(self.flowing))
            return
        try:
            tap = sink.open(self.info, encoding.info, now)
        except Exception:  # a fault of the recorder must not touch the call
            log.exception("tap_not_opened", track_id=self.track_id)
            return
        if tap is None:
            return
        if encoding.info.rid:
            self._recording = LayerRecording(tap)
            self._recording.muted(now, self.muted)
            self._recording.follow(self._best(self.flowing))
        else:
            encoding.record(tap, now)
            if self.muted:
                encoding.tell_muted(now, True)
            encoding.want_key_frame()

    def stop_taps(self, now: float) -> None:
        """The recording is over."""
        if self._recording is not None:
            self._recording.stop(now)
            self._recording = None
            return
        for encoding in self.encodings():
            encoding.stop_tap(now)

    def end_taps(self, now: float) -> None:
        """The track is over: nothing will come."""
        if self._recording is not None:
            self._recording.end(now)
            self._recording = None
        for encoding in self.encodings():
            encoding.end_tap(now)


def choose(layers: Sequence[Encoding], wanted_height: int | None) -> Encoding | None:
    """The smallest of these layers that fills the wanted height, else the largest; None: nothing is wanted, or there
    is none. Heights are in lines; None: as large as possible."""
    if wanted_height == 0 or not layers:
        return None
    if wanted_height is not None:
        for layer in layers:
            if layer.size is not None and layer.size[1] >= wanted_height:
                return layer
    return layers[-1]
