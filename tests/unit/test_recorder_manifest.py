"""The manifest's schema is the one that is published, and what is written is valid by it."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.manifest import (
    MANIFEST_VERSION,
    ClockCorrection,
    Gap,
    Interval,
    Manifest,
    Mute,
    OffRecord,
    PacketCounts,
    Participant,
    Picture,
    Reception,
    Segment,
    Speakers,
    Take,
    decode,
    encode,
    schema,
)
from tests.support.schema import PUBLISHED, check_manifest

NUMBERS = st.integers(0, 1 << 50)
WORDS = st.text(max_size=8)


def several(struct: type, /, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
    """A few of `struct`; what has no strategy of its own is a number."""
    numbers = {name: NUMBERS for name in struct.__struct_fields__ if struct.__annotations__[name] is int}
    return st.lists(st.builds(struct, **{**numbers, **fields}), max_size=3)


PICTURES = several(Picture, rid=WORDS)
SEGMENTS = several(
    Segment,
    segment_id=WORDS,
    copy=st.sampled_from(["server", "local"]),
    state=WORDS,
    problem=WORDS,
    pictures=PICTURES,
    gaps=several(Gap, reason=WORDS),
    corrections=several(ClockCorrection),
    packets=several(PacketCounts).map(lambda found: found[0] if found else None),
    reception=several(Reception, round_trip_ms=st.floats(0, 1e6)).map(lambda found: found[0] if found else None),
    torn=st.booleans(),
)
MANIFESTS = st.builds(
    Manifest,
    session_id=WORDS,
    recording_id=WORDS,
    title=WORDS,
    started_ns=NUMBERS,
    stopped_ns=NUMBERS,
    participants=several(Participant, participant_id=WORDS, display_name=WORDS, role=WORDS, present=several(Interval)),
    takes=several(Take, take_id=WORDS, participant_id=WORDS, kind=WORDS, segments=SEGMENTS, mutes=several(Mute)),
    off_record=several(OffRecord, off_record_id=WORDS, marked_by=WORDS),
    speakers=several(Speakers, dominant=st.none() | WORDS, speaking=st.lists(WORDS, max_size=3)),
)


def test_the_published_schema_is_that_of_this_version() -> None:
    """python -m recorder.manifest > docs/manifest.schema.json"""
    assert json.loads(PUBLISHED.read_text()) == schema()
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_schema_says_what_every_field_of_a_segment_is() -> None:
    fields = schema()["$defs"]["Segment"]["properties"]
    assert {"segment_id", "pictures", "reception", "made_by", "gaps", "sha256"} <= fields.keys()


@pytest.mark.pain("21")
@given(MANIFESTS)
def test_every_manifest_is_valid_and_goes_round(manifest: Manifest) -> None:
    data = encode(manifest)
    check_manifest(json.loads(data))
    assert decode(data) == manifest


@pytest.mark.parametrize(
    "change",
    [{"manifest_version": 0}, {"manifest_version": 2}, {"title": None}, {"takes": {}}, {"started_ns": "0"}],
)
def test_what_is_no_manifest_is_not_valid(change: dict[str, object]) -> None:
    good = json.loads(encode(Manifest(session_id="s", recording_id="r", title="", started_ns=0, stopped_ns=1)))
    assert good["manifest_version"] == MANIFEST_VERSION
    check_manifest(good)
    with pytest.raises(jsonschema.ValidationError):
        check_manifest({**good, **change})


def test_the_text_for_producers_names_every_field() -> None:
    text = (Path(__file__).parents[2] / "docs" / "producer.md").read_text()
    names = "Manifest Participant Take Segment Reception Picture MapPoint Clock Boot WallStep Speakers OffRecord Notice"
    for name in names.split():
        for field in schema()["$defs"][name]["properties"]:
            assert f"`{field}`" in text, f"{field} of {name}"
