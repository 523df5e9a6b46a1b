"""WHIP (RFC 9725): encoders such as OBS, GStreamer and FFmpeg publish into a room.

The first section of sound of an offer is the participant's microphone, the first one of pictures its camera.
"""

from signaling.media import MediaPeer
from signaling.media_http import MediaEndpoint
from signaling.rooms import LiveRoom
from storage.models import Participant


class WhipEndpoint(MediaEndpoint):
    name = "whip"
    access = "publish"

    def check(self, room: LiveRoom, row: Participant, offer: str) -> None:
        room.media.requests_of(offer)

    def answer(self, peer: MediaPeer, room: LiveRoom, row: Participant, offer: str) -> str:
        return peer.publish(offer, room.media.requests_of(offer))
