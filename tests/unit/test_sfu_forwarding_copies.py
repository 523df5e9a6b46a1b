"""Each copy decrypts to what came in, under its own numbers; a VP8 copy differs by the moved ids alone."""

from hypothesis import given
from hypothesis import strategies as st

from sfu.codecs.vp8_descriptor import NOTHING, describe
from sfu.forwarding import EXTENSION, OVERHEAD_BYTES, SEQUENCE_ID, Target, forward, numbered
from sfu.history import Packet
from sfu.rtp import read_extensions
from sfu.subscription import Subscription
from tests.support.sfu_media import HERE, Sent, Viewer, vp8

ORIENTATION = b"\xbe\xde\x00\x01\x10\x01\x00\x00"
LEVEL = b"\xbe\xde\x00\x01\xa0\x33\x00\x00"


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
        None,
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


def test_a_numbered_copy_carries_the_transport_wide_sequence_number_beside_the_orientation() -> None:
    viewer = Viewer()
    copied = (*target(viewer, payload_type=98 | EXTENSION)[:-1], viewer.number)
    packets = [received(n, b"media", extension=ORIENTATION if n == 2 else b"", is_vp8=False) for n in range(1, 4)]
    for packet in packets:
        forward((packet,), [copied], False)
    forward([received(9, vp8(9))], [copied], True)
    sent = viewer.packets()
    assert viewer.numbers[:3] == [(65_530 + n, 1, 5 + OVERHEAD_BYTES, 0) for n in range(3)]
    elements = [read_extensions(packet.extension[4:], 0xBEDE) for packet in sent]
    assert [e[SEQUENCE_ID] for e in elements] == [n.to_bytes(2, "big") for n in range(65_530, 65_534)]
    assert [e.get(1) for e in elements] == [None, b"\x01", None, None]
    assert [packet.payload_type for packet in sent] == [98] * 4


@given(st.sampled_from([b"", ORIENTATION, LEVEL]), st.integers(0, 70_000))
def test_a_numbered_block_has_both_values_and_whole_words(extension: bytes, sequence: int) -> None:
    block = numbered(extension, sequence)
    elements = read_extensions(block[4:], int.from_bytes(block[:2], "big"))
    assert elements.pop(SEQUENCE_ID) == (sequence & 0xFFFF).to_bytes(2, "big")
    assert elements == {b"": {}, ORIENTATION: {1: b"\x01"}, LEVEL: {10: b"\x33"}}[extension]
    assert 4 * int.from_bytes(block[2:4], "big") == len(block) - 4


@given(st.lists(payloads, min_size=1, max_size=12))
def test_numbers_wrap_and_both_paths_give_the_same_ones(given_payloads: list[bytes]) -> None:
    packets = [received(n, payload) for n, payload in enumerate(given_payloads)]
    for rewrite in (False, True):
        viewer = Viewer()
        forward(packets, [(*target(viewer, payload_type=98 | EXTENSION)[:-1], viewer.number)], rewrite)
        found = [read_extensions(packet.extension[4:], 0xBEDE)[SEQUENCE_ID] for packet in viewer.packets()]
        assert found == [((65_530 + n) & 0xFFFF).to_bytes(2, "big") for n in range(len(packets))]


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=30))
def test_of_a_run_only_the_last_may_be_shorter_also_where_some_packets_are_turned(
    shapes: list[tuple[int, bool]],
) -> None:
    """The kernel cuts a run by the size of its first packet."""
    viewer = Viewer()
    packets = [
        received(n, bytes(size), extension=ORIENTATION if turned else b"", is_vp8=False)
        for n, (size, turned) in enumerate(shapes)
    ]
    forward(packets, [(*target(viewer, payload_type=98 | EXTENSION)[:-1], viewer.number)], False)
    for run in viewer.runs:
        assert {len(packet) for packet in run[:-1]} <= {len(run[0])}
        assert len(run[-1]) <= len(run[0])
