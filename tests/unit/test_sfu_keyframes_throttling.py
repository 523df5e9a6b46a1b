"""Wishes for key frames are merged into few requests. Virtual time."""

from sfu.keyframes import INTERVAL_S, KeyFrameRequests


def sent(requests: KeyFrameRequests, begin: float, end: float, *, wishes_hz: int = 0) -> int:
    """Requests between two times with a look every 50 ms and so many wishes a second."""
    count = 0
    for tick in range(round((end - begin) / 0.05)):
        for _ in range(wishes_hz // 20):
            requests.want()
        count += requests.due(begin + tick * 0.05)
    return count


def test_without_a_wish_nothing_is_requested() -> None:
    assert sent(KeyFrameRequests(), 0.0, 10.0) == 0


def test_a_wish_is_requested_at_once_also_at_time_zero() -> None:
    requests = KeyFrameRequests()
    requests.want()
    assert requests.due(0.0)


def test_a_wish_is_repeated_every_interval_until_a_key_frame_comes() -> None:
    requests = KeyFrameRequests()
    requests.want()
    assert sent(requests, 0.0, 4 * INTERVAL_S) == 4
    requests.arrived()
    assert sent(requests, 4 * INTERVAL_S, 20.0) == 0
    assert requests.sent == 4


def test_a_wish_within_the_interval_waits_for_its_end() -> None:
    requests = KeyFrameRequests()
    requests.want()
    assert requests.due(1.0)
    requests.arrived()
    requests.want()
    assert not requests.due(1.0 + INTERVAL_S / 2)
    assert requests.due(1.0 + INTERVAL_S)


def test_a_thousand_wishes_a_second_become_two_requests() -> None:
    requests = KeyFrameRequests()
    assert sent(requests, 0.0, 10.0, wishes_hz=1000) == 10 / INTERVAL_S
