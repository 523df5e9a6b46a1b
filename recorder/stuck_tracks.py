"""Tracks on which the recorder hung: when they may be tried again, remembered over restarts. No I/O.

After a minute, because a disk that hung may be well again; then after an hour, because what hangs on the same journal
twice does so again.
"""

import msgspec

from recorder.memo import Delivered

FILE_NAME = "stuck.json"
FIRST_S = 60.0
LATER_S = 3600.0


class StuckTrack(msgspec.Struct, kw_only=True):
    times: int = 0
    """It hung."""
    at_s: float = 0.0
    """When it did last, Unix time."""
    done: Delivered | None = None
    """What stands in the manifest meanwhile; None: it hung before its header was read."""

    def wait_s(self, now_s: float) -> float:
        """Until it may be tried again, never longer than from now on (clocks are set back)."""
        pause_s = FIRST_S if self.times <= 1 else LATER_S
        return min(pause_s, max(0.0, self.at_s + pause_s - now_s))


Stuck = dict[str, StuckTrack]
"""By the name of the journal."""

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Stuck).decode


def decode(data: bytes) -> Stuck:
    """Nothing, where there is nothing or a power failure damaged it: then they are tried again at once."""
    try:
        stuck: Stuck = _decode(data) if data else {}
    except msgspec.MsgspecError:
        return {}
    return stuck
