"""The modelled network does what its conditions say, and the same again for the same seed."""

from itertools import pairwise

import pytest

from tests.support.network_model import Conditions, GilbertElliott, Link, Network


class Receiver:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.got: list[tuple[float, int]] = []

    def __call__(self, datagram: bytes) -> None:
        self.got.append((round(self.network.elapsed_s, 9), int.from_bytes(datagram[:4], "big")))

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.got]


def carry(
    conditions: Conditions, count: int = 1000, every_s: float = 0.01, size: int = 1000, seed: int = 1
) -> tuple[Receiver, Link]:
    """`count` numbered datagrams, one each `every_s`, all the way."""
    network = Network()
    receiver = Receiver(network)
    link = Link(network, receiver, conditions, seed=seed)
    for n in range(count):
        network.at(network.start + n * every_s, lambda n=n: link.send(n.to_bytes(4, "big") + bytes(size - 4)))  # type: ignore[misc]
    network.run(count * every_s + 10)
    return receiver, link


def test_events_happen_in_order_and_equal_times_as_asked() -> None:
    network = Network()
    seen: list[str] = []
    network.after(0.2, lambda: seen.append("late"))
    network.after(0.1, lambda: seen.append("first"))
    network.after(0.1, lambda: seen.append("second"))
    network.at(network.now - 5, lambda: seen.append("past"))
    network.run(0.15)
    assert seen == ["past", "first", "second"]
    assert network.elapsed_s == pytest.approx(0.15)
    network.run(0.3)
    assert seen[-1] == "late"


def test_what_repeats_stays_on_its_grid() -> None:
    network = Network()
    times: list[float] = []
    network.every(0.02, lambda: times.append(network.elapsed_s))
    network.run(100)
    assert len(times) == 5001
    assert times[-1] == pytest.approx(100, abs=1e-6)


def test_a_link_without_limits_only_delays() -> None:
    receiver, link = carry(Conditions(delay_s=0.05), 10)
    assert receiver.got == [(pytest.approx(n * 0.01 + 0.05), n) for n in range(10)]
    assert (link.counters.sent, link.counters.delivered, link.counters.octets) == (10, 10, 10_000)


def test_the_capacity_spreads_a_burst_and_what_does_not_fit_the_queue_is_dropped() -> None:
    receiver, link = carry(Conditions(capacity_bps=800e3, delay_s=0, queue_s=0.05), 20, every_s=0)
    assert receiver.got == [(pytest.approx((n + 1) * 0.01), n) for n in range(5)], "10 ms each, five fit"
    assert link.counters.overflowed == 15


def test_a_queue_in_bytes_does_not_depend_on_the_capacity() -> None:
    receiver, _ = carry(Conditions(capacity_bps=80e3, delay_s=0, queue_bytes=3000), 20, every_s=0)
    assert receiver.numbers == [0, 1, 2]


def test_overhead_takes_capacity_but_is_not_delivered() -> None:
    network = Network()
    receiver = Receiver(network)
    link = Link(network, receiver, Conditions(capacity_bps=800e3, delay_s=0), overhead=1000)
    link.send(bytes(1000))
    network.run(1)
    assert receiver.got == [(pytest.approx(0.02), 0)]
    assert link.counters.octets == 1000


def test_a_plan_changes_the_capacity_and_a_closed_link_holds_what_it_has() -> None:
    network = Network()
    receiver = Receiver(network)
    link = Link(network, receiver, Conditions(capacity_bps=0, delay_s=0, queue_bytes=10_000))
    link.plan((1.0, Conditions(delay_s=0)), (2.0, Conditions(delay_s=0, loss=1.0)))
    for n in range(3):
        link.send(n.to_bytes(4, "big"))
    network.run(0.9)
    assert receiver.got == []
    network.run(1.5)
    assert receiver.got == [(1.0, 0), (1.0, 1), (1.0, 2)]
    network.run(2.5)
    link.send(b"\0\0\0\3")
    network.run(3)
    assert link.counters.lost == 1


def test_a_long_queue_leaves_an_opened_link_at_once() -> None:
    network = Network()
    receiver = Receiver(network)
    link = Link(network, receiver, Conditions(capacity_bps=0, queue_bytes=10**9))
    for n in range(5000):
        link.send(n.to_bytes(4, "big"))
    link.change(Conditions())
    network.run(1)
    assert receiver.numbers == list(range(5000))


def test_the_queue_tells_how_long_it_is() -> None:
    network = Network()
    link = Link(network, lambda _: None, Conditions(capacity_bps=800e3, queue_s=1.0))
    for _ in range(10):
        link.send(bytes(1000))
    assert link.queue_s == pytest.approx(0.1)
    network.run(0.05)
    assert link.queue_s == pytest.approx(0.05)
    network.run(1)
    assert link.queue_s == 0


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.3])
def test_random_loss_is_as_frequent_as_asked(loss: float) -> None:
    receiver, link = carry(Conditions(loss=loss), 20_000, every_s=0.001)
    assert link.counters.lost == 20_000 - len(receiver.got)
    assert 0.85 * loss < link.counters.lost / 20_000 < 1.15 * loss


def test_bursts_of_loss_are_as_frequent_and_as_long_as_asked() -> None:
    receiver, link = carry(Conditions(loss=GilbertElliott(worsen=0.01, recover=0.2)), 50_000, every_s=0.001)
    bursts = [b - a - 1 for a, b in pairwise(receiver.numbers) if b - a > 1]
    assert 0.04 < link.counters.lost / 50_000 < 0.056, "1 / (1 + 20)"
    assert 4 < sum(bursts) / len(bursts) < 6


def test_jitter_without_reordering_keeps_the_order() -> None:
    receiver, _ = carry(Conditions(delay_s=0.02, jitter_s=0.1), 2000, every_s=0.005)
    assert receiver.numbers == list(range(2000))
    delays = [at - number * 0.005 for at, number in receiver.got]
    assert min(delays) >= 0.02 - 1e-9
    assert 0.08 < max(delays) - min(delays) <= 0.1 + 1e-9


def test_jitter_with_reordering_does_not() -> None:
    receiver, _ = carry(Conditions(jitter_s=0.1, reordering=True), 2000, every_s=0.005)
    assert sorted(receiver.numbers) == list(range(2000))
    assert receiver.numbers != list(range(2000))


def test_some_are_overtaken() -> None:
    receiver, _ = carry(Conditions(overtaken=0.05, overtaken_s=0.025), 10_000, every_s=0.01)
    late = [b for a, b in pairwise(receiver.numbers) if b < a]
    assert 0.04 < len(late) / 10_000 < 0.06


def test_some_come_twice() -> None:
    receiver, link = carry(Conditions(duplicated=0.05), 10_000)
    twice = len(receiver.got) - len(set(receiver.numbers))
    assert twice == link.counters.duplicated
    assert 0.04 < twice / 10_000 < 0.06


def test_the_seed_decides() -> None:
    conditions = Conditions(loss=0.1, jitter_s=0.05, reordering=True, duplicated=0.1, overtaken=0.1)
    first, second, other = (carry(conditions, seed=seed)[0].got for seed in (7, 7, 8))
    assert first == second
    assert first != other
