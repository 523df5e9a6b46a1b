"""When the page restarts ICE, and when it makes a new connection: the module alone, with the clock stopped."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.test_web_modules import _serve
from tests.support import chromium

MAKE = """async () => {
  const m = await import('/static/js/ice_repair.js');
  window.asked = [];
  window.repair = new m.IceRepair(() => asked.push('restart'), () => asked.push('replace'));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium.executable(), headless=True, args=chromium.FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.route("http://localhost:9/**", _serve)
    page = context.new_page()
    page.clock.install()
    page.goto("http://localhost:9/")
    page.evaluate(MAKE)
    yield page
    context.close()


def told(page: Page, *states: str) -> None:
    page.evaluate("(states) => states.forEach((state) => repair.update(state))", list(states))


def asked(page: Page, after_s: float = 0) -> list[str]:
    """What it asked for within this time."""
    page.clock.run_for(round(1000 * after_s))
    found: list[str] = page.evaluate("asked.splice(0)")
    return found


def test_a_short_interruption_is_left_to_the_browser(page: Page) -> None:
    told(page, "connecting", "connected", "disconnected")
    assert asked(page, 1.9) == []
    told(page, "connected")
    assert asked(page, 60) == []


def test_a_longer_one_is_answered_by_restarts_again_and_again_and_at_last_by_a_new_connection(page: Page) -> None:
    told(page, "connected", "disconnected")
    assert asked(page, 2.1) == ["restart"]
    assert asked(page, 4) == ["restart"]
    assert asked(page, 23) == ["restart"] * 5
    assert asked(page, 4) == ["replace"]
    assert asked(page, 60) == []


def test_a_failure_is_answered_at_once(page: Page) -> None:
    told(page, "connected", "failed")
    assert asked(page, 0.1) == ["restart"]
    told(page, "connecting", "connected")
    assert asked(page, 60) == []


def test_a_failure_right_after_a_restart_waits_for_its_turn(page: Page) -> None:
    told(page, "connected", "disconnected")
    assert asked(page, 2.1) == ["restart"]
    told(page, "failed")
    assert asked(page, 1) == []
    assert asked(page, 3) == ["restart"]


def test_what_was_never_up_is_replaced_when_it_fails(page: Page) -> None:
    told(page, "connecting", "failed")
    assert asked(page) == ["replace"]
    told(page, "failed")
    assert asked(page, 60) == []


def test_another_network_restarts_at_once_and_once_for_several_signs(page: Page) -> None:
    told(page, "connected")
    page.evaluate("() => { repair.networkChanged(); repair.networkChanged(); }")
    assert asked(page) == ["restart"]
    assert asked(page, 60) == [], "the connection did not suffer"
    page.evaluate("() => repair.networkChanged()")
    assert asked(page) == ["restart"]


def test_before_it_was_up_another_network_means_nothing(page: Page) -> None:
    told(page, "connecting")
    page.evaluate("() => repair.networkChanged()")
    assert asked(page, 60) == []


def test_when_the_line_is_back_an_interrupted_connection_is_restarted_and_no_other(page: Page) -> None:
    told(page, "connected")
    page.evaluate("() => repair.lineIsBack()")
    assert asked(page) == []
    told(page, "disconnected")
    page.evaluate("() => repair.lineIsBack()")
    assert asked(page) == ["restart"]
    assert asked(page, 3.9) == []
    assert asked(page, 0.2) == ["restart"]


def test_after_closing_nothing_is_asked(page: Page) -> None:
    told(page, "connected", "disconnected")
    page.evaluate("() => { repair.close(); repair.networkChanged(); repair.update('failed'); }")
    assert asked(page, 60) == []
