"""Sound that comes as RED: as it came to viewers who took RED, plain to all others and to recordings. Virtual time."""

from pathlib import Path

import pytest

from sfu.descriptions import Local, Outgoing, write_answer, write_offer
from sfu.encoding import Encoding
from sfu.forwarding import OVERHEAD_BYTES, SEQUENCE_ID
from sfu.history import History
from sfu.inbound import Source
from sfu.interfaces import TrackKind
from sfu.negotiation import Chosen, choose
from sfu.rate import Meter
from sfu.red_encoding import RedEncoding
from sfu.rtp import LayoutCache, read_extensions
from sfu.sdp import parse
from sfu.subscription import Subscription
from sfu.track import Track
from sfu.twcc import ArrivalLog
from tests.support.payloads import red
from tests.support.sfu_client import Tap
from tests.support.sfu_media import OPUS, Publisher, Viewer, receive_keys, stream_info

VECTORS = Path(__file__).parents[1] / "vectors"
LOCAL = Local("u" * 8, "p" * 24, "AB", [])
RED = 63
VIEWER_OPUS, VIEWER_RED = 96, 97
SSRC = 1111


def sent(newest: bytes, *earlier: bytes) -> bytes:
    """RED as these viewers get it, with their own number for Opus."""
    return red(newest, *earlier, payload_type=VIEWER_OPUS)


class Microphone:
    """A publisher of RED with a recording, one viewer who took RED and one who did not."""

    def __init__(self) -> None:
        self.touched: list[Encoding] = []
        layouts, history = LayoutCache(0, 0), History(1.5, 512)
        about = (stream_info(OPUS, SSRC), 0, receive_keys(), layouts, ArrivalLog(), self.touched, history)
        self.encoding = RedEncoding(*about, RED)
        self.publisher = Publisher(SSRC, RED)
        self.tap = Tap()
        self.encoding.record(self.tap, 0.0)
        self.track = Track("t", "p", TrackKind.MICROPHONE, OPUS)
        self.modern, self.old = Viewer(), Viewer()
        self.subscriptions = [Subscription("t", viewer, VIEWER_OPUS, 0, 48_000) for viewer in (self.modern, self.old)]
        self.subscriptions[0].take_red(VIEWER_RED)
        for subscription in self.subscriptions:
            self.track.subscribe(subscription)
        self.track.heard(self.encoding)

    def take(self, index: int, payload: bytes, payload_type: int = RED, padding: int = 0) -> None:
        packet = self.publisher.seal(
            index, payload, timestamp=960 * index, payload_type=payload_type, padding=padding, marker=False
        )
        self.encoding.receive(packet, packet[0], packet[1], index & 0xFFFF, 960 * index, 1.0 + 0.02 * index)

    def flush(self) -> None:
        for encoding in self.touched:
            encoding.flush()
        self.touched.clear()

    def send(self, index: int, payload: bytes, payload_type: int = RED, padding: int = 0) -> None:
        self.take(index, payload, payload_type, padding)
        self.flush()


def test_who_took_red_gets_it_with_its_own_number_for_opus_and_all_others_the_newest_packet() -> None:
    microphone = Microphone()
    sounds = [(b"sound %d" % n, b"sound %d" % (n - 1)) for n in range(1, 5)]
    for index, sound in enumerate(sounds):
        microphone.send(index, red(*sound))
    blocks = [sent(*sound) for sound in sounds]
    modern, old = microphone.modern.packets(), microphone.old.packets()
    assert [(packet.payload_type, packet.payload) for packet in modern] == [(VIEWER_RED, b) for b in blocks]
    assert [(packet.payload_type, packet.payload) for packet in old] == [(96, b"sound %d" % n) for n in range(1, 5)]
    for packets in (modern, old):
        assert [(p.sequence - packets[0].sequence) & 0xFFFF for p in packets] == [0, 1, 2, 3]
        assert [(p.timestamp - packets[0].timestamp) & 0xFFFFFFFF for p in packets] == [0, 960, 1920, 2880]


def test_recordings_and_the_history_have_plain_opus() -> None:
    microphone = Microphone()
    microphone.send(0, red(b"sound", b"before"))
    assert [packet[3] for packet in microphone.tap.packets] == [b"sound"]
    kept = microphone.encoding.history.get(0)
    assert kept is not None
    assert kept.payload == b"sound"


def test_padding_is_taken_off_before_the_blocks_are_read() -> None:
    microphone = Microphone()
    microphone.send(0, red(b"sound", b"before"), padding=7)
    (modern,), (old,) = microphone.modern.packets(), microphone.old.packets()
    assert (modern.payload, modern.padded) == (sent(b"sound", b"before"), False)
    assert (old.payload, old.padded) == (b"sound", False)


def test_a_plain_packet_between_goes_plain_to_everybody() -> None:
    microphone = Microphone()
    microphone.send(0, red(b"one"))
    microphone.send(1, b"two", payload_type=OPUS.payload_type)
    microphone.send(2, red(b"three", b"two"))
    assert [packet.payload_type for packet in microphone.modern.packets()] == [VIEWER_RED, 96, VIEWER_RED]
    assert [packet.payload for packet in microphone.old.packets()] == [b"one", b"two", b"three"]


@pytest.mark.parametrize("payload", [b"", b"\xef\x0f\x03\xff\x6f", red(b"x", payload_type=96)])
def test_malformed_red_is_counted_and_leaves_nothing_but_its_number(payload: bytes) -> None:
    microphone = Microphone()
    microphone.send(0, payload)
    microphone.send(1, red(b"sound"))
    assert microphone.encoding.wrong_type == 1
    assert [packet.payload for packet in microphone.old.packets()] == [b"", b"sound"]
    assert [packet.payload for packet in microphone.modern.packets()] == [b"", sent(b"sound")]
    assert not microphone.encoding._blocks


def test_a_payload_type_that_was_not_negotiated_is_refused() -> None:
    microphone = Microphone()
    microphone.send(0, red(b"sound"), payload_type=100)
    assert (microphone.encoding.wrong_type, microphone.encoding.packets) == (1, 0)


def test_a_repaired_packet_goes_in_its_form_to_who_was_there() -> None:
    microphone = Microphone()
    for index in (0, 2, 1):
        microphone.send(index, red(b"sound %d" % index, b"before"))
    for viewer, payload in ((microphone.modern, sent(b"sound 1", b"before")), (microphone.old, b"sound 1")):
        packets = viewer.packets()
        assert [(p.sequence - packets[0].sequence) & 0xFFFF for p in packets] == [0, 2, 1]
        assert packets[2].payload == payload
        assert len(set(viewer.pairs())) == 3


def test_several_packets_of_one_wakeup_keep_their_order() -> None:
    microphone = Microphone()
    for index in range(4):
        microphone.take(index, red(b"%d" % index, b"x"))
    microphone.flush()
    assert [packet.payload for packet in microphone.old.packets()] == [b"0", b"1", b"2", b"3"]
    assert not microphone.encoding._blocks


def test_who_changes_its_mind_gets_the_other_form_without_a_jump() -> None:
    microphone = Microphone()
    microphone.send(0, red(b"one"))
    microphone.subscriptions[0].take_red(0)
    microphone.send(1, red(b"two"))
    microphone.subscriptions[0].take_red(VIEWER_RED)
    microphone.send(2, red(b"three"))
    packets = microphone.modern.packets()
    assert [packet.payload for packet in packets] == [sent(b"one"), b"two", sent(b"three")]
    assert [(p.sequence - packets[0].sequence) & 0xFFFF for p in packets] == [0, 1, 2]


def test_who_is_gated_and_comes_back_gets_red_again() -> None:
    microphone = Microphone()
    microphone.send(0, red(b"one"))
    microphone.track.gate(True)
    microphone.send(1, red(b"two"))
    microphone.track.gate(False)
    microphone.send(2, red(b"three"))
    packets = microphone.modern.packets()
    assert [packet.payload for packet in packets] == [sent(b"one"), sent(b"three")]
    assert not microphone.encoding._blocks


def test_who_is_numbered_gets_transport_wide_numbers_in_both_forms() -> None:
    microphone = Microphone()
    for subscription in microphone.subscriptions:
        subscription.numbered = True
    microphone.encoding.retarget()
    microphone.send(0, red(b"one"))
    microphone.send(1, red(b"two"))
    for viewer, payload_type in ((microphone.modern, VIEWER_RED), (microphone.old, 96)):
        found = [(p.payload_type, read_extensions(p.extension[4:], 0xBEDE)[SEQUENCE_ID]) for p in viewer.packets()]
        assert found == [(payload_type, b"\xff\xfa"), (payload_type, b"\xff\xfb")]


def test_another_microphone_goes_on_with_the_numbers_behind_the_last_one() -> None:
    microphone = Microphone()
    for index in range(3):
        microphone.send(index, red(b"sound"))
    for subscription in microphone.subscriptions:
        microphone.encoding.unsubscribe(subscription)
        microphone.encoding.subscribe(subscription)
    microphone.send(3, red(b"more"))
    for viewer in (microphone.modern, microphone.old):
        packets = viewer.packets()
        assert [(p.sequence - packets[0].sequence) & 0xFFFF for p in packets] == [0, 1, 2, 3]
        assert len(set(viewer.pairs())) == 4


def test_the_meter_counts_what_goes_to_who_took_red() -> None:
    microphone = Microphone()
    rates = []
    for payload in (b"s" * 100, red(b"s" * 100, b"s" * 100)):
        encoding = microphone.encoding
        encoding.meter = Meter()
        payload_type = RED if len(payload) > 100 else OPUS.payload_type
        for step in range(200):
            microphone.send(encoding.highest + 1, payload, payload_type)
            encoding.measure(step / 50)
        rates.append(encoding.meter.bps)
    plain, doubled = rates
    assert plain == pytest.approx(50 * 8 * (100 + OVERHEAD_BYTES), rel=0.05)
    assert doubled - plain == pytest.approx(50 * 8 * 105, rel=0.05)


# --- negotiation


def test_chromium_is_answered_with_red_first_only_where_the_operator_wants_it() -> None:
    offer = parse((VECTORS / "chromium_publish.sdp").read_bytes().decode())
    (audio,) = [section for section in offer.sections if section.kind == "audio"]
    for wanted in (False, True):
        pick = choose(audio, ["VP8"], wanted)
        assert pick is not None
        assert (pick.codec.name, pick.red_payload_type) == ("opus", RED if wanted else 0)
        (answered, *_) = parse(write_answer(offer, {audio.mid: pick}, LOCAL, "passive", 1, 1_000_000)).sections
        assert list(answered.codecs) == ([RED, 111] if wanted else [111])
        if wanted:
            assert answered.codecs[RED].fmtp == "111/111"
            assert (answered.codecs[RED].name, answered.codecs[RED].channels) == ("red", 2)


@pytest.mark.parametrize("fmtp", ["", "111/112", "0/5", "111/111/96"])
def test_red_around_anything_else_is_not_taken(fmtp: str) -> None:
    lines = ["m=audio 9 UDP/TLS/RTP/SAVPF 111 63", "a=mid:0", "a=rtpmap:111 opus/48000/2", "a=rtpmap:63 red/48000/2"]
    (section,) = parse("\r\n".join(["v=0", *lines, *([f"a=fmtp:63 {fmtp}"] if fmtp else [])])).sections
    pick = choose(section, ["VP8"], True)
    assert pick is not None
    assert pick.red_payload_type == 0


def test_viewers_are_offered_opus_and_red_around_it() -> None:
    outgoing = Outgoing("0", "audio", OPUS, 0, 1, 0, "p", "t", VIEWER_RED)
    (offered,) = parse(write_offer([outgoing], LOCAL, 1)).sections
    assert list(offered.codecs) == [OPUS.payload_type, VIEWER_RED]
    assert offered.codecs[VIEWER_RED].fmtp == f"{OPUS.payload_type}/{OPUS.payload_type}"


def test_a_track_says_whether_it_is_red() -> None:
    track = Track("t", "p", TrackKind.MICROPHONE, OPUS)
    assert not track.is_red
    track.source = Source("t", "0", Chosen(OPUS, 0), [], {}, [])
    assert not track.is_red
    track.source = Source("t", "0", Chosen(OPUS, 0, red_payload_type=RED), [], {}, [])
    assert track.is_red
