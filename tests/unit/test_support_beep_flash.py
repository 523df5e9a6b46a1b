"""The known people are read back from files of them: whose, which, when; and nothing else is."""

from pathlib import Path

import pytest

from recorder.opus_head import PRE_SKIP_TICKS
from tests.support import beep_flash
from tests.support.encoded import vp8_payloads
from tests.support.journals import audio_packets, make_file, video_packets

SECONDS = 3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, Path]]:
    made = {}
    for person in (1, 6):
        folder = tmp_path_factory.mktemp(f"p{person}")
        _, sound = make_file("opus", audio_packets(beep_flash.packets(person, SECONDS)), folder / "sound")
        _, picture = make_file(
            "vp8", video_packets(beep_flash.pictures(person, SECONDS), vp8_payloads), folder / "picture"
        )
        made[person] = sound, picture
    return made


@pytest.mark.parametrize("person", [1, 6])
def test_every_picture_says_whose_and_which_it_is_and_the_first_of_a_second_flashes(
    files: dict[int, tuple[Path, Path]], person: int
) -> None:
    found = beep_flash.seen(files[person][1])
    assert [(one.person, one.number) for one in found] == [(person, number) for number in range(SECONDS * 30)]
    assert [one.number for one in found if one.flash] == [0, 30, 60]
    assert all(one.time_s == pytest.approx(one.number / 30, abs=0.001) for one in found)


@pytest.mark.parametrize("person", [1, 6])
def test_every_beep_is_heard_where_it_is_to_a_millisecond(files: dict[int, tuple[Path, Path]], person: int) -> None:
    found = beep_flash.heard(files[person][0], person, range(10))
    assert [one.second for one in found] == [0, 1, 2]
    # What an Opus decoder gives is late by the pre-skip, which is left out at the beginning (RFC 7845 4.2).
    begin_s = PRE_SKIP_TICKS / 48_000
    assert [one.time_s for one in found] == pytest.approx([begin_s, begin_s + 1, begin_s + 2], abs=0.001)


def test_the_beeps_of_another_are_not_heard(files: dict[int, tuple[Path, Path]]) -> None:
    assert beep_flash.heard(files[1][0], 6, range(4)) == []
