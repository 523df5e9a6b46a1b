"""Each copy decrypts to what came in, under its own numbers; a VP8 copy differs by the moved ids alone."""

from hypothesis import given
from hypothesis import strategies as st

from sfu.codecs.vp8_descriptor import NOTHING, describe
from sfu.forwarding import Target, forward
from sfu.history import Packet
from sfu.subscription import Subscription
from tests.support.sfu_media import HERE, Sent, Viewer, vp8

ORIENTATION = b"\xbe\xde\x00\x01\x10\x01\x00\x00"


def received(
    number: int,
    payload: bytes,
    *,
    timestamp: int = 0,
    marker: bool = False,
    extension: bytes = b"",
    is_vp8: bool = True,
) -> Packet:
    descriptor = describe(payload) if is_vp8 else NOTHING
    return Packet(number, 0x80 * marker, timestamp, payload, extension, descriptor, 1.0)


def target(
    viewer: Viewer, *, index: int = 0, timestamp: int = 0, picture: int = 0, tl0: int = 0, payload_type: int = 98
) -> Target:
    subscription = Subscription("t", viewer, payload_type, 0, 90_000)
    salt = viewer.keys.salt
    return (
        subscription,
        viewer.keys.encrypt,
        salt ^ subscription.ssrc << 48,
        index,
        timestamp,
        picture,
        tl0,
        subscription.ssrc,
        payload_type,
        viewer.send_run,
        HERE,
    )


def test_a_copy_has_its_own_header_and_the_same_media() -> None:
    viewer = Viewer()
    copied = target(viewer, index=70_000, timestamp=-5000, payload_type=100)
    packet = received(75_000, b"media", timestamp=3000, marker=True, is_vp8=False)
    forward((packet,), [copied], False)
    (sent,) = viewer.packets()
    assert sent == Sent(copied[7], 5000, (3000 - 5000) & 0xFFFFFFFF, 100, True, False, b"", b"media")
    assert viewer.pairs() == [(copied[7], 5000)]


def test_the_orientation_goes_with_the_packet() -> None:
    viewer = Viewer()
    forward((received(5, b"media", extension=ORIENTATION, is_vp8=False),), [target(viewer)], False)
    (sent,) = viewer.packets()
    assert (sent.extension, sent.payload) == (ORIENTATION, b"media")


def test_every_target_gets_every_packet_in_order_and_is_counted() -> None:
    viewers = [Viewer() for _ in range(3)]
    targets = [target(viewer, index=n * 10) for n, viewer in enumerate(viewers)]
    forward([received(100 + n, vp8(n)) for n in range(5)], targets, True)
    for place, viewer in enumerate(viewers):
        assert [sent.sequence for sent in viewer.packets()] == [100 + n - 10 * place for n in range(5)]
        assert len(viewer.runs) == 1
        assert targets[place][0].packets == 5
        assert targets[place][0].octets == 5 * len(vp8(0))


def test_picture_id_and_tl0_move_and_nothing_else_does() -> None:
    viewer = Viewer()
    packet = received(9, vp8(0x7FFF, key=True, tl0=255, body=b"body"))
    forward((packet,), [target(viewer, picture=2, tl0=1)], True)
    assert viewer.packets()[0].payload == vp8(1, key=True, tl0=0, body=b"body")


payloads = st.one_of(
    st.binary(max_size=60),
    st.builds(vp8, st.integers(0, 0x7FFF), key=st.booleans(), tl0=st.none() | st.integers(0, 255), body=st.binary()),
)


@given(
    st.lists(st.tuples(payloads, st.booleans(), st.sampled_from([b"", ORIENTATION])), min_size=1, max_size=20),
    st.integers(0, 2**40),
    st.integers(-(2**31), 2**31),
    st.integers(-0x8000, 0x8000),
    st.integers(-0x100, 0x100),
)
def test_the_vp8_path_equals_the_plain_path_plus_the_moved_ids(
    given_packets: list[tuple[bytes, bool, bytes]], index: int, timestamp: int, picture: int, tl0: int
) -> None:
    packets = [
        received(index + n, payload, timestamp=3000 * n, marker=marker, extension=extension)
        for n, (payload, marker, extension) in enumerate(given_packets)
    ]
    plain, moved = Viewer(), Viewer()
    forward(packets, [target(plain, index=index - 7, timestamp=timestamp)], False)
    forward(packets, [target(moved, index=index - 7, timestamp=timestamp, picture=picture, tl0=tl0)], True)
    assert plain.pairs() == moved.pairs() == [(0x1001, 7 + n) for n in range(len(packets))]
    for packet, a, b in zip(packets, plain.packets(), moved.packets(), strict=True):
        assert a.media == packet.payload
        assert b.media == packet.descriptor.rewritten(picture, tl0) + packet.payload[packet.descriptor.size_bytes :]
        a.payload = b.payload = b""
        assert a == b
