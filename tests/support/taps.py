"""Taps and sinks that keep nothing; a test takes over what it is about."""

from collections.abc import Sequence

from sfu.interfaces import PacketTap, Reception


class QuietTap(PacketTap):
    def packet(self, arrival_s: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None:
        return

    def sender_report(self, arrival_s: float, ntp_timestamp: int, rtp_timestamp: int) -> None:
        return

    def picture(self, arrival_s: float, index: int, width: int, height: int, rid: str) -> None:
        return

    def muted(self, now_s: float, muted: bool) -> None:
        return

    def reception(self, now_s: float, reception: Reception) -> None:
        return

    def end(self, now_s: float) -> None:
        return


class QuietSink:
    def speakers(self, dominant: str | None, speaking: Sequence[str]) -> None:
        return

    def stalled(self, track_id: str, since_s: float | None) -> None:
        return
