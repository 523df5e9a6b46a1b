"""WHEP (draft-ietf-wish-whep): players watch what is published in a room.

A player sees the newest of what its token allows. Where nothing is published it is told to ask again (409 with
Retry-After). When what it sees ends its connection stays: it sees the next that fits, or nothing until there is one.
"""

from sfu.interfaces import TrackKind, Watch
from signaling.media import MediaPeer
from signaling.media_http import MediaEndpoint
from signaling.rooms import LiveRoom
from storage.models import Participant


class WhepEndpoint(MediaEndpoint):
    name = "whep"
    access = "watch"

    def check(self, room: LiveRoom, row: Participant, offer: str) -> None:
        room.media.check_watch(offer, watch_of(row))

    def answer(self, peer: MediaPeer, room: LiveRoom, row: Participant, offer: str) -> str:
        return peer.watch(offer, watch_of(row))


def watch_of(row: Participant) -> Watch:
    """What a participant's token lets it watch."""
    kinds = row.watch_kinds.split(",") if row.watch_kinds else TrackKind
    return Watch(row.watch_participant_id or "", tuple(map(TrackKind, kinds)))
