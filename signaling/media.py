"""What the control plane asks of the media plane: the seam that `sfu.engine` fills and that tests fill with a fake.

All calls are synchronous, on the node's event loop.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from sfu.figures import RoomFigures
from sfu.interfaces import PeerObserver, RecordingSink, TrackInfo, TrackRequest, TransportName, Watch


class MediaPeer(Protocol):
    """The two peer connections of one participant."""

    def publish(self, sdp: str, tracks: Sequence[TrackRequest], /) -> str:
        """Answer an offer; raises NegotiationError."""

    @property
    def connection_states(self) -> Mapping[TransportName, str]: ...

    def watch(self, sdp: str, watch: Watch, /) -> str:
        """Answer the offer of a client that receives what the server chooses, instead of offering it subscriptions;
        raises NegotiationError."""

    def start_subscriptions(self) -> None: ...

    def subscribe_answer(self, offer_id: int, sdp: str, /) -> None:
        """Raises NegotiationError."""

    def resend_offer(self) -> None: ...

    def restart_ice(self) -> bool:
        """Offer the subscribe connection with new ICE credentials. False: that connection was given up."""

    def show(self, track_id: str, height: int, /) -> None:
        """The participant shows somebody's track in so many lines, 0: not at all."""

    def set_muted(self, track_id: str, muted: bool, /) -> bool:
        """False: the peer publishes no such track."""


class MediaRoom(Protocol):
    def add_peer(self, participant_id: str, observer: PeerObserver, /) -> MediaPeer: ...

    def remove_peer(self, participant_id: str, /) -> None: ...

    def requests_of(self, sdp: str, /) -> list[TrackRequest]:
        """What an offer without requests publishes (WHIP); raises NegotiationError if it cannot be answered."""

    def check_watch(self, sdp: str, watch: Watch, /) -> None:
        """Raises NegotiationError if a new peer's offer to watch cannot be answered now."""

    def start_recording(self, sink: RecordingSink, /) -> None:
        """Opens a tap for every running encoding, and for each later one as it comes."""

    def stop_recording(self) -> None:
        """Ends all taps."""

    def tracks(self) -> list[TrackInfo]: ...


class MediaServer(Protocol):
    def open_room(self, room_id: str, /) -> MediaRoom: ...

    def close_room(self, room_id: str, /) -> None:
        """Its peers are removed and their taps ended."""

    def figures(self, room_id: str, /) -> RoomFigures | None:
        """None: no such room."""

    def counters(self) -> Mapping[str, int]: ...
