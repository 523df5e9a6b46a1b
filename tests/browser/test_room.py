"""Two people talk, a third comes later, and everything each of them said is there twice, complete and on time.

One meeting is held for the whole module; the tests read its evidence.
"""

import asyncio
import statistics
from pathlib import Path

import pytest

from tests.support import counter, media
from tests.support.chromium import chromium
from tests.support.evidence import Evidence, File, collect, witness
from tests.support.journals import S
from tests.support.schema import check_manifest
from tests.support.studio import start_studio

TOGETHER_S = 4.0
"""Recorded with two, then again as long with three."""
PIPELINE_S = 0.25
"""From the camera through encoder and network to the server, which the server's timeline does not take off yet: 15 to
50 ms on an idle machine, more where three pages share two busy cores."""
PEOPLE = ("Ann", "Bob", "Cid")
FILES = [(name, copy) for name in PEOPLE for copy in ("server", "local")]
CODECS = {"vp8": "vp8", "opus": "opus"}


async def meeting(folder: Path) -> Evidence:
    async with start_studio(folder / "studio") as studio, chromium() as rooms:
        session = await studio.create_session("Two of us")
        ann = await rooms.join(session["host_url"], "Ann")
        bob = await rooms.join(session["guest_url"], "Bob")
        seen: dict[str, list[int | None]] = {name: [] for name in PEOPLE}
        for room in (ann, bob):
            await room.plays(1)
            await room.hears(1)
        await ann.start_recording()
        await ann.sends_for(TOGETHER_S / 2)
        for room in (ann, bob):
            seen[room.name] += await room.numbers()
        await ann.sends_for(TOGETHER_S / 2)
        cid = await rooms.join(session["guest_url"], "Cid")
        await cid.plays(2)
        await ann.plays(2)
        await cid.sends_for(TOGETHER_S)
        for room in (ann, bob, cid):
            seen[room.name] += await room.numbers()
        await ann.stop_recording()
        people = [await witness(room) for room in (ann, bob, cid)]
        for person in people:
            person.notes["numbers"] = seen[person.name]
        (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
        return await collect(studio, session, recording["recording_id"], people, folder, local_copies=len(people))


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return asyncio.run(meeting(tmp_path_factory.mktemp("room")))


@pytest.mark.parametrize("name", ["Ann", "Bob"])
def test_each_decodes_the_video_of_the_other(evidence: Evidence, name: str) -> None:
    decoded = [s for s in evidence.people[name].stats if s["type"] == "inbound-rtp" and s["kind"] == "video"]
    assert [report["framesDecoded"] > 30 for report in decoded] == [True, True]
    assert all((report["frameWidth"], report["frameHeight"]) == (640, 360) for report in decoded)


@pytest.mark.parametrize("name", ["Ann", "Bob"])
def test_each_hears_the_others(evidence: Evidence, name: str) -> None:
    heard = [s for s in evidence.people[name].stats if s["type"] == "inbound-rtp" and s["kind"] == "audio"]
    assert [report["totalAudioEnergy"] > 0 for report in heard] == [True, True]
    assert all(report["packetsLost"] == 0 for report in heard)


def test_the_round_trip_to_each_is_known_though_nothing_was_lost(evidence: Evidence) -> None:
    receptions = [file.segment["reception"] for name in PEOPLE for file in evidence.of(name, "server")]
    assert len(receptions) == 2 * len(PEOPLE)
    assert all(0 < reception["round_trip_ms"] < 1000 * PIPELINE_S for reception in receptions)


@pytest.mark.parametrize("name", PEOPLE)
def test_sound_and_picture_are_placed_by_one_clock_from_beginning_to_end(evidence: Evidence, name: str) -> None:
    for file in evidence.of(name, "server"):
        assert file.segment["map_basis"] == "shared"
        first, *_, last = file.segment["map"]
        assert (first["file_ns"], last["file_ns"]) == (0, pytest.approx(file.segment["duration_ns"], abs=S // 1000))
        assert (first["session_ns"], first["bound_ns"]) == (file.segment["start_ns"], file.segment["start_bound_ns"])


@pytest.mark.parametrize("name", PEOPLE)
def test_the_frame_number_is_readable_in_what_each_sees(evidence: Evidence, name: str) -> None:
    numbers = evidence.people[name].notes["numbers"]
    assert len(numbers) >= 2
    assert None not in numbers


@pytest.mark.parametrize("name", PEOPLE)
def test_no_page_reported_an_error_or_a_violated_policy(evidence: Evidence, name: str) -> None:
    assert evidence.people[name].errors == []


@pytest.mark.parametrize("name", PEOPLE)
def test_everybody_is_in_the_manifest_with_one_microphone_and_one_camera(evidence: Evidence, name: str) -> None:
    assert name in [person["display_name"] for person in evidence.manifest["participants"]]
    assert sorted(file.take["kind"] for file in evidence.of(name, "server")) == ["camera", "microphone"]
    assert len(evidence.of(name, "local")) == 1


def test_the_manifest_is_valid_and_says_who_was_there_and_spoke(evidence: Evidence) -> None:
    check_manifest(evidence.manifest)
    people = {person["display_name"]: person for person in evidence.manifest["participants"]}
    begins = [people[name]["present"][0]["from_ns"] for name in PEOPLE]
    assert begins[0] <= evidence.manifest["started_ns"] + S
    assert begins[2] > evidence.manifest["started_ns"] + S, "the third came later"
    ids = {person["participant_id"] for person in people.values()}
    assert evidence.manifest["speakers"], "all microphones have a tone"
    assert {id for said in evidence.manifest["speakers"] for id in said["speaking"]} <= ids


@pytest.mark.parametrize("name", PEOPLE)
def test_the_manifest_says_how_large_pictures_are_and_how_each_stream_came(evidence: Evidence, name: str) -> None:
    camera = evidence.server(name, "camera").segment
    assert (camera["width"], camera["height"]) == (640, 360)
    assert camera["pictures"][-1]["width"] == 640
    for kind in ("camera", "microphone"):
        segment = evidence.server(name, kind).segment
        assert segment["reception"]["received"] >= segment["packets"]["received"] > 0
        assert segment["reception"]["given_up"] == 0
        assert segment["made_by"].startswith("stemroom ")


@pytest.mark.parametrize(("name", "copy"), FILES)
def test_every_file_opens_and_decodes_without_an_error(evidence: Evidence, name: str, copy: str) -> None:
    for file in evidence.of(name, copy):
        assert file.report.sound, (file.name, file.report)


@pytest.mark.parametrize(("name", "copy"), FILES)
def test_every_file_is_what_the_manifest_says(evidence: Evidence, name: str, copy: str) -> None:
    for file in evidence.of(name, copy):
        assert file.sha256 == file.segment["sha256"]
        assert file.path.stat().st_size == file.segment["size_bytes"]
        assert [stream.codec for stream in file.report.streams] == file.segment["codec"].split(",")
        assert file.report.duration_s == pytest.approx(file.segment["duration_ns"] / 1e9, abs=0.1), file.name


def test_server_files_are_webm_with_vp8_or_opus(evidence: Evidence) -> None:
    for name in PEOPLE:
        assert evidence.server(name, "camera").segment["codec"] == "vp8"
        assert evidence.server(name, "microphone").segment["codec"] == "opus"
        assert evidence.server(name, "microphone").report.stream("audio").channels in (1, 2)


@pytest.mark.parametrize(("name", "copy"), [(name, copy) for name, copy in FILES if name != "Cid"])
def test_files_cover_the_recording_but_for_a_second_at_each_end(evidence: Evidence, name: str, copy: str) -> None:
    for file in evidence.of(name, copy):
        assert evidence.started_s - 0.1 <= file.start_s <= evidence.started_s + 1, describe(evidence, file)
        assert evidence.stopped_s - 1 <= file.end_s <= evidence.stopped_s + 1, describe(evidence, file)


@pytest.mark.parametrize("name", PEOPLE)
def test_the_duration_is_that_of_the_media(evidence: Evidence, name: str) -> None:
    for file in evidence.of(name, "server"):
        (stream,) = file.report.streams
        duration_s = file.segment["duration_ns"] / 1e9
        assert file.report.duration_s == pytest.approx(duration_s, abs=0.1), file.name
        if stream.kind == "audio":
            assert stream.span_s == pytest.approx(duration_s, abs=0.1), file.name
        else:
            assert stream.span_s <= duration_s, "its last picture lasts until the end"
    sound = evidence.server(name, "microphone").report.stream("audio")
    assert sound.samples / sound.sample_rate_hz == pytest.approx(sound.span_s, abs=0.1)


@pytest.mark.pain("15")
@pytest.mark.parametrize("media_kind", ["audio", "video"])
@pytest.mark.parametrize("name", PEOPLE)
def test_the_server_file_has_everything_that_was_sent_unchanged_and_nothing_else(
    evidence: Evidence, name: str, media_kind: str
) -> None:
    file, found = evidence.track(name, media_kind), evidence.match(name, media_kind)
    assert evidence.unlisted(name, media_kind) == []
    # A starved browser captures no sound for a while; its files have concealment there.
    assert len(found.extra) == file.segment["packets"]["concealed"]
    assert len(found.pairs) + len(found.extra) == file.report.stream(media_kind).packets
    assert file.segment["packets"]["lost"] == 0
    assert evidence.people[name].sent[media_kind][found.first].is_key or media_kind == "audio"


@pytest.mark.parametrize("media_kind", ["audio", "video"])
@pytest.mark.parametrize("name", PEOPLE)
def test_the_server_file_keeps_the_time_of_the_sender_or_lists_a_correction(
    evidence: Evidence, name: str, media_kind: str
) -> None:
    moved = evidence.track(name, media_kind).segment["corrections"]
    apart_s = max(map(abs, evidence.apart_s(name, media_kind)))
    assert apart_s < 0.003 or moved


@pytest.mark.parametrize("name", PEOPLE)
def test_what_the_encoder_made_is_what_getstats_says_was_sent(evidence: Evidence, name: str) -> None:
    person = evidence.people[name]
    before, after = person.frames_sent
    assert before <= len(person.sent["video"]) <= after + 2


@pytest.mark.parametrize("name", PEOPLE)
def test_every_frame_of_the_server_file_is_readable_and_the_source_goes_forward(evidence: Evidence, name: str) -> None:
    file = evidence.server(name, "camera")
    readings = counter.read_file(file.path)
    assert len(readings) == file.report.stream("video").packets
    assert [reading.time_s for reading in readings if reading.number is None] == []
    # A step of more than one is a frame that the encoder was not given or did not send, one of zero a frame that the
    # fake camera gave twice; that the file has exactly what was sent is said by the test of what was sent.
    assert sum(counter.steps(readings)) <= (readings[-1].time_s - readings[0].time_s) * media.FPS + 3
    assert counter.steps(readings).count(0) <= 0.02 * len(readings)


@pytest.mark.parametrize("name", PEOPLE)
def test_both_copies_show_the_same_frame_at_the_same_session_time(evidence: Evidence, name: str) -> None:
    (local,) = evidence.of(name, "local")
    server = evidence.server(name, "camera")
    shown = {reading.number: local.start_s + reading.time_s for reading in counter.read_file(local.path)}
    loop_s = media.FRAMES / media.FPS
    apart_s = [
        (server.start_s + reading.time_s - shown[reading.number] + loop_s / 2) % loop_s - loop_s / 2
        for reading in counter.read_file(server.path)
        if reading.number in shown
    ]
    assert len(apart_s) > 50
    assert abs(statistics.median(apart_s)) < PIPELINE_S


@pytest.mark.parametrize("name", PEOPLE)
def test_the_local_copy_shows_the_same_source_at_full_size(evidence: Evidence, name: str) -> None:
    (file,) = evidence.of(name, "local")
    readings = counter.read_file(file.path)
    assert set(file.report.stream("video").sizes) == {(640, 360)}
    assert len(readings) > 0.8 * evidence.server(name, "camera").report.stream("video").packets
    assert [reading.time_s for reading in readings if reading.number is None] == []
    assert file.report.stream("audio").samples > 0


@pytest.mark.pain("6")
@pytest.mark.parametrize("media_kind", ["audio", "video"])
def test_who_joins_later_has_files_that_begin_when_the_page_first_sent(evidence: Evidence, media_kind: str) -> None:
    first_sent_s = evidence.first_sent_s("Cid", media_kind)
    assert evidence.track("Cid", media_kind).start_s == pytest.approx(first_sent_s, abs=0.1)


@pytest.mark.parametrize("name", PEOPLE)
def test_no_server_file_has_a_gap_by_loss(evidence: Evidence, name: str) -> None:
    for file in evidence.of(name, "server"):
        assert {gap["reason"] for gap in file.segment["gaps"]} <= {"unsent", "clock", "paused"}, file.name
        assert file.segment["packets"]["concealed"] == 0 or file.segment["corrections"], file.name


def describe(evidence: Evidence, file: File) -> str:
    return (
        f"{file.name}: {file.start_s:.3f} to {file.end_s:.3f} s, "
        f"recording {evidence.started_s:.3f} to {evidence.stopped_s:.3f} s"
    )
