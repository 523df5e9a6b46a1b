"""No key leads out of the folder, and no file name breaks a header."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.disposition import MAX_NAME, attachment
from storage.ids import ID_PATTERN, hash_secret, new_id, new_secret
from storage.keys import MAX_KEY, check_key, check_prefix
from storage.objects import ObjectStoreError

GOOD = [
    "a",
    "sessions/s_abc/recordings/r_abc/server/g_abc.webm",
    "sessions/s_abc/recordings/r_abc/local/g_abc/chunks/000012",
    "...",
    ".hidden/..a",
    "/".join(["a" * 255] * 2),
]
BAD = [
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    ".",
    "..",
    "a/..",
    "../a",
    "a/./b",
    "a b",
    "a\\b",
    "a:b",
    "é",
    "a\n",
    "\0",
    "a" * 256,
    "a/" * 256 + "b",
]


@pytest.mark.parametrize("key", GOOD)
def test_a_key_of_the_rule_is_taken_as_it_is(key: str) -> None:
    assert check_key(key) == key
    assert check_prefix(key) == key


@pytest.mark.parametrize("key", BAD)
def test_any_other_key_is_refused(key: str) -> None:
    with pytest.raises(ObjectStoreError) as refused:
        check_key(key)
    assert refused.value.id == "refused"


@pytest.mark.parametrize("prefix", ["", "a/", "a/b", "a/b/", ".hidden"])
def test_a_prefix_may_be_empty_or_end_in_a_slash(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@given(st.text(alphabet="ab./\\-\0 é\n", max_size=20) | st.text())
def test_a_key_that_is_taken_stays_below_its_folder(key: str) -> None:
    try:
        check_key(key)
    except ObjectStoreError:
        return
    assert 0 < len(key) <= MAX_KEY
    path = PurePosixPath("/folder") / key
    assert str(path) == f"/folder/{key}"
    assert ".." not in path.parts


@given(st.text(max_size=400))
def test_a_file_name_never_breaks_the_header(name: str) -> None:
    header = attachment(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert "\\" not in header


def test_a_file_name_keeps_its_letters_for_new_readers() -> None:
    assert attachment("Zoë.webm") == "attachment; filename=\"Zo_.webm\"; filename*=UTF-8''Zo%C3%AB.webm"


def test_a_long_file_name_keeps_its_suffix() -> None:
    plain = attachment("x" * 500 + ".webm").split('"')[1]
    assert len(plain) == MAX_NAME
    assert plain.endswith("x.webm")


def test_ids_and_secrets_differ_every_time_and_fit_in_urls() -> None:
    ids, secrets = {new_id("s") for _ in range(1000)}, {new_secret() for _ in range(1000)}
    assert len(ids) == len(secrets) == 1000
    assert all(ID_PATTERN.match(id) and check_key(id) for id in ids)
    assert all(len(secret) == 22 and check_key(secret) for secret in secrets)
    assert len({hash_secret(secret) for secret in secrets}) == 1000


@pytest.mark.parametrize("secret", ["", "ä", "\ud800", "a\udcff", "\U0001f600"])
def test_any_text_has_a_hash(secret: str) -> None:
    assert len(hash_secret(secret)) == 64
