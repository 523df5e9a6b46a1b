"""With 5 % of all SRTP lost on the way in, before decryption and by seed, the server files still lack nothing."""

import asyncio

import pytest

from tests.support import counter
from tests.support.evidence import Evidence
from tests.support.impaired_meeting import recorded_meeting
from tests.support.proxy import Counters, ImpairmentProxy

LOSS = 0.05
SEED = 20
RECORDED_S = 8.0
PEOPLE = ("Ann", "Bob")


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Counters]:
    with ImpairmentProxy(loss=LOSS, seed=SEED) as proxy:
        evidence = asyncio.run(recorded_meeting(tmp_path_factory.mktemp("loss"), proxy, RECORDED_S))
    return evidence, proxy.counters


@pytest.fixture
def evidence(lossy: tuple[Evidence, Counters]) -> Evidence:
    return lossy[0]


def test_about_a_twentieth_of_the_packets_was_really_lost(lossy: tuple[Evidence, Counters]) -> None:
    counters = lossy[1]
    assert counters.media_in > 2000
    assert 0.03 < counters.dropped_in / counters.media_in < 0.07
    assert counters.refused == 0


def test_browsers_retransmitted_sound_and_pictures(evidence: Evidence) -> None:
    for person in evidence.people.values():
        for report in person.stats:
            if report["type"] == "outbound-rtp":
                assert report["retransmittedPacketsSent"] > 0, report


@pytest.mark.pain("19")
@pytest.mark.parametrize("media", ["audio", "video"])
@pytest.mark.parametrize("name", PEOPLE)
def test_the_server_file_misses_no_packet_of_sound_and_no_frame_that_was_sent(
    evidence: Evidence, name: str, media: str
) -> None:
    file = evidence.track(name, media)
    found = evidence.match(name, media)
    assert (evidence.unlisted(name, media), found.extra) == ([], ())
    assert len(found.pairs) == file.report.stream(media).packets > 0
    assert file.report.sound
    assert [gap for gap in file.segment["gaps"] if gap["reason"] == "lost"] == []
    assert (file.segment["packets"]["lost"], file.segment["packets"]["concealed"]) == (0, 0)


@pytest.mark.parametrize("name", PEOPLE)
def test_every_frame_of_the_server_file_is_readable(evidence: Evidence, name: str) -> None:
    readings = counter.read_file(evidence.server(name, "camera").path)
    assert len(readings) > 100
    assert [reading.time_s for reading in readings if reading.number is None] == []


@pytest.mark.parametrize("name", PEOPLE)
def test_server_files_cover_the_recording_but_for_a_second_at_each_end(evidence: Evidence, name: str) -> None:
    for file in evidence.of(name, "server"):
        assert file.start_s <= evidence.started_s + 1
        assert file.end_s >= evidence.stopped_s - 1
