"""config.toml is read completely, and every mistake is named by its full key and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemroom.config import Config, ConfigError, load, parse

ROOT = Path(__file__).parents[2]


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


def test_nothing_written_means_the_defaults() -> None:
    assert parse("") == Config()


def test_values_of_every_type_are_taken() -> None:
    config = parse(
        """
        [media]
        port = 9000
        video_codecs = ["AV1", "VP8"]
        [session]
        heartbeat_s = 2
        [object_store.s3]
        bucket = "takes"
        """
    )
    assert config.media.port == 9000
    assert config.media.video_codecs == ("AV1", "VP8")
    assert config.session.heartbeat_s == 2.0
    assert config.object_store.s3.bucket == "takes"


def test_an_unknown_key_is_refused_by_its_full_name_and_line() -> None:
    assert problems("[media]\nprot = 1\n") == ["line 2: media.prot: unknown key; did you mean media.port?"]


def test_an_unknown_key_of_an_inner_table_is_refused_by_its_full_name() -> None:
    assert problems("[object_store.s3]\nbukcet = 'a'\n") == [
        "line 2: object_store.s3.bukcet: unknown key; did you mean object_store.s3.bucket?"
    ]


def test_an_unknown_table_is_refused() -> None:
    assert problems("\n[zzz]\na = 1\n") == ["line 2: zzz: unknown key"]


def test_a_wrong_type_is_refused_by_its_full_name_and_line() -> None:
    assert problems('[http]\nhost = "::"\nport = "80"\n') == ["line 3: http.port: expected int, got str"]


def test_a_wrong_type_inside_a_list_says_where() -> None:
    assert problems("[http]\ntrusted_proxies = ['10.0.0.1', 7]\n") == [
        "line 2: http.trusted_proxies[1]: expected str, got int"
    ]


def test_a_value_where_a_table_belongs_is_refused() -> None:
    assert problems("media = 3\n") == ["line 1: media: expected a table [media]"]


def test_true_is_not_a_number() -> None:
    assert problems("[media]\nport = true\n") == ["line 2: media.port: expected int, got bool"]


def test_all_mistakes_are_reported_together() -> None:
    assert problems("[media]\nprot = 1\nport = 'a'\n[http]\nport = 1.5\n") == [
        "line 2: media.prot: unknown key; did you mean media.port?",
        "line 3: media.port: expected int, got str",
        "line 5: http.port: expected int, got float",
    ]


@pytest.mark.parametrize(
    "text",
    ["media.port = 'x'", "media = {port = 'x'}", "[ media ]\n  'port'  = 'x'", "[media]\nport='x'"],
)
def test_every_way_to_write_a_key_is_understood(text: str) -> None:
    (problem,) = problems(text)
    assert problem.endswith("media.port: expected int, got str")
    assert problem.startswith("line ")


def test_text_that_is_not_toml_is_refused_with_its_line() -> None:
    (problem,) = problems("[http]\nport = = 1\n")
    assert problem.startswith("not valid TOML")
    assert "line 2" in problem


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except ConfigError:
        return


@given(st.dictionaries(st.sampled_from(["port", "host", "x"]), st.integers() | st.floats() | st.booleans()))
def test_any_numbers_are_taken_or_refused(values: dict[str, object]) -> None:
    lines = "".join(f"{key} = {str(value).lower()}\n" for key, value in values.items())
    try:
        config = parse("[http]\n" + lines)
    except ConfigError:
        return
    assert 0 <= config.http.port <= 65_535


def test_the_file_in_the_repository_states_the_defaults() -> None:
    assert parse((ROOT / "config.toml").read_text()) == Config()


def test_without_a_file_the_program_has_its_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load()
    assert config.media == Config().media
    assert config.data.folder == str(tmp_path / "data")


def test_config_toml_in_the_working_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("[media]\nport = 1234\n")
    assert load().media.port == 1234


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "studio.toml"
    file.write_text("[data]\nfolder = 'd'\n[http]\ntls_cert = 'a.pem'\ntls_key = '/etc/b.pem'\n")
    config = load(file)
    assert config.data.folder == str(tmp_path / "d")
    assert config.http.tls_cert == str(tmp_path / "a.pem")
    assert config.http.tls_key == "/etc/b.pem"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(file)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("object_store.s3.secret_key", "[object_store.s3]\nsecret_key = 'abcdefgh'\n"),
        ("turn.secret", "[turn]\nsecret = 'abcdefghabcdefgh'\n"),
        ("database.url", "[database]\nurl = 'postgresql+asyncpg://me:secret@db/stemroom'\n"),
    ],
)
def test_a_secret_in_a_file_that_everybody_may_read_is_refused(tmp_path: Path, key: str, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    file.chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert [(p.key, p.line) for p in caught.value.problems] == [(key, 2)]
    assert "abcdefgh" not in str(caught.value)
    file.chmod(0o640)
    load(file)
