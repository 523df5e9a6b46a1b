"""In which ways a picture can be sent to a viewer, from the cheapest to the best. A core on plain encodings.

Frames are left out before a picture gets smaller, which costs its sender no key frame and is no blink: each size comes
with all of its frames or, where it has temporal layers, without those of the highest, which is half of them; the
smallest size also with those of the lowest alone.
"""

from collections.abc import Sequence

import msgspec

from sfu.allocation import PAUSED
from sfu.codecs.temporal import TOP
from sfu.encoding import Encoding


class Option(msgspec.Struct, frozen=True):
    layer: Encoding
    max_temporal: int
    """TOP: every frame."""
    bps: float


class Choice(msgspec.Struct, frozen=True):
    """What a viewer who is sent this now can be sent."""

    options: Sequence[Option]
    options_bps: tuple[float, ...]
    present: int
    """Which of them is sent, or PAUSED."""
    smallest: int
    """The smallest size at its best."""


class Choices:
    """Of one track: found once for all viewers who are sent the same."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[int, Encoding | None, int], Choice] = {}
        """By how many layers there is room for, and by what is sent. As many as viewers at most."""

    def forget(self) -> None:
        """Rates were measured, or other layers flow."""
        self._found.clear()

    def of(self, layers: Sequence[Encoding], present: Encoding | None, max_temporal: int) -> Choice:
        """`layers`: the first of those that flow, from the smallest picture to the largest, at least one."""
        key = len(layers), present, max_temporal
        choice = self._found.get(key)
        if choice is None:
            options = options_of(layers, present, max_temporal)
            choice = self._found[key] = Choice(
                options,
                tuple(option.bps for option in options),
                place_of(options, layers, present, max_temporal),
                place_of_smallest(options),
            )
        return choice


def options_of(layers: Sequence[Encoding], present: Encoding | None, max_temporal: int) -> list[Option]:
    """`layers`: from the smallest picture to the largest; `present`, `max_temporal`: what is sent now.

    What costs no less than a better option is left out, unless it is what is sent now: rates move, and what is sent
    must not end because another option becomes a little cheaper.
    """
    found: list[Option] = []
    for place, layer in enumerate(layers):
        top = layer.top_layer
        for limit in range(0 if place == 0 else max(0, top - 1), top + 1):
            option = Option(layer, _bounded(limit, layer), layer.meter.bps * layer.share(limit))
            found = [o for o in found if o.bps < option.bps or _is_sent(o, present, max_temporal)]
            found.append(option)
    return found


def place_of(options: Sequence[Option], layers: Sequence[Encoding], present: Encoding | None, max_temporal: int) -> int:
    """The best option that is no more than what is sent now, the first if all are; PAUSED: nothing is."""
    if present is None or present not in layers:
        return PAUSED
    sent = layers.index(present), _bounded(max_temporal, present)
    no_more = [p for p, o in enumerate(options) if (layers.index(o.layer), o.max_temporal) <= sent]
    return max(no_more, default=0)


def place_of_smallest(options: Sequence[Option]) -> int:
    """The smallest size at its best."""
    return max(place for place, option in enumerate(options) if option.layer is options[0].layer)


def _bounded(limit: int, layer: Encoding) -> int:
    """A limit that leaves nothing out is none."""
    return limit if limit < layer.top_layer else TOP


def _is_sent(option: Option, present: Encoding | None, max_temporal: int) -> bool:
    return option.layer is present and option.max_temporal == _bounded(max_temporal, option.layer)
