"""Which tracks go into the sections of a client that offers to receive (WHEP). No I/O.

A section carries one track at a time, of its own medium, in a codec that it offers.
"""

from collections.abc import Iterable, Sequence

from sfu.interfaces import NegotiationError, Watch
from sfu.negotiation import Chosen, accept, check_offer
from sfu.sdp import Description, Section, parse
from sfu.track import Track


def read_offer(
    sdp: str, tracks: Iterable[Track], watch: Watch
) -> tuple[Description, Section, dict[str, tuple[Track, Chosen]]]:
    """An offer, the section that its transport is taken from, and what its sections carry. Raises NegotiationError:
    `nothing_to_watch` may be different later."""
    description = parse(sdp)
    section = check_offer(description)
    if not (most_wanted := wanted(tracks, watch)):
        raise NegotiationError("nothing_to_watch", "nothing is published that may be watched")
    if not (places := assign(description.sections, most_wanted)):
        raise NegotiationError("no_common_codec", "no section of the offer takes what is published")
    return description, section, places


def wanted(tracks: Iterable[Track], watch: Watch) -> list[Track]:
    """Of these tracks, in the order in which they were published, those that may be watched, most wanted first."""
    allowed = [t for t in tracks if t.kind in watch.kinds and watch.participant_id in ("", t.participant_id)]
    newest_first = allowed[::-1]
    return sorted(newest_first, key=lambda track: watch.kinds.index(track.kind))


def assign(sections: Sequence[Section], tracks: Sequence[Track]) -> dict[str, tuple[Track, Chosen]]:
    """By mid, what each section carries; a section that is not named has nothing to carry.

    `tracks`: most wanted first. Pictures are chosen first, and then the sound that belongs to them.
    """
    taken: dict[str, tuple[Track, Chosen]] = {}
    left = list(tracks)
    for section in sorted(sections, key=lambda section: section.kind != "video"):
        if section.rejected or section.direction not in ("recvonly", "sendrecv"):
            continue
        shown = {track.participant_id for track, _ in taken.values()}
        for track in sorted(left, key=lambda track: track.participant_id not in shown):
            if track.kind.media == section.kind and (chosen := accept(section, track.codec, track.is_red)) is not None:
                taken[section.mid] = (track, chosen)
                left.remove(track)
                break
    return taken
