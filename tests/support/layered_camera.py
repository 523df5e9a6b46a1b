"""A camera in several simulcast layers, in virtual time, and its viewers."""

from sfu.encoding import Encoding
from sfu.inbound import Source
from sfu.interfaces import RecordingSink, TrackKind
from sfu.negotiation import Chosen
from sfu.rtcp import SenderReport
from sfu.subscription import Subscription
from sfu.track import Track
from tests.support.sfu_media import VP8, Sent, Viewer, encoding, vp8
from tests.support.temporal_camera import LAYERS, SYNC

SIZES = {"l": (320, 180), "m": (640, 360), "h": (1280, 720)}
FRAME_S = 1 / 30


class Camera:
    """A publisher of three layers, one packet a frame, with key frames where they are asked for, and its viewers."""

    def __init__(self, rids: str = "lmh", participant_id: str = "p", max_viewer_lines: int = 0) -> None:
        self.now = 10.0
        self.octets: dict[str, int] = {}
        """Of a frame of a layer, where it matters."""
        self.temporal = False
        """Each layer has three temporal layers."""
        self.answers = True
        """Requests for key frames."""
        self.touched: list[Encoding] = []
        self.track = Track(f"t_{participant_id}", participant_id, TrackKind.CAMERA, VP8, max_viewer_lines)
        self.layers: dict[str, Encoding] = {}
        self.sent: set[str] = set(rids)
        self.late_s: dict[str, float] = {}
        self.frames = 0
        self.sink: RecordingSink | None = None
        """Of a recording that runs when a layer is heard for the first time."""
        self.key_frames: list[str] = []
        for number, rid in enumerate(rids):
            layer = encoding(VP8, 100 + number, 1000 * number, self.touched, rid)
            self.layers[rid] = layer

    def offer(self) -> None:
        """The track knows how many layers its publisher named."""
        chosen = Chosen(VP8, 0, tuple(self.layers))
        self.track.source = Source("t", "0", chosen, [], {}, list(self.layers.values()))

    def viewer(self, height: int | None = None) -> "Watching":
        watching = Watching()
        watching.subscription.wanted_height = height
        self.track.subscribe(watching.subscription)
        return watching

    def frame(self) -> None:
        self.now += FRAME_S
        self.frames += 1
        for number, (rid, layer) in enumerate(self.layers.items()):
            if rid not in self.sent:
                continue
            first = layer.packets == 0
            if first:
                if self.sink is not None:
                    self.track.record(layer, self.sink, self.now)
                self.track.heard(layer)
            key = (self.answers and layer.requests.due(self.now)) or first
            if key:
                self.key_frames.append(rid)
            place = self.frames % len(LAYERS)
            payload = vp8(
                500 * number + layer.packets,
                key=key,
                size=SIZES[rid],
                body=rid.encode() * self.octets.get(rid, 1),
                layer=(0 if key else LAYERS[place]) if self.temporal else None,
                sync=self.temporal and SYNC[place],
            )
            timestamp = 7_000_000 * number + 3000 * self.frames
            layer.accept(layer.highest + 1, 0x80, timestamp, payload, 0, -1, self.now + self.late_s.get(rid, 0.0))
        for layer in self.touched:
            layer.flush()
        self.touched.clear()

    def run(self, seconds: float) -> None:
        for number in range(round(seconds / FRAME_S)):
            self.frame()
            if number % 8 == 0:
                self.look()

    def look(self) -> None:
        """What the room does a few times a second."""
        for layer in self.layers.values():
            layer.measure(self.now)
        self.track.choose_layers()

    def report(self, rid: str, skew_s: float = 0.0) -> None:
        """A sender report: all layers were captured on one clock."""
        number = list(self.layers).index(rid)
        ntp = int((1000 + skew_s + self.frames * FRAME_S) * (1 << 32))
        report = SenderReport(self.layers[rid].ssrc, ntp, 7_000_000 * number + 3000 * self.frames, 0, 0)
        self.layers[rid].sender_report(report, self.now)


class Watching:
    def __init__(self) -> None:
        self.viewer = Viewer()
        self.subscription = Subscription("t", self.viewer, 98, 99, 90_000)
        self.got: list[Sent] = []

    def fresh(self) -> str:
        """The layers of what came since the last call, one letter a frame."""
        packets = self.viewer.packets()
        self.got += packets
        return "".join(chr(packet.payload[-1]) for packet in packets)

    def numbers(self) -> list[tuple[int, int, int]]:
        """Sequence number, picture id and timestamp of each packet."""
        return [(p.sequence, int.from_bytes(p.payload[2:4], "big") & 0x7FFF, p.timestamp) for p in self.got]
