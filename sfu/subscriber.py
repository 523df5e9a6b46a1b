"""A participant's subscribe connection: offers out, answers in, one section per subscribed track.

One offer is out at a time; what changes meanwhile goes into the next. Sections of tracks that ended are used again for
later tracks of the same medium. A track that finds no section, or no pair of payload types, is left out, counted, and
offered once there is place.
"""

from collections.abc import Callable, Sequence
from time import monotonic

import msgspec

from sfu.congestion.estimator import BandwidthEstimator
from sfu.descriptions import Local, Outgoing, write_offer
from sfu.division import Division
from sfu.inbound import Inbound
from sfu.interfaces import DeliveryState, NegotiationError, SubscribedTrack
from sfu.negotiation import TRANSPORT_FEEDBACK, check_transport, feedback_of
from sfu.sdp import Codec, parse
from sfu.subscription import Subscription
from sfu.track import Track
from sfu.transport import Transport

FIRST_PAYLOAD_TYPE = 96
LAST_PAYLOAD_TYPE = 127


class Slot(msgspec.Struct):
    """A section of the offer and what it carries."""

    mid: str
    kind: str
    codec: Codec
    rtx_payload_type: int
    track: Track | None = None
    subscription: Subscription | None = None
    accepted: bool = False
    red_payload_type: int = 0


class Subscriber:
    def __init__(
        self,
        new_transport: Callable[[Inbound], Transport],
        local: Callable[[Transport], Local],
        send_offer: Callable[[int, str, Sequence[SubscribedTrack]], None],
        max_subscriptions: int,
        tell_delivery: Callable[[str, DeliveryState], None],
    ) -> None:
        """`max_subscriptions`: sections of the connection."""
        self._new_transport = new_transport
        self._local = local
        self._send_offer = send_offer
        self._max_subscriptions = max_subscriptions
        self._division = Division(tell_delivery)
        self._slots: list[Slot] = []
        self._payload_types: dict[tuple[str, str], tuple[int, int]] = {}
        """(codec, fmtp) -> (payload type, that of RTX or RED): in a bundle a number means one thing for good."""
        self._version = 0
        self._outstanding: tuple[int, list[tuple[str, Track | None]]] | None = None
        self._dirty = False
        self._ready = False
        self.left_out: list[Track] = []
        """Tracks that found no place; as many as the others of the room publish."""
        self.not_offered = 0
        """How often a track found no place."""
        self.transport: Transport | None = None

    def delivery(self, track_id: str) -> DeliveryState:
        """What the participant's network lets through of a track."""
        return self._division.state(track_id)

    def carried(self) -> list[tuple[Track | None, Subscription]]:
        """Every subscription and what it carries; None: nothing at present."""
        return [(slot.track, slot.subscription) for slot in self._slots if slot.subscription is not None]

    def subscriptions(self) -> list[Subscription]:
        return [slot.subscription for slot in self._slots if slot.subscription is not None]

    def ready(self) -> None:
        """The participant can take offers from now on."""
        self._ready = True
        self._changed()

    def add(self, track: Track) -> None:
        """Offer a track, or leave it out for now."""
        if self._place(track):
            self._changed()
        else:
            self.not_offered += 1
            self.left_out.append(track)

    def _place(self, track: Track) -> bool:
        """Find a section for a track; False: there is none."""
        free = next((s for s in self._slots if s.track is None and s.kind == track.kind.media), None)
        if free is None and len(self._slots) >= self._max_subscriptions:
            return False
        numbers = self._numbers(track.codec)
        if numbers is None:
            return False
        codec = msgspec.structs.replace(track.codec, payload_type=numbers[0])
        rtx_payload_type = numbers[1] if track.kind.media == "video" else 0
        if free is None:
            free = Slot(str(len(self._slots)), track.kind.media, codec, rtx_payload_type)
            self._slots.append(free)
        free.track, free.codec, free.rtx_payload_type = track, codec, rtx_payload_type
        free.red_payload_type = numbers[1] if track.is_red else 0
        free.accepted = False
        return True

    def remove(self, track: Track) -> None:
        if track in self.left_out:
            self.left_out.remove(track)
            return
        for slot in self._slots:
            if slot.track is track:
                self._release(slot)
                self.left_out = [waiting for waiting in self.left_out if not self._place(waiting)]
                self._changed()
                return

    def show(self, track_id: str, height: int) -> None:
        """The participant shows a track in so many lines, 0: not at all. Unknown tracks are none of its business."""
        for slot in self._slots:
            if slot.track is not None and slot.track.track_id == track_id and slot.subscription is not None:
                if slot.subscription in slot.track.subscriptions:
                    slot.track.show(slot.subscription, height)
                else:
                    slot.subscription.wanted_height = height

    def resend(self) -> None:
        """The participant may have missed the last offer: send what is true now."""
        if self._ready and self._slots:
            self._outstanding = None
            self._offer()
            self._division.repeat()

    def divide(self, speaker: str | None, now: float) -> None:
        """A few times a second: divide what the participant's network carries among what it is sent."""
        if (estimator := self._estimator) is not None:
            viewed = [
                (slot.track, slot.subscription)
                for slot in self._slots
                if slot.track is not None and slot.subscription in slot.track.subscriptions
            ]
            self._division.divide(viewed, estimator, speaker, now)

    def hurry(self, speaker: str | None, now: float) -> None:
        """More often than that: divide if it carries clearly less than was divided."""
        if (estimator := self._estimator) is not None and self._division.is_short(estimator):
            self.divide(speaker, now)

    @property
    def _estimator(self) -> BandwidthEstimator | None:
        return self.transport.outbound.estimator if self.transport is not None else None

    def restart_ice(self) -> bool:
        """The next offer has new ICE credentials, and goes out now unless one is under way. False: there is nothing
        left to restart, the participant is to begin anew."""
        if self.transport is None:
            return True
        if self.transport.state in ("failed", "closed"):
            return False
        self.transport.restart_ice()
        self._changed()
        return True

    def answer(self, offer_id: int, sdp: str) -> None:
        """Apply the answer to offer `offer_id`; an older one is ignored. Raises NegotiationError."""
        if self._outstanding is None or self._outstanding[0] != offer_id or self.transport is None:
            return
        description = parse(sdp)
        if not description.sections or not all(section.rejected for section in description.sections):
            section = check_transport(description)
            if section.setup != "active":
                raise NegotiationError("bad_sdp", "the answer must say setup:active")
            if self.transport.fingerprints and self.transport.fingerprints != section.fingerprints:
                raise NegotiationError("bad_fingerprint", "the answer comes from another peer connection")
            self.transport.fingerprints = section.fingerprints
        offered = dict(self._outstanding[1])
        self._outstanding = None
        by_mid = {s.mid: s for s in description.sections}
        for slot in self._slots:
            answered = by_mid.get(slot.mid)
            slot.accepted = (
                answered is not None
                and not answered.rejected
                and answered.direction in ("recvonly", "sendrecv")
                and slot.codec.payload_type in answered.codecs
                and slot.track is offered.get(slot.mid)
            )
            if not slot.accepted:
                stop(slot)
            elif answered is not None and slot.subscription is not None:
                self._estimate(slot.subscription, feedback_of(answered, slot.codec.payload_type))
                slot.subscription.take_red(slot.red_payload_type if slot.red_payload_type in answered.codecs else 0)
        self.run()
        if self._dirty:
            self._offer()

    def run(self) -> None:
        """Start what was accepted, once the transport is connected; stop everything when it is gone."""
        if self.transport is None or self.transport.state != "connected":
            if self.transport is not None and self.transport.state in ("failed", "closed"):
                for slot in self._slots:
                    stop(slot)
            return
        for slot in self._slots:
            if slot.accepted and slot.subscription is not None and slot.track is not None:
                if slot.subscription not in slot.track.subscriptions:
                    slot.track.subscribe(slot.subscription)

    def close(self) -> None:
        for slot in self._slots:
            self._release(slot)
        if self.transport is not None:
            self.transport.close()

    # --- inside

    def _numbers(self, published: Codec) -> tuple[int, int] | None:
        """Payload type of a codec on this connection, and that of its RTX (of RED, for sound); None: none is left."""
        key = (published.name, published.fmtp if published.name != "opus" else "")
        if key not in self._payload_types:
            first = FIRST_PAYLOAD_TYPE + 2 * len(self._payload_types)
            if first + 1 > LAST_PAYLOAD_TYPE:
                return None
            self._payload_types[key] = (first, first + 1)
        return self._payload_types[key]

    def _estimate(self, subscription: Subscription, feedback: str) -> None:
        """The answer says how the participant tells what arrives."""
        subscription.numbered = feedback == TRANSPORT_FEEDBACK
        outbound = self.transport.outbound if self.transport is not None else None
        if feedback and outbound is not None and outbound.estimator is None:
            outbound.estimator = BandwidthEstimator(monotonic())

    def _release(self, slot: Slot) -> None:
        stop(slot)
        if slot.subscription is not None and self.transport is not None:
            self.transport.outbound.remove(slot.subscription)
        slot.track = slot.subscription = None
        slot.accepted = False

    def _changed(self) -> None:
        if not self._ready or not self._slots:
            return
        if self._outstanding is not None:
            self._dirty = True
        else:
            self._offer()

    def _offer(self) -> None:
        if self.transport is None:
            self.transport = self._new_transport(Inbound([], lambda _source, _encoding: None))
        self._dirty = False
        self._version += 1
        sections: list[Outgoing] = []
        tracks: list[SubscribedTrack] = []
        for slot in self._slots:
            sections.append(self._outgoing(slot, self.transport))
            if (track := slot.track) is not None:
                tracks.append(SubscribedTrack(slot.mid, track.track_id, track.participant_id, track.kind))
        self._outstanding = (self._version, [(slot.mid, slot.track) for slot in self._slots])
        self._send_offer(self._version, write_offer(sections, self._local(self.transport), self._version), tracks)

    def _outgoing(self, slot: Slot, transport: Transport) -> Outgoing:
        """The section of a slot, which gets a subscription with its first track."""
        track = slot.track
        if track is not None and slot.subscription is None:
            slot.subscription = Subscription(
                track.track_id,
                transport,
                slot.codec.payload_type,
                slot.rtx_payload_type,
                slot.codec.clock_rate_hz,
            )
            transport.outbound.add(slot.subscription)
        return Outgoing(
            slot.mid,
            slot.kind,
            slot.codec,
            slot.rtx_payload_type,
            slot.subscription.ssrc if slot.subscription else 0,
            slot.subscription.rtx_ssrc if slot.subscription else 0,
            track.participant_id if track else "",
            track.track_id if track else "",
            slot.red_payload_type if track else 0,
        )


def stop(slot: Slot) -> None:
    """Send no more; the subscription keeps its numbers and can be started again."""
    if slot.subscription is not None and slot.track is not None:
        slot.track.unsubscribe(slot.subscription)
