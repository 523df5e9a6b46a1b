"""Names and titles are one readable line, whatever was typed."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.text import TextError, clean


def test_a_plain_name_stays() -> None:
    assert clean("Zoë Müller", 60) == "Zoë Müller"


def test_decomposed_letters_are_composed() -> None:
    assert clean("Zoe\u0308", 60) == "Zo\u00eb"


def test_control_characters_and_bidi_overrides_go() -> None:
    assert clean("a\x00b\x1b[31m\u202egnp.exe\u2066", 60) == "ab[31mgnp.exe"


def test_line_breaks_and_runs_of_spaces_become_one_space() -> None:
    assert clean("  a \r\n\t b\u2028c\u00a0d ", 60) == "a b c d"


def test_emoji_joined_by_joiners_stay() -> None:
    family = "👩\u200d👧"
    assert clean(family, 60) == family


@pytest.mark.parametrize("text", ["", " ", "\u200b\u200d", "\u202e", "\x00"])
def test_a_name_without_readable_characters_is_refused(text: str) -> None:
    with pytest.raises(TextError):
        clean(text, 60)


def test_a_name_beyond_the_limit_is_refused_not_cut() -> None:
    assert clean("x" * 60, 60) == "x" * 60
    with pytest.raises(TextError):
        clean("x" * 61, 60)


@given(st.text(max_size=80))
def test_what_is_kept_is_clean_and_cleaning_again_changes_nothing(text: str) -> None:
    try:
        kept = clean(text, 60)
    except TextError:
        return
    assert 1 <= len(kept) <= 60
    assert kept == kept.strip()
    assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in kept)
    assert clean(kept, 60) == kept
