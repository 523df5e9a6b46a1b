"""What a viewer's browser answers to what it receives: arrivals of all packets, and requests for missing ones. A core.

A server's congestion control and retransmissions have something to do only if viewers do that. Receiver reports are
the peers' own (once a second).
"""

from collections import defaultdict
from collections.abc import Iterator

from sfu.rtcp import nack
from sfu.rtp import LayoutCache
from sfu.twcc import MAX_PENDING, ArrivalLog

FEEDBACK_S = 0.06
"""Between two answers: Chromium 156 sends one every 62 ms, 16 a second, each in a datagram of its own (measured)."""

LOSS_PERIOD = 100
"""Where a network is to lose 1 %, every so many-th packet of a track is missing."""

_SSRC = 1
_RTP, _RTP_END = 128, 192
_EXTENSION_BIT = 0x10


class Viewer:
    """Notes what came in and writes the RTCP for it."""

    def __init__(self, transport_cc_id: int, place: int) -> None:
        """`transport_cc_id`: as offered, 0 if it was not. `place`: viewers miss different packets."""
        self._place = place
        self._numbered = transport_cc_id != 0
        self._layouts = LayoutCache(transport_cc_id, 0)
        self._arrivals = ArrivalLog()
        self._missing: defaultdict[int, list[int]] = defaultdict(list)

    def arrived(self, datagram: bytes, arrival_ns: int) -> None:
        """Whatever a socket gave."""
        if not self._numbered or not _RTP <= datagram[0] < _RTP_END or not datagram[0] & _EXTENSION_BIT:
            return
        offset = 12 + 4 * (datagram[0] & 15)
        size = 4 * int.from_bytes(datagram[offset + 2 : offset + 4], "big")
        sequence, _ = self._layouts.read(datagram, offset + 4, size)
        log = self._arrivals.arrivals
        if sequence >= 0 and len(log) < MAX_PENDING:
            log.append((sequence, arrival_ns / 1e9))

    def missed(self, ssrc: int, index: int, number: int) -> bool:
        """Whether the packet with this number in the load is one that the network is to have lost; then it is asked for
        with the next answer."""
        if (number + self._place) % LOSS_PERIOD:
            return False
        self._missing[ssrc].append(index & 0xFFFF)
        return True

    def answers(self, ssrc: int) -> Iterator[bytes]:
        """RTCP packets, to be sent every FEEDBACK_S. `ssrc`: one of the streams that come in."""
        feedback = self._arrivals.take_feedback(_SSRC, ssrc)
        if feedback is not None:
            yield feedback
        for media, sequences in self._missing.items():
            yield nack(_SSRC, media, sequences)
        self._missing.clear()
