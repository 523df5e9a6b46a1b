"""What is sent again is bounded by what the viewer's network is taken to carry, over all that it is sent."""

from sfu.congestion.estimator import MIN_BPS, BandwidthEstimator
from sfu.outbound import REPAIR_SHARE, TICK_S, Outbound
from sfu.rtcp import Nack
from tests.support.layered_camera import Camera, Watching

PACKET_OCTETS = 1050
"""About, on the wire."""


class Connection:
    """One viewer of two cameras that misses everything."""

    def __init__(self, target_bps: float | None) -> None:
        self.outbound = Outbound()
        self.watching: list[Watching] = []
        self.now = 20.0
        for number in range(2):
            camera = Camera("h", f"p{number}")
            camera.octets = {"h": 1000}
            watching = camera.viewer(720)
            watching.subscription.ssrc += number
            self.outbound.add(watching.subscription)
            camera.run(4.0)
            watching.fresh()
            self.watching.append(watching)
        if target_bps is not None:
            self.outbound.estimator = BandwidthEstimator(self.now, round(target_bps))

    def again(self, packets: int = 50) -> int:
        """Ask for so many of each; octets that came."""
        for watching in self.watching:
            sequences = [packet.sequence for packet in watching.got[-packets:]]
            self.outbound.nack(Nack(watching.subscription.ssrc, tuple(sequences)), self.now)
            self.now += 0.001
        came = [packet for watching in self.watching for packet in watching.viewer.packets()]
        return len(came) * PACKET_OCTETS

    def seconds(self, count: float) -> int:
        total = 0
        for _ in range(round(count / TICK_S)):
            self.outbound.new_tick()
            total += self.again()
            self.now += TICK_S
        return total


def test_it_is_a_share_of_the_estimate() -> None:
    for target_bps in (3e6, 300e3, MIN_BPS):
        connection = Connection(target_bps)
        connection.again()
        octets = connection.seconds(10.0)
        assert 0.8 * REPAIR_SHARE * target_bps <= 8 * octets / 10 <= 1.15 * REPAIR_SHARE * target_bps


def test_what_is_not_sent_again_is_counted() -> None:
    connection = Connection(300e3)
    connection.outbound.new_tick()
    connection.again(50)
    connection.outbound.new_tick()
    connection.again(50)
    totals = connection.outbound.counters()
    assert totals["packets_asked_for_by_viewers"] == 200
    assert totals["packets_sent_again"] + totals["packets_not_sent_again"] == 200
    assert 0 < totals["packets_sent_again"] < 5


def test_where_nothing_is_known_of_the_network_all_is_sent_again() -> None:
    connection = Connection(None)
    assert connection.seconds(1.0) == 20 * 2 * 50 * PACKET_OCTETS
