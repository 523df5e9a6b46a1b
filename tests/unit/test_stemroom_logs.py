"""What the log shows, and that it never shows the values of variables."""

import io
import sys

import pytest
import structlog

import recorder.process
import stemroom.logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("configure", [stemroom.logs.configure, recorder.process._configure_log])
def test_a_person_sees_where_it_failed_and_no_local_variable(
    configure: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert callable(configure)
    configure("info")
    try:
        fail("a-token-of-somebody")
    except ZeroDivisionError:
        structlog.get_logger().exception("failed", id="ses_1")
    finally:
        structlog.reset_defaults()
    assert "ZeroDivisionError" in terminal.getvalue()
    assert "test_stemroom_logs.py" in terminal.getvalue()
    assert "a-token-of-somebody" not in terminal.getvalue().replace('fail("a-token-of-somebody")', "")


def fail(token: str) -> float:
    return len(token) / 0
