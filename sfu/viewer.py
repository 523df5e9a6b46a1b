"""A subscribe connection whose client offers (WHEP): one answer, then tracks that come and go in its sections.

The answer fixes how many tracks there are at a time and in which codecs. When one ends, its section carries the most
wanted other track that fits, else nothing until one is published; the client is not told and its connection stays.
"""

from collections.abc import Callable, Iterable
from itertools import islice

from sfu.descriptions import Local, write_viewer_answer
from sfu.inbound import Inbound
from sfu.interfaces import DeliveryState, Watch
from sfu.negotiation import feedback_of, takes
from sfu.subscriber import Slot, Subscriber, stop
from sfu.track import Track
from sfu.transport import Transport
from sfu.viewing import read_offer, wanted


class Viewer(Subscriber):
    def __init__(
        self,
        new_transport: Callable[[Inbound], Transport],
        local: Callable[[Transport], Local],
        max_subscriptions: int,
        tell_delivery: Callable[[str, DeliveryState], None],
        watch: Watch,
        published: Callable[[], Iterable[Track]],
    ) -> None:
        """`published`: the tracks of the others, in the order in which they were published."""
        super().__init__(new_transport, local, lambda _id, _sdp, _tracks: None, max_subscriptions, tell_delivery)
        self._watch = watch
        self._published = published

    def take_offer(self, sdp: str) -> str:
        """The answer to the client's offer, once. Raises NegotiationError, and then nothing changed."""
        description, section, places = read_offer(sdp, self._published(), self._watch)
        transport = self.transport = self._new_transport(Inbound([], lambda _source, _encoding: None))
        transport.fingerprints = section.fingerprints
        if section.setup == "passive":
            transport.be_dtls_client()
        self.not_offered = max(0, len(places) - self._max_subscriptions)
        for mid, (track, chosen) in islice(places.items(), self._max_subscriptions):
            slot = Slot(mid, track.kind.media, chosen.codec, chosen.rtx_payload_type, track, accepted=True)
            slot.red_payload_type = chosen.red_payload_type
            self._slots.append(slot)
        sections = {slot.mid: self._outgoing(slot, transport) for slot in self._slots}
        offered = {section.mid: section for section in description.sections}
        for slot in self._slots:
            if slot.subscription is not None:
                self._estimate(slot.subscription, feedback_of(offered[slot.mid], slot.codec.payload_type))
                slot.subscription.take_red(slot.red_payload_type)
        return write_viewer_answer(description, sections, self._local(transport), transport.setup, 1)

    def add(self, track: Track) -> None:
        """A track was published."""
        self._fill()

    def remove(self, track: Track) -> None:
        """A track ended."""
        for slot in self._slots:
            if slot.track is track:
                stop(slot)
                slot.track = None
        self._fill()

    def _fill(self) -> None:
        carried = [slot.track for slot in self._slots]
        free = [track for track in wanted(self._published(), self._watch) if track not in carried]
        for slot in self._slots:
            if slot.track is not None or slot.subscription is None:
                continue
            fitting = (t for t in free if t.kind.media == slot.kind and takes(slot.codec, t.codec))
            track = next(fitting, None)
            if track is not None:
                free.remove(track)
                slot.track, slot.subscription.track_id = track, track.track_id
        self.run()
