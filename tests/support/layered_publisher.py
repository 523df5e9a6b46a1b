"""A publisher as `modelled_peers` has it whose camera comes in three simulcast layers of three temporal layers each."""

from bench.simulcast import LAYERS, simulcast_offer
from tests.support import sdp
from tests.support.modelled_peers import FRAME_S, Publisher, Sending, frame_head
from tests.support.network_model import Network
from tests.support.sfu_media import vp8
from tests.support.temporal_camera import LAYERS as TEMPORAL
from tests.support.temporal_camera import SYNC

PACKET_BYTES = 1040
SHARES = (1.6, 0.8, 0.8)
"""Octets of a frame of each temporal layer, of those of the mean: 40, 20 and 40 per cent of the bitrate."""
KEY_FRAME = 3.0


class LayeredPublisher(Publisher):
    """150 kbit/s at 180 lines, 0.5 Mbit/s at 360, 1.5 Mbit/s at 720. A layer makes a key frame when it is asked for
    one; `sent` may be changed to make the sender leave layers out."""

    def __init__(self, network: Network, seed: int = 1) -> None:
        super().__init__(network, seed)
        self.layers = {
            layer.rid: Sending(b"1", 2222 + n, 96, 90_000, 1000 * n, 90_000 * n, 3333 + n, layer.rid.encode())
            for n, layer in enumerate(LAYERS)
        }
        self.sent = set(self.layers)
        self.video = self.layers["h"]
        self.by_ssrc = {stream.ssrc: stream for stream in (self.audio, *self.layers.values())}
        self.requests_at: list[float] = []
        """When key frames were asked for, of any layer."""
        self._key_frames_due = set(self.layers)

    def offer(self, credentials: sdp.Credentials) -> str:
        audio = sdp.Outgoing("0", "audio", "opus", self.audio.ssrc)
        return simulcast_offer(credentials, audio, sdp.Outgoing("1", "video", "VP8", 0))

    def _picture(self) -> None:
        place = self.frames % len(TEMPORAL)
        for layer in LAYERS:
            stream = self.layers[layer.rid]
            if layer.rid not in self.sent:
                continue
            key = layer.rid in self._key_frames_due
            self._key_frames_due.discard(layer.rid)
            if key:
                self.key_frames_at.append(self.network.now)
            temporal = 0 if key else TEMPORAL[place]
            share = KEY_FRAME if key else SHARES[temporal]
            octets = int(share * layer.bitrate_bps * FRAME_S / 8)
            count = -(-octets // PACKET_BYTES)
            timestamp = self._ticks(stream, self.network.now)
            for number in range(count):
                body = frame_head(self.frames, number, count, stream.rid) + bytes(octets // count - 20)
                payload = vp8(
                    self.frames,
                    key=key,
                    tl0=self.frames // 4,
                    body=body,
                    size=(layer.width, layer.height),
                    layer=temporal,
                    sync=not key and SYNC[place],
                )
                if number:
                    payload = bytes((0x80,)) + payload[1:]  # it goes on with the frame
                self._send(stream, payload, timestamp, number == count - 1)
        self.frames_at.append(self.network.now)
        self.frames += 1

    def _streams(self) -> list[Sending]:
        return [self.audio, *self.layers.values()]

    def _key_frame_wanted(self, ssrc: int) -> None:
        self.requests_at.append(self.network.now)
        self._key_frames_due |= {rid for rid, stream in self.layers.items() if stream.ssrc == ssrc}
