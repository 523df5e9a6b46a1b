"""What pages say about themselves is bounded in size, in rate, and in what it can name. Virtual time."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.messages import PageReport, decode
from signaling.page_reports import BURST, MAX_ERRORS, MAX_SENT, REPORT_S, PageError, PageFigures, PageReports

SENT = {"kind": "camera", "bitrate_bps": 1_000_000}
RECEIVED = {
    "tracks": 2,
    "bitrate_bps": 0,
    "packets": 0,
    "lost": 0,
    "freezes": 0,
    "frozen_ms": 0,
    "frames_dropped": 0,
    "concealed": 0,
    "jitter_buffer_ms": 0,
}
PATH = {"candidate": "host", "protocol": "udp", "rtt_ms": 20}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def read(figures: object, errors: object = None) -> PageReport:
    message = decode(msgspec.json.encode({"type": "page_report", "figures": figures, "errors": errors or {}}))
    assert isinstance(message, PageReport)
    return message


def test_a_report_without_anything_is_a_report() -> None:
    assert read({}) == PageReport(figures=PageFigures(), errors={})


@pytest.mark.parametrize(
    ("figures", "errors"),
    [
        ({"sent": [SENT] * (MAX_SENT + 1)}, {}),
        ({"sent": [SENT | {"kind": "hologram"}]}, {}),
        ({"sent": [SENT | {"bitrate_bps": -1}]}, {}),
        ({"sent": [SENT | {"bitrate_bps": 1e300}]}, {}),
        ({"sent": [SENT | {"limited_by": "<script>"}]}, {}),
        ({"sent": [SENT | {"lost": 1.5}]}, {}),
        ({"received": RECEIVED | {"concealed": 2}}, {}),
        ({"received": RECEIVED | {"packets": 1 << 41}}, {}),
        ({"received": RECEIVED | {"tracks": 1000}}, {}),
        ({"publish": PATH | {"candidate": "pigeon"}}, {}),
        ({"publish": PATH | {"protocol": "x" * 1000}}, {}),
        ({"publish": PATH | {"rtt_ms": "fast"}}, {}),
        ({}, {"script": 0}),
        ({}, {"script": MAX_ERRORS + 1}),
        ({}, {"my own words": 1}),
        ({}, ["script"]),
    ],
)
def test_what_is_out_of_bounds_is_no_report(figures: object, errors: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(figures, errors)


def test_the_newest_report_is_kept_and_errors_add_up() -> None:
    page = PageReports(0.0)
    page.take(read({"publish": PATH}).figures, {PageError.SCRIPT: 2}, 10.0)
    page.take(PageFigures(), {PageError.SCRIPT: 1, PageError.CAPTURE: 1}, 20.0)
    assert (page.newest, page.at) == (PageFigures(), 20.0)
    assert page.errors == {PageError.SCRIPT: 3, PageError.CAPTURE: 1}


def test_a_page_that_reports_all_the_time_is_heard_now_and_then() -> None:
    page = PageReports(0.0)
    taken = sum(page.take(PageFigures(), {PageError.SCRIPT: 1}, n / 50) for n in range(50 * 60))
    assert BURST <= taken <= BURST + 60 / REPORT_S
    assert page.errors[PageError.SCRIPT] == taken, "errors of the others are not counted either"


def test_a_report_every_ten_seconds_is_always_taken() -> None:
    page = PageReports(0.0)
    assert all(page.take(PageFigures(), {}, 10.0 * n) for n in range(1, 1000))


@given(ANYTHING, ANYTHING)
def test_anything_else_in_its_place_is_refused_or_understood(figures: object, errors: object) -> None:
    try:
        report = read(figures, errors)
    except msgspec.ValidationError:
        return
    assert set(report.errors) <= set(PageError)
