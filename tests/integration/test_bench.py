"""The measurements work through the real program, here in their shortest form."""

import os

from bench import forward, join


async def test_every_packet_is_delivered_its_cost_is_counted_and_lost_ones_are_repaired() -> None:
    cores = os.sched_getaffinity(0)
    chosen = forward.arguments(["--rounds", "2", "--seconds", "0.5", "--rate", "100", "--lossy"])
    load = forward.load_for(2, chosen)
    (rounds,) = (await forward.measure(load, publishers=2, subscribers=2, chosen=chosen)).values()
    assert [(r.sent, r.delivered, r.lost) for r in rounds] == [(2 * len(load.sends), 4 * len(load.sends), 0)] * 2
    assert all(r.cpu_us > 0 and r.packets_per_send > 1 for r in rounds)
    assert sum(r.repaired for r in rounds) > 0
    assert os.sched_getaffinity(0) == cores


async def test_a_join_costs_cpu_time_and_memory() -> None:
    found = await join.measure(participants=2, room=2)
    assert found.cpu_ms > 0
    assert found.memory_kib > 0
