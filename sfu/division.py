"""One viewer's connection: how much it carries, and what each picture gets of it. A core in given time.

Asked a few times a second, and at once when the estimate falls below what was divided. What is decided here limits what
the place on the viewer's page wants (sfu.track), and never touches a recording. What does not fit whole first comes
with fewer frames, then in a smaller picture (sfu.options).
"""

from collections.abc import Callable, Sequence

from sfu.allocation import PAUSED, RAISE, Demand, Rank, allocate
from sfu.congestion.estimator import BandwidthEstimator
from sfu.congestion.rate_control import RateState
from sfu.interfaces import DeliveryState, TrackKind
from sfu.options import Choice
from sfu.subscription import Subscription
from sfu.track import Track

SHARE = 0.95
"""Of the estimate that is given to media; the rest is for repairs and probes, which the estimate has in it."""

SHORT = 0.85
"""The estimate fell below so much of what was divided: divide again now."""

OVERLOADED = 1.2
"""What flows is so much more than the estimate, and a queue of QUEUE_S stands in the path: a picture that gets smaller
ends at once, before the smaller layer has a key frame. A moment without a picture is better than a queue that delays
the sound."""

QUEUE_S = 0.1
"""Before the first probes are answered an estimate may be far below what the path carries without any queue."""

PATIENCE_S = 1.0
"""A picture that flows is paused when nothing of it fitted for so long: estimates dip for a moment while a queue
drains, and a pause costs a key frame."""

HOLD_S = 2.0
"""After it got less a picture gets no more for so long. What was too much a moment ago mostly is again, and a picture
that changes all the time is worse than one that does not come back at once."""


class Division:
    def __init__(self, tell: Callable[[str, DeliveryState], None]) -> None:
        """`tell(track_id, state)`: how a picture is delivered has changed."""
        self._tell = tell
        self._told: dict[str, DeliveryState] = {}
        """By track, where it is not whole. As many as subscriptions."""
        self._divided_bps = 0.0
        self._unfit_since: dict[str, float] = {}
        """By track, where it flows and does not fit. As many as subscriptions."""
        self._lowered: dict[str, float] = {}
        """By track, when it got less last. As many as subscriptions."""

    def repeat(self) -> None:
        """Tell again what is not whole: the participant may have missed it."""
        for track_id, state in self._told.items():
            self._tell(track_id, state)

    def state(self, track_id: str) -> DeliveryState:
        """How a picture is delivered, as it was told last."""
        return self._told.get(track_id, DeliveryState.WHOLE)

    def is_short(self, estimator: BandwidthEstimator) -> bool:
        return estimator.target_bps < SHORT * self._divided_bps

    def divide(
        self,
        viewed: Sequence[tuple[Track, Subscription]],
        estimator: BandwidthEstimator,
        speaker: str | None,
        now: float,
    ) -> None:
        """`viewed`: what the viewer was offered and took; `speaker`: the participant whose picture is most wanted."""
        sound_bps = flowing_bps = 0.0
        pictures: list[tuple[Track, Subscription, Choice]] = []
        demands: list[Demand] = []
        for track, subscription in viewed:
            present = subscription.encoding
            if present is not None:
                flowing_bps += present.meter.bps
            if track.kind.media == "audio":
                sound_bps += present.meter.bps if present is not None else 0.0
            elif choice := track.choice(subscription):
                pictures.append((track, subscription, choice))
                first = track.kind is TrackKind.SCREEN or track.participant_id == speaker
                rank = Rank.FIRST if first else Rank.OTHER
                demands.append(Demand(rank, choice.options_bps, choice.present, choice.smallest))
        whole_bps = sum(demand.options_bps[-1] for demand in demands)
        estimator.useful_bps = (sound_bps + RAISE * whole_bps) / SHARE
        self._divided_bps = estimator.target_bps
        budget_bps = SHARE * estimator.target_bps - sound_bps
        if estimator.state is RateState.START:  # nothing says yet that it does not fit
            budget_bps = max(budget_bps, sum(demand.options_bps[demand.least] for demand in demands))
        overloaded = flowing_bps > OVERLOADED * estimator.target_bps and estimator.queue_s > QUEUE_S
        for (track, subscription, choice), option in zip(pictures, allocate(demands, budget_bps), strict=True):
            option, options = self._settle(track.track_id, option, choice.present, now), choice.options
            if option == PAUSED:
                track.grant(subscription, None, at_once=False)
            else:
                track.grant(subscription, options[option].layer, at_once=overloaded and option < choice.present)
                track.limit(subscription, options[option].max_temporal)
            self._note(track.track_id, option, len(options))
        known = self._told.keys() | self._unfit_since.keys() | self._lowered.keys()
        for track_id in known - {track.track_id for track, _, _ in pictures}:
            self._unfit_since.pop(track_id, None)
            self._lowered.pop(track_id, None)
            self._note(track_id, 0, 1)

    def _settle(self, track_id: str, option: int, present: int, now: float) -> int:
        """The option to send, so that a doubt changes nothing and nothing changes all the time."""
        if present == PAUSED or option != PAUSED:
            self._unfit_since.pop(track_id, None)
        elif now - self._unfit_since.setdefault(track_id, now) < PATIENCE_S:
            option = 0
        if option < present:
            self._lowered[track_id] = now
        elif present != PAUSED and now - self._lowered.get(track_id, float("-inf")) < HOLD_S:
            option = present
        return option

    def _note(self, track_id: str, option: int, options: int) -> None:
        state = (
            DeliveryState.PAUSED
            if option == PAUSED
            else DeliveryState.REDUCED
            if option < options - 1
            else DeliveryState.WHOLE
        )
        if self._told.get(track_id, DeliveryState.WHOLE) is state:
            return
        if state is DeliveryState.WHOLE:
            del self._told[track_id]
        else:
            self._told[track_id] = state
        self._tell(track_id, state)
