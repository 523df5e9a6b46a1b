"""Why a viewer is sent what it is of a track, and no more. A core: it looks, and changes nothing.

Where there are several reasons the one is given that would have to end first.
"""

from sfu.figures import Reason
from sfu.interfaces import DeliveryState
from sfu.subscription import Subscription
from sfu.track import Track


def reason(track: Track | None, subscription: Subscription, delivery: DeliveryState) -> Reason:
    """`track`: what the subscription carries; `delivery`: what the viewer's network lets through of it."""
    if track is None or subscription not in track.subscriptions:
        return Reason.NOT_TAKEN
    if subscription.wanted_height == 0:
        return Reason.HIDDEN
    if track.muted:
        return Reason.MUTED
    if track.gated:
        return Reason.NOT_AMONG_LOUDEST
    if delivery is not DeliveryState.WHOLE:
        return Reason.NETWORK
    if subscription.wants is None:
        return Reason.NO_MEDIA
    if subscription.wants is not subscription.encoding:
        return Reason.KEY_FRAME
    allowed = track.for_viewers
    if subscription.wants is not allowed[-1]:
        return Reason.TILE
    return Reason.BEST if allowed[-1] is track.flowing[-1] else Reason.SERVER_MAXIMUM
