"""The events of a recording add up to its manifest, in any number of journals and however often they come."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import recording_state
from recorder.events import (
    CaptureFinished,
    CaptureOpened,
    ChunkVerified,
    NoticeEnded,
    NoticeGiven,
    OffRecordMarked,
    OffRecordUnmarked,
    ParticipantGone,
    ParticipantSeen,
    Purged,
    RecordingEvent,
    RecordingStarted,
    RecordingStopped,
    SpeakersChanged,
    TakeOpened,
    TrackMuteChanged,
)
from recorder.manifest import (
    Interval,
    Manifest,
    Mute,
    OffRecord,
    Segment,
    Speakers,
    decode,
    encode,
    file_key,
    manifest_key,
)
from recorder.recording_state import RecordingState
from tests.support.journals import RECORDING, SESSION, S, track_header


def chunk(index: int) -> ChunkVerified:
    return ChunkVerified(
        segment_id="seg_local", index=index, size_bytes=1, sha256="", object_key=f"chunk/{index}", end_ms=0
    )


EVENTS: list[RecordingEvent] = [
    RecordingStarted(recording_id=RECORDING, session_id=SESSION, title="A talk", started_ns=S),
    ParticipantSeen(participant_id="par_a", display_name="Ada", role="host"),
    ParticipantSeen(participant_id="par_b", display_name="Bob", role="guest"),
    TakeOpened(take_id="tak_c", participant_id="par_a", kind="camera", slot=0),
    TakeOpened(take_id="tak_m", participant_id="par_b", kind="microphone", slot=1),
    TrackMuteChanged(take_id="tak_c", muted=True, at_ns=3),
    CaptureOpened(segment_id="seg_local", take_id="tak_c", content_type="video/webm", start_ns=2 * S, bound_ns=5),
    chunk(0),
    chunk(1),
    OffRecordMarked(off_record_id="off_a", start_ns=5, stop_ns=6, marked_by="par_a", marked_ns=7),
    RecordingStopped(stopped_ns=9 * S),
    CaptureFinished(segment_id="seg_local", chunks=2),
]


def state_of(events: list[RecordingEvent]) -> RecordingState:
    state = RecordingState(RECORDING, SESSION)
    for event in events:
        state.apply(event)
    return state


def server(segment_id: str, start_ns: int) -> Segment:
    return Segment(segment_id=segment_id, copy="server", state="stored", start_ns=start_ns, duration_ns=S)


def manifest_of(state: RecordingState) -> Manifest:
    return state.manifest({"tak_c": [server("seg_2", 5 * S), server("seg_1", S)]}, {})


def test_the_manifest_lists_who_took_part_and_what_there_is_of_them() -> None:
    manifest = manifest_of(state_of(EVENTS))
    assert (manifest.title, manifest.started_ns, manifest.stopped_ns) == ("A talk", S, 9 * S)
    assert [(who.display_name, who.role) for who in manifest.participants] == [("Ada", "host"), ("Bob", "guest")]
    camera, microphone = manifest.takes
    assert (camera.kind, camera.slot, microphone.kind, microphone.slot) == ("camera", 0, "microphone", 1)
    assert [segment.segment_id for segment in camera.segments] == ["seg_1", "seg_2", "seg_local"]
    assert microphone.segments == []


def test_a_local_copy_is_listed_in_every_state() -> None:
    states = []
    for count in (7, 11, 12):
        manifest = manifest_of(state_of(EVENTS[:count]))
        states.append(manifest.takes[0].segments[-1].state)
    assert states == ["capturing", "capturing", "finishing"]
    done = Segment(segment_id="seg_local", copy="local", state="stored", sha256="abc")
    assert state_of(EVENTS).manifest({}, {"seg_local": done}).takes[0].segments == [done]


def test_chunks_that_are_missing_are_named() -> None:
    capture = state_of([*EVENTS[:7], chunk(2), CaptureFinished(segment_id="seg_local", chunks=4)]).captures["seg_local"]
    assert capture.missing() == [0, 1, 3]
    assert state_of(EVENTS).captures["seg_local"].missing() == []


@given(repeats=st.lists(st.integers(1, len(EVENTS) - 1), max_size=20))
def test_events_that_come_twice_change_nothing(repeats: list[int]) -> None:
    again = [EVENTS[place] for place in sorted(repeats)]
    assert encode(manifest_of(state_of(EVENTS + again))) == encode(manifest_of(state_of(EVENTS)))


def test_events_of_unknown_captures_are_ignored() -> None:
    state = state_of([chunk(0), CaptureFinished(segment_id="seg_other", chunks=1)])
    assert state.captures == {}


def test_a_take_whose_event_was_lost_is_named_by_its_track() -> None:
    state = state_of(EVENTS)
    assert state.take_of(track_header("vp8", take_id="tak_c")) is state.takes["tak_c"]
    lost = state.take_of(track_header("opus", take_id="tak_lost"))
    assert (lost.kind, lost.slot) == ("microphone", 0)
    assert [take.take_id for take in manifest_of(state).takes] == ["tak_c", "tak_m", "tak_lost"]


def test_a_recording_that_nobody_stopped_ends_with_its_last_file() -> None:
    assert manifest_of(state_of(EVENTS[:6])).stopped_ns == 6 * S
    assert state_of(EVENTS[:6]).manifest({}, {}).stopped_ns == S


def test_it_says_why_a_recording_ended_also_when_a_later_run_only_repeats_that_it_did() -> None:
    stopped = [RecordingStopped(stopped_ns=9 * S, reason="disk"), RecordingStopped(stopped_ns=9 * S)]
    assert manifest_of(state_of([*EVENTS[:9], *stopped])).stop_reason == "disk"
    assert manifest_of(state_of(EVENTS)).stop_reason == ""


def test_the_manifest_goes_round_and_is_the_same_every_time() -> None:
    manifest = manifest_of(state_of(EVENTS))
    data = encode(manifest)
    assert decode(data) == manifest
    assert data == encode(manifest_of(state_of(EVENTS)))
    assert b'\n  "manifest_version": 1,' in data


def seen(at_ns: int | None) -> ParticipantSeen:
    return ParticipantSeen(participant_id="par_a", display_name="Ada", role="host", at_ns=at_ns)


def gone(at_ns: int) -> ParticipantGone:
    return ParticipantGone(participant_id="par_a", at_ns=at_ns)


def presence_of(events: list[RecordingEvent]) -> list[Interval]:
    state = state_of([EVENTS[0], *events, RecordingStopped(stopped_ns=9 * S)])
    return state.manifest({}, {}).participants[0].present


def test_it_says_when_a_participant_was_there() -> None:
    assert presence_of([seen(S), gone(2 * S), seen(4 * S)]) == [Interval(S, 2 * S), Interval(4 * S, 9 * S)]
    assert presence_of([seen(S), seen(2 * S), gone(3 * S), gone(4 * S)]) == [Interval(S, 3 * S)]
    assert presence_of([seen(None)]) == [], "a journal of an earlier version does not say"


def test_who_was_never_seen_and_went_is_no_participant() -> None:
    assert state_of([EVENTS[0], gone(2 * S)]).manifest({}, {}).participants == []


def spoke(at_ns: int, *speaking: str) -> SpeakersChanged:
    return SpeakersChanged(at_ns=at_ns, dominant=speaking[0] if speaking else None, speaking=list(speaking))


def test_it_says_who_spoke_in_the_order_of_time() -> None:
    events = [spoke(3, "par_b", "par_a"), spoke(2, "par_a"), spoke(5), spoke(2, "par_a")]
    manifest = state_of([EVENTS[0], *events]).manifest({}, {})
    assert manifest.speakers == [
        Speakers(2, "par_a", ["par_a"]),
        Speakers(3, "par_b", ["par_b", "par_a"]),
        Speakers(5, None, []),
    ]
    assert manifest.speakers_omitted == 0


def test_changes_of_speakers_are_bounded_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_state, "MAX_SPEAKERS", 5)
    manifest = state_of([EVENTS[0], *(spoke(n) for n in range(8)), spoke(1, "par_a")]).manifest({}, {})
    assert [each.at_ns for each in manifest.speakers] == list(range(5))
    assert manifest.speakers[1].speaking == ["par_a"]
    assert manifest.speakers_omitted == 3


def told(at_ns: int, take_id: str = "") -> NoticeGiven:
    return NoticeGiven(code="recorder_down", take_id=take_id, text="Away.", since_ns=at_ns - 1, at_ns=at_ns)


def over(at_ns: int, take_id: str = "") -> NoticeEnded:
    return NoticeEnded(code="recorder_down", take_id=take_id, at_ns=at_ns)


def notices_of(events: list[RecordingEvent]) -> list[tuple[str, int, int]]:
    """Take, when it was told, when it was over."""
    state = state_of([EVENTS[0], *events, RecordingStopped(stopped_ns=9 * S)])
    return [(notice.take_id, notice.at_ns, notice.until_ns) for notice in state.manifest({}, {}).notices]


def test_it_says_what_hosts_were_told_and_until_when_it_was_so() -> None:
    events = [told(3), told(4, "tak_c"), over(5), told(7), over(8, "tak_c")]
    assert notices_of([*events, *events]) == [("", 3, 5), ("tak_c", 4, 8), ("", 7, 9 * S)]
    [notice, *_] = state_of([EVENTS[0], *events]).manifest({}, {}).notices
    assert (notice.code, notice.text, notice.since_ns) == ("recorder_down", "Away.", 2)


def test_the_end_of_a_notice_that_was_never_given_is_none() -> None:
    assert notices_of([over(5), told(6), over(5, "tak_c")]) == [("", 6, 9 * S)]


def test_notices_are_bounded_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_state, "MAX_NOTICES", 5)
    state = state_of([EVENTS[0], *(event for n in range(0, 20, 2) for event in (told(n), over(n + 1)))])
    manifest = state.manifest({}, {})
    assert [(notice.at_ns, notice.until_ns) for notice in manifest.notices] == [(n, n + 1) for n in range(0, 10, 2)]
    assert manifest.notices_omitted == 5


def test_keys_are_those_of_the_contract() -> None:
    assert manifest_key("ses_1", "rec_1") == "sessions/ses_1/recordings/rec_1/manifest.json"
    assert file_key("ses_1", "rec_1", "server", "seg_1.webm") == "sessions/ses_1/recordings/rec_1/server/seg_1.webm"


def mute(at_ns: int, muted: bool) -> TrackMuteChanged:
    return TrackMuteChanged(take_id="tak_c", muted=muted, at_ns=at_ns)


def mutes_of(changes: list[TrackMuteChanged]) -> list[Mute]:
    return manifest_of(state_of([*EVENTS[:5], *changes, RecordingStopped(stopped_ns=9 * S)])).takes[0].mutes


def test_a_take_says_when_it_was_muted() -> None:
    assert mutes_of([mute(3, True), mute(5, False), mute(S, True)]) == [Mute(3, 5), Mute(S, 9 * S)]
    assert mutes_of([]) == []


def test_what_says_nothing_new_about_a_mute_changes_nothing() -> None:
    changes = [mute(3, True), mute(4, True), mute(6, False), mute(7, False)]
    assert mutes_of(changes) == [Mute(3, 6)]
    assert mutes_of([mute(1, False)]) == []


def test_a_mute_after_the_end_is_none() -> None:
    assert mutes_of([mute(9 * S, True), mute(10 * S, True)]) == []


@given(st.lists(st.builds(mute, st.integers(0, 9 * S), st.booleans()), max_size=20), st.randoms())
def test_mutes_do_not_touch_and_depend_on_no_order(changes: list[TrackMuteChanged], chance: Random) -> None:
    found = mutes_of(changes)
    ends = [end for each in found for end in (each.from_ns, each.to_ns)]
    assert ends == sorted(ends)
    assert all(each.from_ns <= each.to_ns for each in found)
    shuffled = [*changes, *changes]
    chance.shuffle(shuffled)
    assert mutes_of(shuffled) == found


def off(id: str, start_ns: int) -> OffRecordMarked:
    return OffRecordMarked(off_record_id=id, start_ns=start_ns, stop_ns=start_ns + 2, marked_by="par_a", marked_ns=9)


def test_it_says_what_is_off_the_record_and_who_marked_it() -> None:
    manifest = state_of([EVENTS[0], off("off_b", 5), off("off_a", 3)]).manifest({}, {})
    assert manifest.off_record == [
        OffRecord(off_record_id=id, start_ns=start_ns, stop_ns=start_ns + 2, marked_by="par_a", marked_ns=9)
        for id, start_ns in (("off_a", 3), ("off_b", 5))
    ]


@given(st.permutations([off("off_a", 3), off("off_b", 5), OffRecordUnmarked(off_record_id="off_a", at_ns=8)]))
def test_what_was_put_back_is_on_the_record_in_whatever_order_journals_say_it(events: list[RecordingEvent]) -> None:
    assert list(state_of([EVENTS[0], *events]).off_record) == ["off_b"]


def test_it_says_who_had_it_purged_first_and_no_more_who_spoke_then() -> None:
    purged = [Purged(off_record_ids=["off_a"], purged_by=f"par_{who}", at_ns=20 + n) for n, who in enumerate("ab")]
    events = [off("off_a", 3), off("off_b", 7), *(spoke(at_ns, "par_a") for at_ns in (2, 3, 4, 5, 6, 8))]
    manifest = state_of([EVENTS[0], *events, *purged]).manifest({}, {})
    assert [(one.purged_by, one.purged_ns) for one in manifest.off_record] == [("par_a", 20), ("", None)]
    assert [each.at_ns for each in manifest.speakers] == [2, 6, 8]
