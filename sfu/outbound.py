"""The sending half of a transport: its subscriptions and what the receiver says about them."""

from sfu.rtcp import KeyFrameRequest, Nack, ReceiverReports
from sfu.subscription import Subscription

MAX_SENDER_REPORTS = 30
"""In one compound packet, 28 bytes each, so that it stays below the path MTU."""


class Outbound:
    def __init__(self) -> None:
        self._by_ssrc: dict[int, Subscription] = {}

    def add(self, subscription: Subscription) -> None:
        self._by_ssrc[subscription.ssrc] = subscription

    def remove(self, subscription: Subscription) -> None:
        self._by_ssrc.pop(subscription.ssrc, None)

    def all(self) -> list[Subscription]:
        return list(self._by_ssrc.values())

    def nack(self, packet: Nack, now: float) -> None:
        subscription = self._by_ssrc.get(packet.ssrc)
        if subscription is not None:
            for sequence in packet.sequence_numbers:
                subscription.retransmit(sequence, now)

    def key_frame_request(self, packet: KeyFrameRequest) -> None:
        subscription = self._by_ssrc.get(packet.ssrc)
        if subscription is not None:
            subscription.key_frame_request(packet.fir_number)

    def reports(self, packet: ReceiverReports, ntp_now: int) -> None:
        for block in packet.blocks:
            subscription = self._by_ssrc.get(block.ssrc)
            if subscription is None:
                continue
            round_trip = None
            if block.last_sr:
                ticks = (ntp_now >> 16) - block.last_sr - block.delay_since_last_sr & 0xFFFFFFFF
                if ticks < 10 * 65536:
                    round_trip = ticks / 65536
            subscription.reported(block, round_trip)

    def sender_reports(self, now: float, ntp_now: int) -> list[bytes]:
        reports = [r for s in self._by_ssrc.values() if (r := s.sender_report(now, ntp_now)) is not None]
        return [
            b"".join(reports[start : start + MAX_SENDER_REPORTS])
            for start in range(0, len(reports), MAX_SENDER_REPORTS)
        ]
