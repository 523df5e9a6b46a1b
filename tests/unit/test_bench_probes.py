"""The bench of the probes looks at the media that it says it looks at."""

import re

import pytest

from bench import probes


def test_it_prints_the_cost_of_sound_and_of_pictures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probes, "SECONDS", 3)
    probes.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Opus", "Opus", "VP8", "VP8"]
    assert all(re.search(r"[\d.]+ ms of CPU per second$", line) for line in lines)
