"""What a publisher's offers do to its tracks and its transport; an offer that is refused changes nothing."""

import re
from pathlib import Path

import pytest

from sfu.descriptions import Local
from sfu.encoding import Encoding
from sfu.inbound import Inbound
from sfu.interfaces import NegotiationError, TrackKind, TrackRequest
from sfu.publisher import Publisher, requests_of
from sfu.sdp import parse
from sfu.settings import MediaSettings
from sfu.srtp import Profile
from sfu.track import Track
from tests.support import sdp
from tests.support.sfu_media import MID_ID, deliver, one_byte_extensions
from tests.support.sfu_media import Publisher as Sender

VECTORS = Path(__file__).parents[1] / "vectors"
CHROMIUM = (VECTORS / "chromium_publish.sdp").read_bytes().decode()
WHIP = {path.stem: path.read_bytes().decode() for path in (VECTORS / "whip").glob("*_publish.sdp")}
CODECS = MediaSettings().video_codecs
MICROPHONE, CAMERA = TrackRequest("0", TrackKind.MICROPHONE), TrackRequest("1", TrackKind.CAMERA)
BOTH = [MICROPHONE, CAMERA]


class FakeTransport:
    """What a Publisher needs of a Transport."""

    def __init__(self, inbound: Inbound) -> None:
        self.inbound = inbound
        self.fingerprints: list[tuple[str, str]] = []
        self.state = "new"
        self.setup = "passive"
        self.profile: Profile | None = None
        self.remote_ice = ("", "")
        self.restarts = 0

    def restart_ice(self) -> None:
        self.restarts += 1

    def be_dtls_client(self) -> None:
        self.setup = "active"

    def close(self) -> None:
        self.state = "closed"


class Published:
    def __init__(self) -> None:
        self.transports: list[FakeTransport] = []
        self.heard: list[tuple[Track, Encoding]] = []
        self.changes: list[tuple[Track, Track]] = []
        self.touched: list[Encoding] = []
        self.ids = iter(f"t_{n}" for n in range(100))
        self.publisher = Publisher(
            "p_a",
            MediaSettings(),
            self._transport,  # type: ignore[arg-type]
            lambda _transport: Local("ourufrag", "p" * 24, "AB", [("192.0.2.1", 8189)]),
            lambda: next(self.ids),
            self.touched,
            lambda track, encoding: self.heard.append((track, encoding)),
            lambda before, after: self.changes.append((before, after)),
        )

    def _transport(self, inbound: Inbound) -> FakeTransport:
        self.transports.append(FakeTransport(inbound))
        return self.transports[-1]

    def offer(self, text: str, requests: list[TrackRequest]) -> tuple[str, list[str], list[str]]:
        answer, new, ended = self.publisher.offer(text, requests)
        return answer, [t.track_id for t in new], [t.track_id for t in ended]

    def refused(self, text: str, requests: list[TrackRequest]) -> str:
        before = (dict(self.publisher.tracks), len(self.transports), self.publisher.transport)
        with pytest.raises(NegotiationError) as caught:
            self.publisher.offer(text, requests)
        assert (dict(self.publisher.tracks), len(self.transports), self.publisher.transport) == before
        return caught.value.id


def offer(*lines: sdp.Outgoing, fingerprint: str = "AA:BB") -> str:
    return sdp.offer(sdp.Credentials("ufrag", "p" * 24, fingerprint), lines)


def test_a_first_offer_makes_tracks_and_a_transport() -> None:
    published = Published()
    answer, new, ended = published.offer(CHROMIUM, BOTH)
    assert (new, ended) == (["t_0", "t_1"], [])
    tracks = published.publisher.tracks
    assert [(t.kind, t.codec.name, t.participant_id) for t in tracks.values()] == [
        (TrackKind.MICROPHONE, "opus", "p_a"),
        (TrackKind.CAMERA, "vp8", "p_a"),
    ]
    assert [s.direction for s in parse(answer).sections] == ["recvonly", "recvonly"]
    (transport,) = published.transports
    assert transport.fingerprints == parse(CHROMIUM).sections[0].fingerprints
    assert set(transport.inbound.sources) == {"0", "1"}


def test_an_offer_may_announce_fewer_tracks_than_it_has_sections() -> None:
    published = Published()
    answer, new, _ = published.offer(CHROMIUM, [CAMERA])
    assert new == ["t_0"]
    assert not any(s.rejected for s in parse(answer).sections)


def test_the_same_offer_again_changes_nothing_and_raises_the_version() -> None:
    published = Published()
    first, _, _ = published.offer(CHROMIUM, BOTH)
    second, new, ended = published.offer(CHROMIUM, BOTH)
    assert (new, ended, len(published.transports)) == ([], [], 1)
    assert first.replace("o=- 1 2 ", "o=- 1 3 ") == second


def test_a_track_that_is_not_announced_any_more_ends_and_a_new_one_begins() -> None:
    published = Published()
    published.offer(CHROMIUM, [MICROPHONE])
    _, new, ended = published.offer(CHROMIUM, [CAMERA])
    assert (new, ended) == (["t_1"], ["t_0"])
    assert set(published.transports[0].inbound.sources) == {"1"}


def test_a_section_that_carries_another_source_than_before_is_another_track() -> None:
    published = Published()
    published.offer(CHROMIUM, [CAMERA])
    _, new, ended = published.offer(CHROMIUM, [TrackRequest("1", TrackKind.SCREEN)])
    assert (new, ended) == (["t_1"], ["t_0"])
    assert [t.kind for t in published.publisher.tracks.values()] == [TrackKind.SCREEN]


@pytest.mark.parametrize(("old", "new"), [("VP8", "H264"), ("H264", "VP8"), ("VP9", "AV1")])
def test_a_section_that_is_sent_in_another_codec_than_before_is_another_track(old: str, new: str) -> None:
    """Its packets are read by the codec that the answer names, and its file holds one codec."""
    published = Published()
    published.offer(offer(sdp.Outgoing("1", "video", old, 7)), [CAMERA])
    answer, begun, ended = published.offer(offer(sdp.Outgoing("1", "video", new, 7)), [CAMERA])
    assert (begun, ended) == (["t_1"], ["t_0"])
    (track,) = published.publisher.tracks.values()
    assert track.codec.name == new.lower()
    assert track.source is published.transports[0].inbound.sources["1"]
    assert next(iter(parse(answer).sections[0].codecs.values())).name == new.lower()
    assert published.offer(offer(sdp.Outgoing("1", "video", new, 7)), [CAMERA])[1:] == ([], [])


def test_an_offer_of_another_peer_connection_replaces_transport_and_tracks() -> None:
    published = Published()
    line = sdp.Outgoing("0", "audio", "opus", 1)
    published.offer(offer(line), [MICROPHONE])
    _, new, ended = published.offer(offer(line, fingerprint="CC:DD"), [MICROPHONE])
    assert (new, ended) == (["t_1"], ["t_0"])
    first, second = published.transports
    assert (first.state, second.state) == ("closed", "new")
    assert first.inbound.sources == {}
    assert published.publisher.transport is second


def with_ice(text: str, ufrag: str = "other", password: str = "q" * 24) -> str:
    text = re.sub(r"a=ice-ufrag:[^\r\n]+", f"a=ice-ufrag:{ufrag}", text)
    return re.sub(r"a=ice-pwd:[^\r\n]+", f"a=ice-pwd:{password}", text)


def test_new_credentials_of_the_same_peer_connection_restart_ice_and_keep_everything_else() -> None:
    published = Published()
    published.offer(CHROMIUM, BOTH)
    (transport,) = published.transports
    sources = dict(transport.inbound.sources)
    published.offer(CHROMIUM, BOTH)
    assert transport.restarts == 0, "the same credentials again are no restart"
    _, new, ended = published.offer(with_ice(CHROMIUM), BOTH)
    assert (new, ended, len(published.transports), transport.restarts) == ([], [], 1, 1)
    assert transport.inbound.sources == sources
    published.offer(with_ice(CHROMIUM), BOTH)
    assert transport.restarts == 1
    published.offer(with_ice(CHROMIUM, password="r" * 24), BOTH)
    assert transport.restarts == 2, "one of the two is enough (RFC 8839 5.4)"


def test_tracks_may_change_in_the_offer_that_restarts_ice() -> None:
    published = Published()
    published.offer(CHROMIUM, BOTH)
    _, new, ended = published.offer(with_ice(CHROMIUM), [CAMERA])
    assert (new, ended, published.transports[0].restarts) == ([], ["t_0"], 1)


def test_a_publisher_that_waits_to_be_called_is_called_and_stays_so() -> None:
    published = Published()
    waiting = CHROMIUM.replace("a=setup:actpass", "a=setup:passive")
    answer, _, _ = published.offer(waiting, BOTH)
    assert {section.setup for section in parse(answer).sections} == {"active"}
    answer, _, _ = published.offer(CHROMIUM, BOTH)
    assert {section.setup for section in parse(answer).sections} == {"active"}
    assert len(published.transports) == 1


@pytest.mark.parametrize("state", ["failed", "closed"])
def test_a_peer_connection_that_was_connected_and_given_up_is_told_so(state: str) -> None:
    """Its DTLS would not begin anew, and the keys are forgotten."""
    published = Published()
    published.offer(CHROMIUM, BOTH)
    published.transports[0].profile = Profile.AEAD_AES_128_GCM
    published.transports[0].state = state
    assert published.refused(with_ice(CHROMIUM), BOTH) == "connection_gone"
    _, new, _ = published.offer(offer(sdp.Outgoing("0", "audio", "opus", 1)), [MICROPHONE])
    assert new == ["t_2"]


@pytest.mark.parametrize("state", ["failed", "closed"])
def test_a_transport_that_never_connected_is_replaced_also_for_the_same_peer_connection(state: str) -> None:
    published = Published()
    published.offer(CHROMIUM, BOTH)
    published.transports[0].state = state
    _, new, ended = published.offer(CHROMIUM, BOTH)
    assert (new, ended, len(published.transports)) == (["t_2", "t_3"], ["t_0", "t_1"], 2)


def test_streams_are_reported_with_their_track() -> None:
    published = Published()
    published.offer(CHROMIUM, BOTH)
    packet = Sender(7, 96).seal(1, b"media", extensions=one_byte_extensions((MID_ID, b"1")))
    deliver(published.transports[0].inbound, packet, 1.0)
    ((track, encoding),) = published.heard
    assert (track.track_id, encoding.ssrc, track.encodings()) == ("t_1", 7, [encoding])
    published.publisher.close()
    assert track.encodings() == [encoding], "its taps are still to be ended"


def test_closing_ends_everything() -> None:
    published = Published()
    assert published.publisher.close() == []
    published.offer(CHROMIUM, BOTH)
    assert [t.track_id for t in published.publisher.close()] == ["t_0", "t_1"]
    assert published.transports[0].state == "closed"


# --- refusals


@pytest.mark.parametrize(
    ("text", "requests", "id"),
    [
        ("nonsense", [], "bad_sdp"),
        (CHROMIUM, [TrackRequest("7", TrackKind.CAMERA)], "bad_tracks"),
        (CHROMIUM, [TrackRequest("0", TrackKind.CAMERA)], "bad_tracks"),
        (CHROMIUM, [TrackRequest("1", TrackKind.SCREEN_AUDIO)], "bad_tracks"),
        (CHROMIUM.replace("a=sendonly", "a=recvonly"), [MICROPHONE], "bad_tracks"),
        (CHROMIUM.replace("opus", "speex"), [MICROPHONE], "no_common_codec"),
        (CHROMIUM.replace("m=audio 9", "m=audio 0"), [MICROPHONE], "bad_tracks"),
        (CHROMIUM.replace("a=setup:actpass", "a=setup:holdconn"), BOTH, "bad_sdp"),
        (CHROMIUM.replace("a=setup:actpass\r\n", ""), BOTH, "bad_sdp"),
        (CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"), BOTH, "dtls_required"),
        (CHROMIUM.replace("sha-256", "sha-1"), BOTH, "bad_fingerprint"),
    ],
)
def test_an_offer_that_cannot_be_used_changes_nothing(text: str, requests: list[TrackRequest], id: str) -> None:
    published = Published()
    assert published.refused(text, requests) == id
    published.offer(CHROMIUM, BOTH)
    assert published.refused(text, requests) == id


def test_more_tracks_than_the_limit_are_refused() -> None:
    published = Published()
    lines = [sdp.Outgoing(str(n), "audio", "opus", n + 1) for n in range(MediaSettings().limits.tracks + 1)]
    requests = [TrackRequest(line.mid, TrackKind.MICROPHONE) for line in lines]
    assert published.refused(offer(*lines), requests) == "too_many_tracks"
    assert len(published.offer(offer(*lines), requests[:-1])[1]) == MediaSettings().limits.tracks


# --- offers that come without a word about their tracks (WHIP)


@pytest.mark.parametrize(
    ("name", "mids", "numbers", "setup"),
    [
        ("obs_publish", ["0", "1"], [96], "passive"),
        ("ffmpeg_publish", ["0", "1"], [106, 105], "active"),
        ("gstreamer_publish", ["audio1", "video0"], [96], "passive"),
    ],
)
def test_an_encoders_offer_is_a_microphone_and_a_camera(
    name: str, mids: list[str], numbers: list[int], setup: str
) -> None:
    requests = requests_of(WHIP[name], CODECS)
    assert requests == [TrackRequest(mids[0], TrackKind.MICROPHONE), TrackRequest(mids[1], TrackKind.CAMERA)]
    published = Published()
    answer, new, _ = published.offer(WHIP[name], requests)
    assert len(new) == 2
    assert {t.kind.value: t.codec.name for t in published.publisher.tracks.values()} == {
        "microphone": "opus",
        "camera": "h264",
    }
    sections = {section.kind: section for section in parse(answer).sections}
    for section in sections.values():
        assert (section.direction, section.setup, section.extensions) == ("recvonly", setup, {})
    assert list(sections["video"].codecs) == numbers


def test_the_first_section_of_a_medium_counts_and_only_one_that_sends() -> None:
    second = CHROMIUM[CHROMIUM.index("m=video") :].replace("a=mid:1", "a=mid:2")
    assert requests_of((CHROMIUM + second).replace("BUNDLE 0 1", "BUNDLE 0 1 2"), CODECS) == BOTH
    video_only = CHROMIUM.replace("a=sendonly", "a=recvonly", 1)
    assert requests_of(video_only, CODECS) == [CAMERA]


def test_one_section_alone_needs_no_bundle() -> None:
    audio = CHROMIUM[: CHROMIUM.index("m=video")].replace("a=group:BUNDLE 0 1\r\n", "")
    assert requests_of(audio, CODECS) == [MICROPHONE]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nonsense", "bad_sdp"),
        (CHROMIUM.replace("a=sendonly", "a=recvonly"), "bad_tracks"),
        (CHROMIUM.replace("a=setup:actpass\r\n", ""), "bad_sdp"),
        (CHROMIUM.replace("opus/48000/2", "PCMA/8000"), "no_common_codec"),
        (CHROMIUM.replace("a=group:BUNDLE 0 1\r\n", ""), "bundle_required"),
        (CHROMIUM.replace("BUNDLE 0 1", "BUNDLE 0"), "bundle_required"),
        (WHIP["obs_publish"].replace("H264", "H265"), "no_common_codec"),
        (CHROMIUM.replace("a=fingerprint:sha-256", "a=fingerprint:sha-1"), "bad_fingerprint"),
    ],
)
def test_an_offer_that_publishes_nothing_of_ours_is_refused(text: str, error: str) -> None:
    with pytest.raises(NegotiationError) as caught:
        requests_of(text, CODECS)
    assert caught.value.id == error


def test_what_is_no_sound_and_no_picture_may_lie_outside_the_bundle() -> None:
    data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:9\r\na=setup:actpass\r\n"
    assert requests_of(CHROMIUM + data, CODECS) == BOTH


@pytest.mark.parametrize(("first", "second"), [("actpass", "passive"), ("passive", "active")])
def test_a_connection_keeps_the_roles_of_its_handshake(first: str, second: str) -> None:
    published = Published()
    published.offer(CHROMIUM.replace("setup:actpass", f"setup:{first}"), BOTH)
    assert published.refused(CHROMIUM.replace("setup:actpass", f"setup:{second}"), BOTH) == "bad_sdp"
    published.offer(CHROMIUM, BOTH)
    assert len(published.transports) == 1
