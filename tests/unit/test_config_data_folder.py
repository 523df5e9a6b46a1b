"""The data folder is private and belongs to one node at a time."""

from pathlib import Path

import pytest

from stemroom.data_folder import claim
from storage.folder_lock import FolderInUse


def test_it_is_made_with_its_parents_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with claim(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_second_claim_is_refused_while_the_first_is_held(tmp_path: Path) -> None:
    with claim(tmp_path), pytest.raises(FolderInUse, match="another running stemroom"), claim(tmp_path):
        pass


def test_it_can_be_claimed_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with claim(tmp_path):
            pass


def test_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(FileExistsError), claim(tmp_path / "data"):
        pass


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "node.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), claim(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()
