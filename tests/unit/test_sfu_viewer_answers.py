"""What a client that offers to receive is answered with, and what it gets when tracks come and go."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.descriptions import Local
from sfu.inbound import Inbound, Source
from sfu.interfaces import NegotiationError, TrackKind, Watch
from sfu.negotiation import Chosen
from sfu.sdp import Codec, Description, Section, parse
from sfu.track import Track
from sfu.viewer import Viewer
from sfu.viewing import assign, wanted
from tests.support.sfu_media import H264, OPUS, VP8, SubscribeTransport

CHROMIUM = (Path(__file__).parents[1] / "vectors" / "whip" / "chromium_watch.sdp").read_bytes().decode()
VP9 = Codec("vp9", 98, 90_000, 1, "profile-id=0", ())
UNKNOWN = Codec("vp10", 99, 90_000, 1, "", ())


def track(name: str, kind: TrackKind = TrackKind.CAMERA, codec: Codec | None = None, of: str = "p_a") -> Track:
    return Track(name, of, kind, codec or (OPUS if kind.media == "audio" else VP8))


def microphone(name: str, of: str = "p_a") -> Track:
    return track(name, TrackKind.MICROPHONE, of=of)


class Watching:
    """A client before a room with these tracks."""

    def __init__(self, *tracks: Track, watch: Watch | None = None, max_subscriptions: int = 64) -> None:
        self.tracks = list(tracks)
        self.transports: list[SubscribeTransport] = []
        self.viewer = Viewer(
            self._transport,  # type: ignore[arg-type]
            lambda _transport: Local("ourufrag", "p" * 24, "AB", [("192.0.2.1", 8189)]),
            max_subscriptions,
            lambda _track_id, _state: None,
            watch or Watch(),
            lambda: self.tracks,
        )

    def _transport(self, _inbound: Inbound) -> SubscribeTransport:
        self.transports.append(SubscribeTransport())
        return self.transports[-1]

    def offer(self, text: str = CHROMIUM) -> Description:
        return parse(self.viewer.take_offer(text))

    def connect(self) -> None:
        self.transports[0].state = "connected"
        self.viewer.run()

    def publish(self, track: Track) -> None:
        self.tracks.append(track)
        self.viewer.add(track)

    def end(self, track: Track) -> None:
        self.tracks.remove(track)
        self.viewer.remove(track)

    def carried(self) -> list[str]:
        """The tracks that are sent."""
        return [t.track_id for t in self.tracks if t.subscriptions]


def watching(*tracks: Track, watch: Watch | None = None) -> Watching:
    """One that offered as Chromium does and is connected."""
    client = Watching(*tracks, watch=watch)
    client.offer()
    client.connect()
    return client


# --- the answer


def test_each_section_is_answered_with_a_track_under_the_numbers_that_the_client_gave_its_codec() -> None:
    answer = Watching(track("t_c"), microphone("t_m")).offer()
    video, audio = answer.sections
    assert (video.mid, video.kind, video.direction, video.setup) == ("0", "video", "sendonly", "passive")
    assert [(c.name, c.payload_type) for c in video.codecs.values()] == [("vp8", 96), ("rtx", 97)]
    assert video.codecs[97].parameter("apt") == "96"
    assert video.codecs[96].feedback == ("goog-remb", "ccm fir", "nack", "nack pli")
    assert list(video.repair_of.values()) == video.ssrcs[:1]
    assert (audio.mid, audio.kind, audio.direction) == ("1", "audio", "sendonly")
    assert [(c.name, c.payload_type) for c in audio.codecs.values()] == [("opus", 111)]


@pytest.mark.parametrize(("codec", "number"), [(VP8, 96), (VP9, 98), (H264, 108)])
def test_the_codec_is_that_of_the_track(codec: Codec, number: int) -> None:
    video = Watching(track("t_c", codec=codec)).offer().sections[0]
    assert next(iter(video.codecs)) == number
    assert video.codecs[number].name == codec.name


def test_of_h264_the_variant_that_every_browser_decodes_is_taken() -> None:
    video = Watching(track("t_c", codec=H264)).offer().sections[0]
    assert video.codecs[108].parameter("profile-level-id") == "42e01f"
    only_single_packets = CHROMIUM.replace("packetization-mode=1", "packetization-mode=0")
    with pytest.raises(NegotiationError):
        Watching(track("t_c", codec=H264)).offer(only_single_packets)


def test_a_section_without_a_track_is_rejected() -> None:
    video, audio = Watching(microphone("t_m")).offer().sections
    assert video.rejected
    assert not audio.rejected


def test_a_client_without_rtx_gets_none() -> None:
    video = Watching(track("t_c")).offer(CHROMIUM.replace("apt=96", "apt=95")).sections[0]
    assert list(video.codecs) == [96]
    assert video.repair_of == {}


def test_a_header_extension_is_taken_only_under_the_number_that_our_packets_have() -> None:
    other = Watching(track("t_c")).offer().sections[0]
    assert other.extensions == {}
    renumbered = CHROMIUM.replace("a=extmap:1 urn:ietf:params:rtp-hdrext:toffset\r\n", "")
    renumbered = renumbered.replace("a=extmap:3 urn:3gpp:video-orientation", "a=extmap:1 urn:3gpp:video-orientation")
    assert Watching(track("t_c")).offer(renumbered).sections[0].extensions == {"urn:3gpp:video-orientation": 1}


def test_feedback_on_arrivals_is_taken_where_our_numbers_can_be_in_the_packets_else_the_clients_own_estimate() -> None:
    client = watching(track("t_c"))
    (subscription,) = client.viewer.subscriptions()
    assert not subscription.numbered
    assert client.transports[0].outbound.estimator is not None, "by REMB"
    uri = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
    renumbered = CHROMIUM.replace(f"a=extmap:4 {uri}", f"a=extmap:2 {uri}")
    renumbered = renumbered.replace("a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n", "")
    client = Watching(track("t_c"))
    assert "transport-cc" in client.offer(renumbered).sections[0].codecs[96].feedback
    (subscription,) = client.viewer.subscriptions()
    assert subscription.numbered


def test_red_is_taken_where_the_sound_comes_as_red_and_the_client_offers_it_around_opus() -> None:
    sound = microphone("t_m")
    sound.source = Source("t_m", "0", Chosen(OPUS, 0, red_payload_type=63), [], {}, [])
    client = Watching(sound)
    audio = client.offer().sections[1]
    assert [(c.name, c.payload_type) for c in audio.codecs.values()] == [("opus", 111), ("red", 63)]
    (subscription,) = client.viewer.subscriptions()
    assert subscription.red_payload_type == 63
    without = Watching(sound)
    assert list(without.offer(CHROMIUM.replace("a=fmtp:63 111/111", "a=fmtp:63 112/112")).sections[1].codecs) == [111]
    (subscription,) = without.viewer.subscriptions()
    assert subscription.red_payload_type == 0


def test_a_client_that_waits_for_a_handshake_is_called() -> None:
    client = Watching(track("t_c"))
    answer = client.offer(CHROMIUM.replace("a=setup:actpass", "a=setup:passive"))
    assert {section.setup for section in answer.sections if not section.rejected} == {"active"}


@pytest.mark.parametrize(
    ("tracks", "text", "error"),
    [
        ([], CHROMIUM, "nothing_to_watch"),
        ([track("t_c", codec=UNKNOWN)], CHROMIUM, "no_common_codec"),
        ([track("t_c")], CHROMIUM.replace("a=recvonly", "a=sendonly"), "no_common_codec"),
        ([track("t_c")], CHROMIUM.replace("a=recvonly", "a=inactive"), "no_common_codec"),
        ([track("t_c")], "nonsense", "bad_sdp"),
        ([track("t_c")], CHROMIUM.replace("a=setup:actpass\r\n", ""), "bad_sdp"),
        ([track("t_c")], CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "dtls_required"),
        ([track("t_c")], CHROMIUM.replace("a=fingerprint:sha-256", "a=fingerprint:md5"), "bad_fingerprint"),
    ],
)
def test_an_offer_that_cannot_be_answered_makes_no_transport(tracks: list[Track], text: str, error: str) -> None:
    client = Watching(*tracks)
    with pytest.raises(NegotiationError) as caught:
        client.offer(text)
    assert caught.value.id == error
    assert client.transports == []
    assert client.viewer.subscriptions() == []


def test_nothing_is_sent_before_the_connection_is_up_nor_after_it_is_gone() -> None:
    client = Watching(track("t_c"))
    client.offer()
    assert client.carried() == []
    client.connect()
    assert client.carried() == ["t_c"]
    client.transports[0].state = "failed"
    client.viewer.run()
    assert client.carried() == []


# --- which tracks


def test_the_newest_camera_is_shown_and_the_sound_that_belongs_to_it() -> None:
    client = watching(
        microphone("t_am"),
        track("t_ac"),
        microphone("t_bm", of="p_b"),
        track("t_bc", of="p_b"),
        microphone("t_cm", of="p_c"),
    )
    assert client.carried() == ["t_bm", "t_bc"]


def test_kinds_are_wanted_in_the_order_of_the_right_to_watch() -> None:
    tracks = [track("t_s", TrackKind.SCREEN), track("t_c"), microphone("t_m")]
    assert watching(*tracks).carried() == ["t_c", "t_m"]
    screen_first = Watch(kinds=(TrackKind.SCREEN, TrackKind.CAMERA))
    tracks = [track("t_s", TrackKind.SCREEN), track("t_c"), microphone("t_m")]
    assert watching(*tracks, watch=screen_first).carried() == ["t_s"]


def test_one_participant_alone_is_watched_where_the_right_says_so() -> None:
    tracks = [track("t_ac"), microphone("t_am"), track("t_bc", of="p_b"), microphone("t_bm", of="p_b")]
    assert watching(*tracks, watch=Watch(participant_id="p_a")).carried() == ["t_ac", "t_am"]


def test_a_second_section_of_the_medium_carries_the_next_track() -> None:
    second = CHROMIUM[CHROMIUM.index("m=video") : CHROMIUM.index("m=audio")].replace("a=mid:0", "a=mid:2")
    client = Watching(track("t_1"), track("t_2", of="p_b"), track("t_3", of="p_c"))
    client.offer((CHROMIUM + second).replace("BUNDLE 0 1", "BUNDLE 0 1 2"))
    client.connect()
    assert client.carried() == ["t_2", "t_3"]


def test_more_sections_than_the_limit_are_rejected_and_counted() -> None:
    client = Watching(track("t_c"), microphone("t_m"), max_subscriptions=1)
    assert [section.rejected for section in client.offer().sections] == [False, True]
    assert client.viewer.not_offered == 1


# --- tracks that come and go


def test_a_section_whose_track_ended_carries_the_next_that_fits_under_the_same_ssrc() -> None:
    older, newer = track("t_a"), track("t_b", of="p_b")
    client = watching(older, newer)
    (subscription,) = client.viewer.subscriptions()
    client.end(newer)
    assert client.carried() == ["t_a"]
    assert client.viewer.subscriptions() == [subscription]
    assert subscription.track_id == "t_a"
    assert newer.subscriptions == []


def test_a_section_is_silent_until_a_fitting_track_is_published() -> None:
    camera = track("t_a")
    client = watching(camera)
    client.end(camera)
    client.publish(track("t_h", codec=H264))
    client.publish(microphone("t_m"))
    assert client.carried() == []
    client.publish(track("t_b"))
    assert client.carried() == ["t_b"]


def test_a_section_that_carries_a_track_keeps_it() -> None:
    client = watching(track("t_a"))
    client.publish(track("t_b"))
    assert client.carried() == ["t_a"]


def test_closing_ends_all() -> None:
    client = watching(track("t_c"), microphone("t_m"))
    client.viewer.close()
    assert client.carried() == []
    assert client.transports[0].state == "closed"
    assert client.transports[0].outbound.all() == []


# --- any room, any sections


def receiving(mid: str, kind: str, codecs: Iterable[Codec], direction: str = "recvonly") -> Section:
    return Section(
        kind=kind,
        mid=mid,
        rejected=False,
        protocol="UDP/TLS/RTP/SAVPF",
        direction=direction,
        codecs={codec.payload_type: codec for codec in codecs},
        extensions={},
        ssrcs=[],
        repair_of={},
        rids=[],
        ice_ufrag="ufrag",
        ice_pwd="p" * 24,
        fingerprints=[],
        setup="actpass",
    )


SECTIONS = st.lists(
    st.tuples(
        st.sampled_from(["audio", "video", "application"]),
        st.lists(st.sampled_from([OPUS, VP8, VP9, H264])),
        st.sampled_from(["recvonly", "sendrecv", "sendonly", "inactive"]),
    ),
    max_size=6,
)
TRACKS = st.lists(
    st.tuples(st.sampled_from(TrackKind), st.sampled_from([VP8, VP9, H264, UNKNOWN]), st.sampled_from(["p_a", "p_b"])),
    max_size=8,
)
WATCHES = st.builds(
    Watch,
    participant_id=st.sampled_from(["", "p_a", "p_nobody"]),
    kinds=st.lists(st.sampled_from(TrackKind), unique=True).map(tuple),
)


@given(SECTIONS, TRACKS, WATCHES)
def test_every_track_stands_in_one_section_at_most_that_takes_it_and_may_be_watched(
    described: list[tuple[str, list[Codec], str]], published: list[tuple[TrackKind, Codec, str]], watch: Watch
) -> None:
    sections = [receiving(str(n), *parts) for n, parts in enumerate(described)]
    tracks = [
        track(f"t_{n}", kind, None if kind.media == "audio" else codec, of)
        for n, (kind, codec, of) in enumerate(published)
    ]
    places = assign(sections, wanted(tracks, watch))
    carried = [placed.track_id for placed, _ in places.values()]
    assert len(set(carried)) == len(carried)
    for mid, (placed, chosen) in places.items():
        section = sections[int(mid)]
        assert section.kind == placed.kind.media
        assert section.direction in ("recvonly", "sendrecv")
        assert section.codecs[chosen.codec.payload_type].name == placed.codec.name
        assert placed.kind in watch.kinds
        assert watch.participant_id in ("", placed.participant_id)
    if not places:
        fitting = [
            (s, t)
            for s in sections
            for t in wanted(tracks, watch)
            if s.kind == t.kind.media
            and s.direction in ("recvonly", "sendrecv")
            and t.codec.name in {codec.name for codec in s.codecs.values()}
        ]
        assert fitting == []
