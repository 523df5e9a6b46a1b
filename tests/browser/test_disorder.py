"""Real browsers on a line with jitter, packets that are overtaken and doubled, and loss both ways, by seed: files have
every frame once and in order, and viewers see pictures."""

import asyncio

import pytest

from tests.support import counter
from tests.support.evidence import Evidence
from tests.support.impaired_meeting import recorded_meeting
from tests.support.proxy import Counters, Disorder, ImpairmentProxy

LOSS = 0.02
DISORDER = Disorder(loss=LOSS, jitter_s=0.03, overtaken=0.05, doubled=0.05)
SEED = 21
RECORDED_S = 8.0
PEOPLE = ("Ann", "Bob")


@pytest.fixture(scope="module")
def disordered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Counters]:
    with ImpairmentProxy(loss=LOSS, seed=SEED, both=DISORDER) as proxy:
        evidence = asyncio.run(recorded_meeting(tmp_path_factory.mktemp("disorder"), proxy, RECORDED_S))
    return evidence, proxy.counters


@pytest.fixture
def evidence(disordered: tuple[Evidence, Counters]) -> Evidence:
    return disordered[0]


def test_packets_were_really_lost_both_ways_and_doubled(disordered: tuple[Evidence, Counters]) -> None:
    counters = disordered[1]
    assert 0.01 < counters.dropped_in / counters.media_in < 0.03
    assert counters.dropped_out > 0.01 * counters.passed_out
    assert counters.passed_in > counters.media_in


@pytest.mark.parametrize("media", ["audio", "video"])
@pytest.mark.parametrize("name", PEOPLE)
def test_the_server_file_has_everything_once_and_in_order(evidence: Evidence, name: str, media: str) -> None:
    file = evidence.track(name, media)
    found = evidence.match(name, media)
    assert (evidence.unlisted(name, media), found.extra) == ([], ())
    assert len(found.pairs) == file.report.stream(media).packets > 0
    assert file.report.sound
    assert (file.segment["packets"]["lost"], file.segment["packets"]["duplicate"]) == (0, 0)


@pytest.mark.parametrize("name", PEOPLE)
def test_every_frame_of_the_server_file_is_readable(evidence: Evidence, name: str) -> None:
    readings = counter.read_file(evidence.server(name, "camera").path)
    assert len(readings) > 100
    assert [reading.time_s for reading in readings if reading.number is None] == []


@pytest.mark.parametrize("name", PEOPLE)
def test_a_viewer_asked_for_what_it_missed_and_saw_pictures_all_along(evidence: Evidence, name: str) -> None:
    (video,) = [r for r in evidence.people[name].stats if r["type"] == "inbound-rtp" and r["kind"] == "video"]
    assert video["nackCount"] > 0
    assert video["framesReceived"] > 10 * RECORDED_S, "of 30 a second, on a machine that does something else too"
    assert video["framesDecoded"] > 0.8 * video["framesReceived"], "what comes too late for its turn is left out"
    assert video["totalFreezesDuration"] < 0.3 * video["totalInterFrameDelay"]
