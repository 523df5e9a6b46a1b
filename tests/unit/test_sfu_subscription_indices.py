"""No (SSRC, packet index) pair is ever encrypted twice, over any sequence of what may happen to a subscription.

AES-GCM is broken by one repetition (RFC 7714 9.1), so this is tested as a state machine on the real path: encodings,
waiting, forwarding, late packets, switches of the source, limits of temporal layers, retransmissions.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sfu.codecs.temporal import TOP
from sfu.encoding import Encoding
from sfu.rtp import JUMP, unwrap
from sfu.srtp import Profile, SendKeys
from sfu.subscription import Subscription
from tests.support.sfu_media import VIEWER_MASTER, VP8, Viewer, encoding, vp8
from tests.support.temporal_camera import LAYERS, SYNC

SOURCES = 3
PADDING = (-1, -1)


class Machine(RuleBasedStateMachine):
    """Two subscriptions of one viewer, moving between three sources."""

    profile = Profile.AEAD_AES_128_GCM

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        master = VIEWER_MASTER + bytes(2)
        keys = SendKeys(self.profile, master[: self.profile.key_bytes + self.profile.salt_bytes])
        self.viewer = Viewer(keys)
        self.touched: list[Encoding] = []
        self.sources = [encoding(VP8, 1000 + n, 65_500 * n, self.touched) for n in range(SOURCES)]
        self.skipped: list[list[int]] = [[] for _ in range(SOURCES)]
        self.subscriptions = [Subscription("t", self.viewer, 98, 99, 90_000) for _ in range(2)]
        self.subscriptions[1].numbered = True
        self.source_of: dict[Subscription, Encoding] = {}
        self.sent: dict[tuple[int, int], tuple[int, int]] = {}
        """(SSRC, index) of a viewer's packet -> (source, index) it was made of."""
        self.checked = 0

    def _payload(self, source: int, index: int, key: bool) -> bytes:
        frame = index // 2
        layer, sync = (0, False) if key else (LAYERS[frame % 8], SYNC[frame % 8])
        return vp8(frame, key=key, body=b"%d/%d" % (source, index), layer=layer, sync=sync)

    # --- what a publisher does

    @initialize()
    def everybody_watches(self) -> None:
        for place in range(2):
            self.take(place, place, True)

    @rule(
        source=st.integers(0, SOURCES - 1),
        steps=st.lists(st.sampled_from([1] * 6 + [2, 3, 70]), min_size=1, max_size=6),
        key=st.booleans(),
        ends=st.booleans(),
    )
    def frame(self, source: int, steps: list[int], key: bool, ends: bool) -> None:
        stream = self.sources[source]
        for place, step in enumerate(steps):
            index = stream.highest + step
            self.skipped[source] = (self.skipped[source] + list(range(stream.highest + 1, index)))[-200:]
            self._accept(source, index, key and place == 0)
        if ends:
            self.end_of_wakeup()

    @rule(source=st.integers(0, SOURCES - 1), distance=st.sampled_from([JUMP, 20_000, 32_767]))
    def jump(self, source: int, distance: int) -> None:
        self._accept(source, self.sources[source].highest + distance, False)

    @rule(source=st.integers(0, SOURCES - 1), back=st.sampled_from([0, 0, 0, 1, 2, 50, 150]), key=st.booleans())
    def late(self, source: int, back: int, key: bool) -> None:
        skipped = self.skipped[source]
        if skipped:
            index = skipped.pop(-1 - back % len(skipped))
            if index > self.sources[source].highest - 4000:
                self._accept(source, index, key)

    def _accept(self, source: int, index: int, key: bool) -> None:
        self.now += 0.001
        self.sources[source].accept(
            index, 0x80, 3000 * (index // 2), self._payload(source, index, key), 0, -1, self.now
        )

    @rule()
    def end_of_wakeup(self) -> None:
        for stream in self.touched:
            stream.flush()
        self.touched.clear()

    # --- what viewers and rooms do

    @rule(place=st.integers(0, 1), source=st.integers(0, SOURCES - 1), at_once=st.booleans())
    def take(self, place: int, source: int, at_once: bool) -> None:
        """As `Track.heard`: leave the source of before, wait for a key frame of the next, which may come `at_once`."""
        subscription = self.subscriptions[place]
        self.leave(place)
        self.source_of[subscription] = self.sources[source]
        self.sources[source].subscribe(subscription)
        if at_once:
            self.frame(source, [2, 1], True, True)

    @rule(place=st.integers(0, 1))
    def leave(self, place: int) -> None:
        before = self.source_of.pop(self.subscriptions[place], None)
        if before is not None:
            before.unsubscribe(self.subscriptions[place])

    @rule(place=st.integers(0, 1), limit=st.sampled_from([0, 1, 2, TOP]))
    def limit(self, place: int, limit: int) -> None:
        """As `Track.limit`."""
        subscription = self.subscriptions[place]
        subscription.max_temporal = limit
        if subscription.encoding is not None:
            subscription.encoding.limit(subscription)

    @rule(place=st.integers(0, 1), back=st.integers(-2, 120))
    def asked_again(self, place: int, back: int) -> None:
        ssrc = self.subscriptions[place].ssrc
        top = max((index for number, index in self.sent if number == ssrc), default=0)
        self.subscriptions[place].retransmit((top - back) & 0xFFFF, 0.0)

    @rule(place=st.integers(0, 1), number=st.integers(0, 40))
    def probes(self, place: int, number: int) -> None:
        self.subscriptions[place].probe(number, 1)

    @rule(place=st.integers(0, 1))
    def pads(self, place: int) -> None:
        self.subscriptions[place].pad(1)

    @rule()
    def tick(self) -> None:
        self.now += 0.05
        for stream in self.sources:
            stream.tick(self.now)
        for subscription in self.subscriptions:
            subscription.new_tick()

    @rule()
    def addresses_change(self) -> None:
        for stream in self.sources:
            stream.retarget()

    # --- what must hold

    @invariant()
    def no_pair_is_used_twice(self) -> None:
        pairs = self.viewer.pairs()
        assert len(set(pairs)) == len(pairs)

    @precondition(lambda self: self.profile is Profile.AEAD_AES_128_GCM)
    @invariant()
    def what_is_sent_again_is_what_was_sent_under_that_number(self) -> None:
        pairs = self.viewer.pairs()[self.checked :]
        self.checked += len(pairs)
        media = {subscription.ssrc for subscription in self.subscriptions}
        for (ssrc, index), packet in zip(pairs, self.viewer.packets(), strict=True):
            assert packet.sequence == index & 0xFFFF
            if ssrc in media:
                self.sent[ssrc, index] = origin(packet.media)
            elif packet.media:
                asked_for = int.from_bytes(packet.media[:2], "big")
                sent = {i: o for (s, i), o in self.sent.items() if s == ssrc - 1 and i & 0xFFFF == asked_for}
                if not sent:  # it was missing until its viewer had left that source
                    top = max(i for s, i in self.sent if s == ssrc - 1)
                    sent[unwrap(asked_for, top)] = origin(packet.media[2:])
                    self.sent[ssrc - 1, unwrap(asked_for, top)] = origin(packet.media[2:])
                assert origin(packet.media[2:]) in sent.values()


class CounterModeMachine(Machine):
    """The same with AES-CM, where libsrtp itself refuses an index that it has seen."""

    profile = Profile.AES128_CM_SHA1_80


def origin(payload: bytes) -> tuple[int, int]:
    """Source and index that `Machine._payload` wrote, or PADDING."""
    if b"/" not in payload:
        return PADDING
    source, number = payload[payload.rindex(b"/") - 1 :].split(b"/")
    return int(source), int(number)


TestNoPairIsEverUsedTwice = Machine.TestCase
TestNoPairIsEverUsedTwice.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestNoPairIsEverUsedTwiceWithCounterMode = CounterModeMachine.TestCase
TestNoPairIsEverUsedTwiceWithCounterMode.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
