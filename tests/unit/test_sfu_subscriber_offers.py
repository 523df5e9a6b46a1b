"""Offers to a viewer: one at a time, sections used again, answers that are late, refused or hostile."""

import pytest

from sfu.descriptions import Local
from sfu.inbound import Inbound
from sfu.interfaces import DeliveryState, NegotiationError, SubscribedTrack, TrackKind
from sfu.sdp import Codec, Description, parse
from sfu.subscriber import FIRST_PAYLOAD_TYPE, Subscriber
from sfu.track import Track
from tests.support import sdp
from tests.support.sfu_media import H264, OPUS, VP8, SubscribeTransport, encoding, vp8

MAX_SUBSCRIPTIONS = 5
CREDENTIALS = sdp.Credentials("ufrag", "p" * 24, "AA:BB")


class Offered:
    def __init__(self, max_subscriptions: int = 64) -> None:
        self.offers: list[tuple[int, str, list[SubscribedTrack]]] = []
        self.deliveries: list[tuple[str, DeliveryState]] = []
        self.transport = SubscribeTransport()
        self.subscriber = Subscriber(
            self._transport,  # type: ignore[arg-type]
            lambda _transport: Local(f"ufrag{self.transport.restarts}", "p" * 24, "AB", [("192.0.2.1", 8189)]),
            lambda id, text, tracks: self.offers.append((id, text, list(tracks))),
            max_subscriptions,
            lambda track_id, state: self.deliveries.append((track_id, state)),
        )

    def _transport(self, _inbound: Inbound) -> SubscribeTransport:
        return self.transport

    @property
    def description(self) -> Description:
        return parse(self.offers[-1][1])

    def answer(self, place: int = -1, text: str | None = None) -> None:
        """Take everything that the offer at `place` has, or answer with `text`."""
        id, offered, _ = self.offers[place]
        self.subscriber.answer(id, text or sdp.answer(CREDENTIALS, sdp.Description.parse(offered)))

    def connect(self) -> None:
        self.transport.state = "connected"
        self.subscriber.run()

    def shape(self) -> list[tuple[str, str, str]]:
        return [(s.mid, s.kind, s.direction) for s in self.description.sections]


def track(name: str, kind: TrackKind = TrackKind.CAMERA, codec: Codec | None = None) -> Track:
    return Track(name, "p_a", kind, codec or (OPUS if kind.media == "audio" else VP8))


def microphone(name: str) -> Track:
    return track(name, TrackKind.MICROPHONE)


def watching(*tracks: Track) -> Offered:
    """A viewer who took an offer of these tracks and is connected."""
    offered = Offered()
    for item in tracks:
        offered.subscriber.add(item)
    offered.subscriber.ready()
    offered.answer()
    offered.connect()
    return offered


def test_nothing_is_offered_before_the_viewer_can_take_it_and_then_all_at_once() -> None:
    offered = Offered()
    offered.subscriber.add(microphone("t_a"))
    offered.subscriber.add(track("t_b"))
    assert offered.offers == []
    offered.subscriber.ready()
    ((id, _, tracks),) = offered.offers
    assert id == 1
    assert tracks == [
        SubscribedTrack("0", "t_a", "p_a", TrackKind.MICROPHONE),
        SubscribedTrack("1", "t_b", "p_a", TrackKind.CAMERA),
    ]
    assert offered.shape() == [("0", "audio", "sendonly"), ("1", "video", "sendonly")]


def test_a_viewer_of_nothing_gets_no_offer() -> None:
    offered = Offered()
    offered.subscriber.ready()
    offered.subscriber.resend()
    assert offered.offers == []


def test_one_offer_is_out_at_a_time_and_what_changed_meanwhile_goes_into_the_next() -> None:
    offered = Offered()
    offered.subscriber.ready()
    offered.subscriber.add(track("t_a"))
    gone = track("t_b")
    offered.subscriber.add(gone)
    offered.subscriber.add(microphone("t_c"))
    offered.subscriber.remove(gone)
    assert len(offered.offers) == 1
    offered.answer()
    assert [id for id, _, _ in offered.offers] == [1, 2]
    assert [t.track_id for t in offered.offers[1][2]] == ["t_a", "t_c"]
    offered.answer()
    assert len(offered.offers) == 2


def test_what_was_taken_is_sent_once_connected() -> None:
    published = track("t_a")
    offered = Offered()
    offered.subscriber.add(published)
    offered.subscriber.ready()
    offered.answer()
    assert published.subscriptions == []
    offered.connect()
    assert published.subscriptions == offered.subscriber.subscriptions()
    offered.subscriber.run()
    assert len(published.subscriptions) == 1
    offered.subscriber.remove(published)
    assert published.subscriptions == []
    assert offered.transport.outbound.all() == []


# --- sections


def test_sections_of_ended_tracks_are_used_again_with_other_streams() -> None:
    first = track("t_a")
    offered = watching(first, microphone("t_m"))
    before = offered.description.sections[0].ssrcs
    offered.subscriber.remove(first)
    assert offered.shape()[0] == ("0", "video", "inactive")
    offered.answer()
    offered.subscriber.add(track("t_b"))
    assert offered.shape() == [("0", "video", "sendonly"), ("1", "audio", "sendonly")]
    after = offered.description.sections[0].ssrcs
    assert not set(before) & set(after)
    offered.answer()
    assert [s.track_id for s in offered.subscriber.subscriptions()] == ["t_b", "t_m"]


def test_a_section_is_not_used_for_another_medium() -> None:
    first = track("t_a")
    offered = watching(first)
    offered.subscriber.remove(first)
    offered.answer()
    offered.subscriber.add(microphone("t_m"))
    assert offered.shape() == [("0", "video", "inactive"), ("1", "audio", "sendonly")]


def test_sections_are_capped_and_what_finds_none_is_counted() -> None:
    offered = Offered(MAX_SUBSCRIPTIONS)
    for number in range(MAX_SUBSCRIPTIONS + 3):
        offered.subscriber.add(track(f"t_{number}"))
    assert offered.subscriber.not_offered == 3
    offered.subscriber.ready()
    assert len(offered.description.sections) == MAX_SUBSCRIPTIONS


def test_what_was_left_out_is_offered_once_there_is_place() -> None:
    offered = Offered(MAX_SUBSCRIPTIONS)
    tracks = [track(f"t_{number}") for number in range(MAX_SUBSCRIPTIONS + 2)]
    for one in tracks:
        offered.subscriber.add(one)
    offered.subscriber.ready()
    offered.answer()
    offered.subscriber.remove(tracks[-2])
    assert len(offered.offers) == 1, "it had no place, so nothing changes for the viewer"
    offered.subscriber.remove(tracks[0])
    assert [t.track_id for t in offered.offers[-1][2]] == ["t_6", "t_1", "t_2", "t_3", "t_4"]
    assert offered.subscriber.left_out == []
    assert offered.subscriber.not_offered == 2, "that stays counted"


def test_a_track_that_fits_no_free_section_goes_on_waiting() -> None:
    offered = Offered(1)
    first, second = track("t_v"), microphone("t_m")
    offered.subscriber.add(first)
    offered.subscriber.add(second)
    offered.subscriber.ready()
    offered.answer()
    offered.subscriber.remove(first)
    assert [t.track_id for t in offered.subscriber.left_out] == ["t_m"]
    assert offered.shape() == [("0", "video", "inactive")]


def test_a_payload_type_means_one_codec_for_the_whole_connection() -> None:
    profiles = [f"packetization-mode=1;profile-level-id=42e0{n:02x}" for n in range(3)]
    codecs = [VP8, *(Codec("h264", 102, 90_000, 1, fmtp, ()) for fmtp in profiles), VP8]
    offered = Offered()
    for number, codec in enumerate(codecs):
        offered.subscriber.add(track(f"t_{number}", codec=codec))
    offered.subscriber.add(microphone("t_m"))
    offered.subscriber.ready()
    numbers = [list(section.codecs) for section in offered.description.sections]
    assert numbers[0] == numbers[4] == [FIRST_PAYLOAD_TYPE, FIRST_PAYLOAD_TYPE + 1]
    assert len({number[0] for number in numbers}) == 5
    assert [
        s.codecs[n[0]].fmtp for s, n in zip(offered.description.sections[1:4], numbers[1:4], strict=True)
    ] == profiles


def test_when_no_payload_type_is_left_the_track_is_not_offered_and_nobody_suffers() -> None:
    offered = Offered()
    for number in range(20):
        offered.subscriber.add(track(f"t_{number}", codec=Codec("h264", 102, 90_000, 1, f"x={number}", ())))
    assert offered.subscriber.not_offered == 4
    offered.subscriber.ready()
    assert all(n <= 127 for section in offered.description.sections for n in section.codecs)


# --- answers


def test_an_answer_to_an_old_offer_is_ignored() -> None:
    first = track("t_a")
    offered = Offered()
    offered.subscriber.add(first)
    offered.subscriber.ready()
    offered.connect()
    offered.subscriber.resend()
    assert [id for id, _, _ in offered.offers] == [1, 2]
    offered.answer(0)
    assert first.subscriptions == []
    offered.answer(1)
    assert len(first.subscriptions) == 1
    offered.answer(1)
    offered.subscriber.answer(77, "nonsense")
    assert len(offered.offers) == 2


def test_an_answer_for_a_track_that_was_replaced_meanwhile_does_not_start_its_successor() -> None:
    first, second = track("t_a"), track("t_b")
    offered = Offered()
    offered.subscriber.add(first)
    offered.subscriber.ready()
    offered.connect()
    offered.subscriber.remove(first)
    offered.subscriber.add(second)
    offered.answer()
    assert (first.subscriptions, second.subscriptions) == ([], [])
    offered.answer()
    assert len(second.subscriptions) == 1


def refusing(offered: Offered, *mids: str) -> str:
    """An answer that rejects sections as browsers do: port 0 and nothing of the transport."""
    sections = sdp.answer(CREDENTIALS, sdp.Description.parse(offered.offers[-1][1])).split("m=")
    kept = ("a=mid", "a=rtpmap", "a=fmtp", "c=")
    for place, text in enumerate(sections):
        if any(f"a=mid:{mid}\r\n" in text for mid in mids):
            head, *lines = text.replace(" 9 ", " 0 ", 1).split("\r\n")
            sections[place] = "\r\n".join([head, *(line for line in lines if line.startswith(kept)), "a=inactive", ""])
    return "m=".join(sections)


def test_a_refused_section_gets_no_subscription_and_the_others_do() -> None:
    camera, voice = track("t_a"), microphone("t_m")
    offered = Offered()
    offered.subscriber.add(camera)
    offered.subscriber.add(voice)
    offered.subscriber.ready()
    offered.connect()
    offered.answer(text=refusing(offered, "0"))
    assert (len(camera.subscriptions), len(voice.subscriptions)) == (0, 1)


def test_a_viewer_who_refuses_everything_can_still_be_offered_something_else() -> None:
    camera, voice = track("t_a", codec=H264), microphone("t_m")
    offered = Offered()
    offered.subscriber.add(camera)
    offered.subscriber.ready()
    offered.connect()
    offered.answer(text=refusing(offered, "0"))
    assert camera.subscriptions == []
    offered.subscriber.add(voice)
    assert len(offered.offers) == 2
    offered.answer(text=refusing(offered, "0"))
    assert (len(camera.subscriptions), len(voice.subscriptions)) == (0, 1)


@pytest.mark.parametrize("refusal", ["reject", "inactive", "codec"])
def test_a_section_that_was_taken_and_is_refused_later_is_no_longer_sent(refusal: str) -> None:
    camera, voice = track("t_a"), microphone("t_m")
    offered = watching(camera, voice)
    assert len(camera.subscriptions) == 1
    offered.subscriber.add(microphone("t_n"))
    taken = sdp.answer(CREDENTIALS, sdp.Description.parse(offered.offers[-1][1]))
    text = {
        "reject": refusing(offered, "0"),
        "inactive": taken.replace("a=recvonly", "a=inactive", 1),
        "codec": taken.replace("m=video 9 UDP/TLS/RTP/SAVPF 96 97", "m=video 9 UDP/TLS/RTP/SAVPF 97"),
    }[refusal]
    assert text != taken
    offered.answer(text=text)
    assert (len(camera.subscriptions), len(voice.subscriptions)) == (0, 1)
    offered.subscriber.resend()
    offered.answer()
    assert len(camera.subscriptions) == 1, "taken again, with the same streams"
    assert camera.subscriptions[0] is offered.subscriber.subscriptions()[0]


@pytest.mark.parametrize(
    ("old", "new", "id"),
    [
        ("a=setup:active", "a=setup:passive", "bad_sdp"),
        ("a=setup:active", "a=setup:actpass", "bad_sdp"),
        ("sha-256", "sha-1", "bad_fingerprint"),
        ("UDP/TLS/RTP/SAVPF", "RTP/SAVPF", "dtls_required"),
        ("v=0", "v=1", "bad_sdp"),
    ],
)
def test_an_answer_that_cannot_be_used_changes_nothing_and_may_be_mended(old: str, new: str, id: str) -> None:
    camera = track("t_a")
    offered = Offered()
    offered.subscriber.add(camera)
    offered.subscriber.ready()
    offered.connect()
    good = sdp.answer(CREDENTIALS, sdp.Description.parse(offered.offers[-1][1]))
    with pytest.raises(NegotiationError) as caught:
        offered.answer(text=good.replace(old, new))
    assert caught.value.id == id
    assert (camera.subscriptions, offered.transport.fingerprints) == ([], [])
    offered.answer(text=good)
    assert len(camera.subscriptions) == 1


def test_another_peer_connection_cannot_answer_for_this_one() -> None:
    offered = watching(track("t_a"))
    offered.subscriber.add(track("t_b"))
    text = sdp.answer(sdp.Credentials("theirs", "p" * 24, "CC:DD"), sdp.Description.parse(offered.offers[-1][1]))
    with pytest.raises(NegotiationError, match="another peer connection"):
        offered.answer(text=text)


# --- the end


def test_a_subscription_that_runs_is_stopped_when_its_track_ends() -> None:
    camera = track("t_a")
    offered = watching(camera)
    source = encoding(VP8, 5)
    camera.heard(source)
    source.accept(0, 0, 0, vp8(0, key=True), 0, -1, 1.0)
    source.flush()
    assert len(source.targets) == 1
    offered.subscriber.remove(camera)
    assert (source.targets, source.subscriptions, source.waiting) == ([], [], [])


@pytest.mark.parametrize("state", ["failed", "closed"])
def test_a_dead_transport_is_sent_nothing_more(state: str) -> None:
    """A viewer whose consent expired must get no more packets (RFC 7675 5.1)."""
    camera = track("t_a")
    offered = watching(camera)
    source = encoding(VP8, 5)
    camera.heard(source)
    source.accept(0, 0, 0, vp8(0, key=True), 0, -1, 1.0)
    source.flush()
    offered.transport.state = state
    offered.subscriber.run()
    assert source.targets == []
    offered.subscriber.close()


def test_an_ice_restart_is_offered_at_once_with_the_same_streams() -> None:
    offered = watching(track("t_a"), microphone("t_m"))
    before = offered.offers[-1][1]
    assert offered.subscriber.restart_ice()
    after = offered.offers[-1][1]
    assert after.replace("ufrag1", "ufrag0").replace("o=- 1 2 ", "o=- 1 1 ") == before
    assert "a=ice-ufrag:ufrag1" in after
    offered.answer()
    assert [s.encoding for s in offered.subscriber.subscriptions()] == [None, None]
    assert offered.transport.restarts == 1


def test_an_ice_restart_behind_an_open_offer_comes_after_its_answer() -> None:
    offered = watching(track("t_a"))
    offered.subscriber.add(track("t_b"))
    count = len(offered.offers)
    assert offered.subscriber.restart_ice()
    assert len(offered.offers) == count
    offered.answer()
    assert len(offered.offers) == count + 1
    assert "a=ice-ufrag:ufrag1" in offered.offers[-1][1]


def test_there_is_nothing_to_restart_before_the_first_offer_and_after_the_end() -> None:
    offered = Offered()
    offered.subscriber.ready()
    assert offered.subscriber.restart_ice()
    assert offered.offers == []
    ended = watching(track("t_a"))
    ended.transport.state = "failed"
    assert not ended.subscriber.restart_ice()
    assert (ended.transport.restarts, len(ended.offers)) == (0, 1)


def test_closing_stops_every_subscription_and_closes_the_transport() -> None:
    camera, voice = track("t_a"), microphone("t_m")
    offered = watching(camera, voice)
    offered.subscriber.close()
    assert (camera.subscriptions, voice.subscriptions) == ([], [])
    assert offered.transport.state == "closed"
    Offered().subscriber.close()
