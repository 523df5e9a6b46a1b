"""Real browsers on a line with jitter, packets that are overtaken and doubled, and loss both ways, by seed: files have
every frame once and in order, and viewers see pictures."""

import asyncio
from pathlib import Path

import pytest

from tests.support import counter
from tests.support.chromium import chromium
from tests.support.evidence import Evidence, collect, witness
from tests.support.proxy import Counters, Disorder, ImpairmentProxy
from tests.support.studio import start_studio

LOSS = 0.02
DISORDER = Disorder(loss=LOSS, jitter_s=0.03, overtaken=0.05, doubled=0.05)
SEED = 21
RECORDED_S = 8.0
PEOPLE = ("Ann", "Bob")


async def meeting(folder: Path) -> tuple[Evidence, Counters]:
    with ImpairmentProxy(loss=LOSS, seed=SEED, both=DISORDER) as proxy:
        overrides = {"media": {"advertise": [f"127.0.0.1:{proxy.port}"]}}
        async with start_studio(folder / "studio", overrides) as studio, chromium() as rooms:
            proxy.upstream = ("127.0.0.1", studio.media_port)
            session = await studio.create_session("A line in disorder")
            ann = await rooms.join(session["host_url"], "Ann")
            bob = await rooms.join(session["guest_url"], "Bob")
            for room in (ann, bob):
                await room.plays(1)
            await ann.start_recording()
            await ann.sends_for(RECORDED_S)
            await ann.stop_recording()
            people = [await witness(room) for room in (ann, bob)]
            (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
            evidence = await collect(
                studio, session, recording["recording_id"], people, folder, local_copies=len(people)
            )
    return evidence, proxy.counters


@pytest.fixture(scope="module")
def disordered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Counters]:
    return asyncio.run(meeting(tmp_path_factory.mktemp("disorder")))


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
