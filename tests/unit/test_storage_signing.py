"""A signed URL allows what was signed and nothing else."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.signing import SECRET_BYTES, UrlRefused, UrlSigner, load_secret

SIGNER = UrlSigner(bytes(range(32)))


def taken_apart(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    return unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))


@given(st.sampled_from(["GET", "PUT"]), st.integers(0, 2**40), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_url_is_good_until_it_expires(method: str, expires: int, filename: str) -> None:
    path, query = taken_apart(SIGNER.sign(method, "a/b.webm", expires=expires, filename=filename))
    assert path == "/objects/a/b.webm"
    assert query.get("filename", "") == filename
    SIGNER.verify(method, "a/b.webm", query, expires - 0.001)
    with pytest.raises(UrlRefused, match="expired"):
        SIGNER.verify(method, "a/b.webm", query, float(expires))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("expires", "2001"),
        ("expires", "1e9"),
        ("expires", ""),
        ("expires", "nonsense"),
        ("filename", "other.webm"),
        ("filename", ""),
        ("signature", ""),
        ("signature", "0" * 64),
        ("signature", "é" * 64),
    ],
)
def test_a_changed_field_is_refused(field: str, value: str) -> None:
    _, query = taken_apart(SIGNER.sign("GET", "a", expires=2000, filename="name.webm"))
    with pytest.raises(UrlRefused):
        SIGNER.verify("GET", "a", query | {field: value}, 1000.0)


@pytest.mark.parametrize("field", ["expires", "filename", "signature"])
def test_a_missing_field_is_refused(field: str) -> None:
    _, query = taken_apart(SIGNER.sign("GET", "a", expires=2000, filename="name.webm"))
    del query[field]
    with pytest.raises(UrlRefused):
        SIGNER.verify("GET", "a", query, 1000.0)


@pytest.mark.parametrize("changed", [{"size": "2"}, {"size": ""}, {"size": "01"}, {"size": "1\n"}])
def test_another_size_is_refused(changed: dict[str, str]) -> None:
    _, query = taken_apart(SIGNER.sign("PUT", "a", expires=2000, size_bytes=1))
    SIGNER.verify("PUT", "a", query, 1000.0)
    with pytest.raises(UrlRefused):
        SIGNER.verify("PUT", "a", query | changed, 1000.0)


def test_another_method_key_or_secret_is_refused() -> None:
    _, query = taken_apart(SIGNER.sign("GET", "a", expires=2000))
    for method, key, signer in [("PUT", "a", SIGNER), ("GET", "b", SIGNER), ("GET", "a", UrlSigner(bytes(32)))]:
        with pytest.raises(UrlRefused):
            signer.verify(method, key, query, 1000.0)


@given(st.dictionaries(st.sampled_from(["expires", "filename", "signature", "method"]), st.text()))
def test_a_url_that_we_did_not_sign_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(UrlRefused):
        SIGNER.verify("GET", "a", query, 0.0)


def test_the_base_url_comes_first() -> None:
    assert (
        UrlSigner(bytes(32), "https://studio.example/")
        .sign("GET", "a", expires=1)
        .startswith("https://studio.example/objects/a?")
    )


def test_a_short_secret_is_no_secret() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        UrlSigner(b"short")


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with ThreadPoolExecutor(8) as threads:
        secrets = set(threads.map(lambda _: load_secret(path), range(32)))
    assert len(secrets) == 1
    assert len(secrets.pop()) == SECRET_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_secret(tmp_path / "secret")
    (tmp_path / "secret").chmod(0o640)
    with pytest.raises(ValueError, match=r"mode 640.*chmod 600"):
        load_secret(tmp_path / "secret")


def test_a_damaged_secret_is_refused(tmp_path: Path) -> None:
    load_secret(tmp_path / "secret")
    (tmp_path / "secret").write_bytes(b"")
    with pytest.raises(ValueError, match="damaged"):
        load_secret(tmp_path / "secret")
