"""A VP8 stream in three temporal layers, as Chromium sends it, in virtual time; and what a decoder makes of it."""

from dataclasses import dataclass, field, replace

from sfu.encoding import Encoding
from sfu.interfaces import TrackKind
from sfu.rtp import unwrap
from sfu.subscription import Subscription
from sfu.track import Track
from tests.support.sfu_media import VP8, Sent, Viewer, encoding, vp8

LAYERS = (0, 2, 1, 2, 0, 2, 1, 2)
SYNC = (False, True, True, False, False, False, False, False)
"""Of a group of eight frames of Chromium 156 with L1T3."""
PACKETS = (3, 1, 3, 2)
"""Of each frame of a group of four."""
FRAME_S = 1 / 30


@dataclass(frozen=True)
class Made:
    """A packet of the publisher."""

    index: int
    frame: int
    layer: int
    sync: bool
    key: bool
    last: bool
    references: frozenset[int]
    """Frames: the last ones of its own layer and of all below; with `sync` that of the lowest alone."""
    payload: bytes


class TemporalCamera:
    """One encoding; packets of a frame are handed on in one wakeup or not at all, as the caller likes."""

    def __init__(self) -> None:
        self.now = 10.0
        self.touched: list[Encoding] = []
        self.track = Track("t", "p", TrackKind.CAMERA, VP8)
        self.encoding = encoding(VP8, 100, 0, self.touched)
        self.made: dict[int, Made] = {}
        self.frames = 0
        self.index = -1
        self._heard = False
        self._newest: dict[int, int] = {}

    def viewer(self) -> "LayeredViewer":
        watching = LayeredViewer(self)
        self.track.subscribe(watching.subscription)
        return watching

    def make(self) -> list[Made]:
        """The packets of the next frame."""
        self.now += FRAME_S
        number, self.frames = self.frames, self.frames + 1
        key = self.encoding.requests.due(self.now) or number == 0
        place = number % 8
        layer, sync = (0, False) if key else (LAYERS[place], SYNC[place])
        count = PACKETS[place % 4]
        if key:
            self._newest = dict.fromkeys(range(3), number)
        references = frozenset() if key else frozenset(self._newest[n] for n in range(1 if sync else layer + 1))
        self._newest[layer] = number
        for part in range(count):
            self.index += 1
            body = b"#%d" % self.index
            payload = vp8(1000 + number, key=key and part == 0, tl0=number // 4, layer=layer, sync=sync, body=body)
            made = Made(self.index, number, layer, sync, key, part == count - 1, references, payload)
            self.made[self.index] = made
        return [self.made[n] for n in range(self.index - count + 1, self.index + 1)]

    def accept(self, made: Made) -> None:
        if not self._heard:
            self._heard = True
            self.track.heard(self.encoding)
        self.encoding.accept(made.index, 0x80 * made.last, 3000 * made.frame, made.payload, 0, -1, self.now)

    def wakeup(self) -> None:
        for source in self.touched:
            source.flush()
        self.touched.clear()

    def run(self, frames: int) -> None:
        for _ in range(frames):
            for made in self.make():
                self.accept(made)
            self.wakeup()


@dataclass
class LayeredViewer:
    camera: TemporalCamera
    viewer: Viewer = field(default_factory=Viewer)
    got: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.subscription = Subscription("t", self.viewer, 98, 99, 90_000)

    def fresh(self) -> list[Sent]:
        packets = self.viewer.packets()
        self.got += packets
        return packets

    def layers(self) -> str:
        """The temporal layer of each packet since the last call, `.` for one of nothing but padding."""
        return "".join("." if not p.media else str(self.made(p).layer) for p in self.fresh())

    def made(self, packet: Sent) -> Made:
        """What the publisher sent."""
        return self.camera.made[int(packet.media.rsplit(b"#", 1)[1])]

    def extended(self) -> list[tuple[int, Sent]]:
        """All packets with their indices, retransmissions as what they stand for, in the order in which they came."""
        self.fresh()
        found: list[tuple[int, Sent]] = []
        top = 0
        for (ssrc, index), packet in zip(self.viewer.pairs(), self.got, strict=True):
            if ssrc == self.subscription.ssrc:
                found.append((index, packet))
                top = max(top, index)
            else:
                original = unwrap(int.from_bytes(packet.media[:2], "big"), top)
                if original not in [number for number, _ in found]:
                    found.append((original, replace(packet, payload=packet.payload[2:])))
        return found

    def holes(self) -> list[int]:
        """Indices that are missing between those that came."""
        came = {index for index, _ in self.extended()}
        return sorted(set(range(min(came), max(came) + 1)) - came)

    def whole_frames(self) -> list[Made]:
        """Frames of which every packet came, in the order of their numbers: the first packet of each."""
        found: dict[int, list[Made]] = {}
        for _, packet in sorted(self.extended(), key=lambda pair: pair[0]):
            if packet.media:
                made = self.made(packet)
                found.setdefault(made.frame, []).append(made)
        sent: dict[int, int] = {}
        for made in self.camera.made.values():
            sent[made.frame] = sent.get(made.frame, 0) + 1
        return [parts[0] for frame, parts in found.items() if len({made.index for made in parts}) == sent[frame]]


def undecodable(frames: list[Made]) -> list[int]:
    """Of these frames, in their order, those that refer to one which is not among them before: a decoder would show
    rubbish. `frames`: one packet of each."""
    decoded: set[int] = set()
    wrong = []
    for made in frames:
        if made.references <= decoded:
            decoded.add(made.frame)
        else:
            wrong.append(made.frame)
    return wrong
