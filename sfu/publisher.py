"""A participant's publish connection: offers in, answers out, tracks that come and go."""

from collections.abc import Callable, Sequence

from sfu.descriptions import Local, write_answer
from sfu.encoding import Encoding
from sfu.inbound import Inbound, Source
from sfu.interfaces import NegotiationError, TrackKind, TrackRequest
from sfu.negotiation import Chosen, canonical, check_offer, choose
from sfu.sdp import Description, parse
from sfu.settings import MediaSettings
from sfu.track import Track
from sfu.transport import Transport


def requests_of(sdp: str, video_codecs: Sequence[str]) -> list[TrackRequest]:
    """What an offer publishes that comes without requests (WHIP): its first section of sound is a microphone, its first
    with pictures a camera, further ones nothing. Raises NegotiationError for what `Publisher.offer` would refuse."""
    description = parse(sdp)
    check_offer(description)
    requests: list[TrackRequest] = []
    for kind in (TrackKind.MICROPHONE, TrackKind.CAMERA):
        sending = (s for s in description.sections if not s.rejected and s.direction in ("sendrecv", "sendonly"))
        section = next((section for section in sending if section.kind == kind.media), None)
        if section is None:
            continue
        if choose(section, video_codecs) is None:
            raise NegotiationError("no_common_codec", f"no {kind.media} codec of the offer is taken here")
        requests.append(TrackRequest(section.mid, kind))
    if not requests:
        raise NegotiationError("bad_tracks", "the offer sends neither sound nor pictures")
    return requests


class Publisher:
    """Owns the publish transport and replaces it when the offer comes from another peer connection.

    An offer of the same one with other ICE credentials restarts ICE (RFC 8839 5.4): tracks, SSRCs and keys stay.
    """

    def __init__(
        self,
        participant_id: str,
        settings: MediaSettings,
        new_transport: Callable[[Inbound], Transport],
        local: Callable[[Transport], Local],
        new_track_id: Callable[[], str],
        touched: list[Encoding],
        on_encoding: Callable[[Track, Encoding], None],
        on_change: Callable[[Track, Track], None],
    ) -> None:
        """`on_change`: a track ended and another one takes its place, because its sender changed the codec."""
        self._participant_id = participant_id
        self._video_codecs = settings.video_codecs
        self._red = settings.red
        self._max_video_bps = settings.max_video_bps
        self._max_viewer_lines = settings.max_viewer_lines
        self._limits = settings.limits
        self._new_transport = new_transport
        self._local = local
        self._new_track_id = new_track_id
        self._touched = touched
        self._on_encoding = on_encoding
        self._on_change = on_change
        self._version = 1
        self.transport: Transport | None = None
        self.tracks: dict[str, Track] = {}
        """By mid."""

    def offer(self, sdp: str, requests: Sequence[TrackRequest]) -> tuple[str, list[Track], list[Track]]:
        """Answer an offer: (answer, new tracks, ended tracks). Raises NegotiationError, and then nothing changed."""
        description = parse(sdp)
        wanted = self._wanted(description, requests)
        transport_section = check_offer(description)
        ended: list[Track] = []
        remote_ice = (transport_section.ice_ufrag, transport_section.ice_pwd)
        if self.transport is not None:
            is_same = self.transport.fingerprints == transport_section.fingerprints
            is_gone = self.transport.state in ("failed", "closed")
            if is_same and is_gone and self.transport.profile is not None:
                # Its end holds on to keys that we have forgotten, and would begin no new handshake.
                raise NegotiationError("connection_gone", "this peer connection was given up: make a new one")
            if is_same and not is_gone and transport_section.setup == self.transport.setup:
                # Both ends in one role: a connection keeps the roles of its handshake (RFC 8842 5.5).
                raise NegotiationError("bad_sdp", "the DTLS roles of this connection are the other way round")
            if not is_same or is_gone:
                ended += self._drop_all()
                self.transport.close()
                self.transport = None
            elif self.transport.remote_ice != remote_ice:
                self.transport.restart_ice()
        if self.transport is None:
            self.transport = self._new_transport(Inbound(self._touched, self._heard, self._limits, self._changed))
            self.transport.fingerprints = transport_section.fingerprints
            if transport_section.setup == "passive":
                self.transport.be_dtls_client()
        self.transport.remote_ice = remote_ice
        chosen: dict[str, Chosen] = {}
        for section in description.sections:
            pick = choose(section, self._video_codecs, self._red)
            if pick is not None and not section.rejected:
                chosen[section.mid] = pick
                self.transport.inbound.negotiated(section.extensions)
        for mid, track in list(self.tracks.items()):
            if wanted.get(mid) != track.kind or mid not in chosen or not _goes_on(track, chosen[mid]):
                ended.append(self._drop(mid))
            elif track.source is not None:
                # What it is sent in stays the first of the answer: browsers send that one.
                present = track.source.chosen.codec.payload_type
                chosen[mid] = chosen[mid].other(present) or chosen[mid]
                self.transport.inbound.may_change(track.source, chosen[mid].others)
        new: list[Track] = []
        for section in description.sections:
            kind = wanted.get(section.mid)
            if kind is None or section.mid in self.tracks or section.mid not in chosen:
                continue
            codec = canonical(chosen[section.mid].codec)
            track = Track(self._new_track_id(), self._participant_id, kind, codec, self._max_viewer_lines)
            self.transport.inbound.add(track.track_id, section, chosen[section.mid])
            track.source = self.transport.inbound.sources[section.mid]
            self.tracks[section.mid] = track
            new.append(track)
        self._version += 1
        answer = write_answer(
            description,
            chosen,
            self._local(self.transport),
            self.transport.setup,
            self._version,
            self._max_video_bps,
        )
        return answer, new, ended

    def _wanted(self, description: Description, requests: Sequence[TrackRequest]) -> dict[str, TrackKind]:
        sections = {s.mid: s for s in description.sections}
        wanted = {}
        for request in requests:
            section = sections.get(request.mid)
            if section is None or section.rejected or section.direction not in ("sendrecv", "sendonly"):
                raise NegotiationError("bad_tracks", f"no sending section with mid {request.mid}")
            if section.kind != request.kind.media:
                raise NegotiationError("bad_tracks", f"{request.kind} is not {section.kind}")
            if choose(section, self._video_codecs) is None:
                raise NegotiationError("no_common_codec", f"no codec of section {request.mid} is taken here")
            wanted[request.mid] = request.kind
        if len(wanted) > self._limits.tracks:
            raise NegotiationError("too_many_tracks", f"at most {self._limits.tracks} tracks")
        return wanted

    def _heard(self, source: Source, encoding: Encoding) -> None:
        track = self.tracks.get(source.mid)
        if track is not None:
            self._on_encoding(track, encoding)

    def _changed(self, source: Source, chosen: Chosen) -> None:
        before = self.tracks.get(source.mid)
        if before is None or self.transport is None:
            return
        codec = canonical(chosen.codec)
        track = Track(self._new_track_id(), self._participant_id, before.kind, codec, self._max_viewer_lines)
        track.muted = before.muted
        track.source = self.transport.inbound.succeed(source, track.track_id, chosen)
        self.tracks[source.mid] = track
        self._on_change(before, track)

    def _drop(self, mid: str) -> Track:
        if self.transport is not None:
            self.transport.inbound.remove(mid)
        return self.tracks.pop(mid)

    def _drop_all(self) -> list[Track]:
        return [self._drop(mid) for mid in list(self.tracks)]

    def close(self) -> list[Track]:
        """Close the transport; returns the tracks that ended."""
        ended = self._drop_all()
        if self.transport is not None:
            self.transport.close()
        return ended


def _goes_on(track: Track, chosen: Chosen) -> bool:
    """What the track's packets are read with is what the section is answered with now, or may be changed to: its sender
    may have done that. Another codec is another track, and another file."""
    if track.source is None:
        return False
    before = track.source.chosen
    return any(
        (before.codec.name, before.codec.payload_type, before.rtx_payload_type)
        == (answered.codec.name, answered.codec.payload_type, answered.rtx_payload_type)
        for answered in (chosen, *chosen.others)
    )
