"""docs/protocol.md is complete and its examples are what the program reads and writes."""

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from signaling import messages, rest
from signaling.notices import NoticeCode
from signaling.problems import PROBLEMS, TYPE_PREFIX, WEBSOCKET_ERRORS
from tests.support.protocol_document import Example, examples, text

ROOT = Path(__file__).parents[2]


def named(example: Example) -> str:
    return example.json.get("type", "") or "-".join(example.what)


def tags(union: Any) -> set[str]:
    return {str(message.__struct_config__.tag) for message in get_args(union)}


@pytest.mark.parametrize("example", examples("from-participant"), ids=named)
def test_a_message_of_a_participant_is_understood_in_full(example: Example) -> None:
    understood = msgspec.to_builtins(messages.decode(example.body))
    assert includes(understood, example.json)


@pytest.mark.parametrize("example", examples("from-server"), ids=named)
def test_a_message_of_the_server_is_shown_with_every_field(example: Example) -> None:
    decoded = msgspec.json.decode(example.body, type=messages.FromServer)
    assert msgspec.json.decode(messages.encode(decoded)) == example.json


@pytest.mark.parametrize("example", examples("request"), ids=named)
def test_a_request_is_taken(example: Example) -> None:
    decoded = msgspec.json.decode(example.body, type=getattr(rest, example.what[1]))
    assert includes(msgspec.to_builtins(decoded), example.json)


@pytest.mark.parametrize("example", examples("response"), ids=named)
def test_a_response_is_shown_with_every_field(example: Example) -> None:
    decoded = msgspec.json.decode(example.body, type=getattr(rest, example.what[2]))
    assert msgspec.to_builtins(decoded) == example.json


def test_every_message_has_an_example_in_each_direction() -> None:
    assert {example.json["type"] for example in examples("from-participant")} == tags(messages.FromParticipant)
    assert {example.json["type"] for example in examples("from-server")} == tags(messages.FromServer)


def test_every_body_has_an_example() -> None:
    assert {example.what[1] for example in examples("request")} == {
        one.__name__ for one in rest.Request.__subclasses__()
    }
    shown = {example.what[2] for example in examples("response")}
    parts = {"RecordedParticipant", "SegmentView", "TakeView"}
    assert shown == {one.__name__ for one in rest.Reply.__subclasses__()} - parts | {"RecordingView"}


def test_every_error_is_listed_with_its_status_and_meaning() -> None:
    document = text()
    for id, (status, title) in PROBLEMS.items():
        assert f"| `{id}` | {status} | {title} |" in document
    for id, title in WEBSOCKET_ERRORS.items():
        assert f"| `{id}` | {title} |" in document
    listed = set(re.findall(r"^\| `([a-z_0-9]+)` \| [^0-9]", document, re.MULTILINE))
    negotiation = {
        id
        for path in (ROOT / "sfu").glob("*.py")
        for id in re.findall(r"NegotiationError\(\s*\"(\w+)\"", path.read_text())
    }
    assert negotiation
    assert listed == negotiation | set(WEBSOCKET_ERRORS)
    assert negotiation <= set(PROBLEMS), "WHIP and WHEP give them over HTTP"


def test_every_notice_is_listed() -> None:
    listed = re.findall(r"^\| [0-9]+ s \| `([a-z_]+)` \|", text(), re.MULTILINE)
    assert listed == [code.value for code in NoticeCode]


def test_the_example_of_a_problem_has_its_shape() -> None:
    [example] = examples("problem")
    problem = example.json
    assert problem["type"] == TYPE_PREFIX + problem["id"]
    assert (problem["status"], problem["title"]) == PROBLEMS[problem["id"]]


def includes(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and includes(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(includes(*pair) for pair in zip(whole, part, strict=True))
    return bool(whole == part)
