"""What a recording is given of a track that is sent in several layers: the best that flows, as one stream.

The present layer goes on until the better one has a key frame. Packet indices and timestamps run on over a change, so
that a recorder sees one stream whose picture changes its size at a key frame. Repairs of the layer before still find
their places.
"""

from sfu.encoding import Encoding
from sfu.interfaces import PacketTap, Reception
from sfu.sender_clock import passed_s


class LayerRecording:
    """Opened with the recorder's tap; `follow` may be called any time, `stop` or `end` once."""

    def __init__(self, tap: PacketTap) -> None:
        self._tap = tap
        self._present: _Layer | None = None
        self._open: list[_Layer] = []
        """The present one, and those before it that still wait for repairs."""
        self._awaited: Encoding | None = None
        self._over = self._ended = self._muted = False

    def follow(self, encoding: Encoding | None) -> None:
        """Record this layer from its next key frame on. None: none is sent, what there is goes on."""
        present = self._present.encoding if self._present is not None else None
        wanted = encoding if encoding is not present else None
        if encoding is None or self._over or wanted is self._awaited:
            return
        self._await(wanted)

    def muted(self, now: float, muted: bool) -> None:
        """The track was muted, or that ended."""
        self._muted = muted
        if self._present is not None:
            self._present.encoding.tell_muted(now, muted)

    def stop(self, now: float) -> None:
        """The recording is over; what is missing may still come."""
        self._close()
        if self._present is not None:
            self._present.encoding.stop_tap(now)
        self._end_if_done(now)

    def end(self, now: float) -> None:
        """The track is over: nothing will come."""
        self._close()
        for layer in list(self._open):
            layer.encoding.end_tap(now)
        self._end_if_done(now)

    def _close(self) -> None:
        self._await(None)
        self._over = True

    def _await(self, encoding: Encoding | None) -> None:
        if self._awaited is not None:
            self._awaited.on_key_frame = None
        self._awaited = encoding
        if encoding is not None:
            encoding.on_key_frame = self._change
            encoding.want_key_frame()

    def _change(self, encoding: Encoding, index: int, timestamp: int, now: float) -> None:
        """`encoding` begins a key frame with this packet, which it has not handed to a tap yet."""
        self._await(None)
        before = self._present
        layer = _Layer(self, self._tap, encoding)
        if before is not None:
            layer.index_offset = index - before.highest - 1
            old = before.encoding
            elapsed_s = passed_s(
                now - old.last_arrival, old.capture_s(old.last_timestamp), encoding.capture_s(timestamp)
            )
            ticks = max(1, round(elapsed_s * encoding.clock_rate_hz))
            layer.timestamp_offset = old.last_timestamp + before.timestamp_offset + ticks - timestamp
        self._present = layer
        self._open.append(layer)
        encoding.record(layer, now, index)
        if before is None and self._muted:
            encoding.tell_muted(now, True)
        if before is not None:
            before.encoding.stop_tap(now)

    def ended(self, layer: "_Layer", now: float) -> None:
        """A layer will give nothing more."""
        self._open.remove(layer)
        self._end_if_done(now)

    def failed(self) -> None:
        """The recorder's tap raised: it gets nothing more."""
        self._close()

    def is_present(self, layer: "_Layer") -> bool:
        return layer is self._present

    def _end_if_done(self, now: float) -> None:
        if self._over and not self._open and not self._ended:
            self._ended = True
            self._tap.end(now)


class _Layer:
    """A PacketTap on one encoding: moves its numbers by offsets."""

    def __init__(self, recording: LayerRecording, tap: PacketTap, encoding: Encoding) -> None:
        self.encoding = encoding
        self.index_offset = self.timestamp_offset = 0
        self.highest = -1
        """Index given to the recorder."""
        self._recording = recording
        self._tap = tap

    def packet(self, arrival_s: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None:
        """Hot."""
        index -= self.index_offset
        if index > self.highest:
            self.highest = index
        try:
            self._tap.packet(arrival_s, index, (timestamp + self.timestamp_offset) & 0xFFFFFFFF, marker, payload)
        except Exception:
            self._recording.failed()
            raise

    def sender_report(self, arrival_s: float, ntp_timestamp: int, rtp_timestamp: int) -> None:
        if self._recording.is_present(self):
            self._tap.sender_report(arrival_s, ntp_timestamp, (rtp_timestamp + self.timestamp_offset) & 0xFFFFFFFF)

    def picture(self, arrival_s: float, index: int, width: int, height: int, rid: str) -> None:
        self._tap.picture(arrival_s, index - self.index_offset, width, height, rid)

    def muted(self, now_s: float, muted: bool) -> None:
        self._tap.muted(now_s, muted)

    def reception(self, now_s: float, reception: Reception) -> None:
        if self._recording.is_present(self):
            self._tap.reception(now_s, reception)

    def end(self, now_s: float) -> None:
        self._recording.ended(self, now_s)
