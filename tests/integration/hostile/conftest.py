"""A running media plane, a call in it, and somebody outside."""

from collections.abc import AsyncIterator

import pytest

from sfu.engine import Sfu
from sfu.settings import MediaLimits, MediaSettings
from tests.support.hostile import Attacker, Call, established


@pytest.fixture
async def sfu_() -> AsyncIterator[Sfu]:
    # Not policed: everything hostile is to reach what reads it (tests/integration/test_sfu_limits.py has the rest).
    limits = MediaLimits(incoming_bps=1_000_000_000)
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",), limits=limits))
    await running.start()
    yield running
    await running.close()


@pytest.fixture
async def call(sfu_: Sfu) -> AsyncIterator["Call"]:
    """Alice publishes microphone and camera, Bob watches; both work before the test begins and must after it."""
    async with established(sfu_) as running:
        yield running
        await running.still_works()


@pytest.fixture
async def mallory(sfu_: Sfu) -> AsyncIterator[Attacker]:
    attacker = Attacker(sfu_)
    yield attacker
    attacker.close()
