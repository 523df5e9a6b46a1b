"""config.toml: the settings of all parts in one struct, read so that every mistake is named by its full key and line.

Guarantees: a `Config` that `load` returns has no unknown key, no wrong type and no value outside its range
(`stemroom.checks`), and its paths are absolute. All mistakes of a file are reported together. Nothing else is read:
no environment variable and no second file changes a setting.
"""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from recorder.settings import RecorderSettings
from sfu.settings import MediaSettings
from signaling.settings import HttpSettings, OperatorsSettings, SessionSettings, TurnSettings
from stemroom.checks import value_problems
from storage.settings import DatabaseSettings, ObjectStoreSettings

DEFAULT_FILE = Path("config.toml")
"""Read from the working folder when no file is named; the program starts without it."""


class DataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    folder: str = "data"
    """Everything the program keeps on this machine; relative to the folder of config.toml."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field per table of config.toml."""

    data: DataSettings = DataSettings()
    log: LogSettings = LogSettings()
    http: HttpSettings = HttpSettings()
    operators: OperatorsSettings = OperatorsSettings()
    session: SessionSettings = SessionSettings()
    media: MediaSettings = MediaSettings()
    turn: TurnSettings = TurnSettings()
    recorder: RecorderSettings = RecorderSettings()
    database: DatabaseSettings = DatabaseSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()


class Problem(msgspec.Struct, frozen=True):
    """One mistake. `key`: full name such as `media.port`; empty when it concerns the whole file."""

    key: str
    message: str
    line: int = 0
    """In the file, from 1; 0 when the key is not written there."""

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.key}: {self.message}" if self.key else f"{place}{self.message}"


class ConfigError(Exception):
    """The configuration cannot be used."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.problems = problems


def parse(text: str, source: str = "config.toml") -> Config:
    """Read TOML text. Paths stay as written. Raises ConfigError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, [Problem("", f"not valid TOML: {error}")]) from None
    found: list[Problem] = []
    config = _read(Config, table, "", found)
    if not found:
        found = [Problem(key, message) for key, message in value_problems(config)]
    if found:
        lines = _line_numbers(text)
        raise ConfigError(source, [Problem(p.key, p.message, _line_of(p.key, lines)) for p in found])
    return config


def load(path: Path | None = None) -> Config:
    """The configuration to run with: from `path`, else from `config.toml` here if there is one, else all defaults.

    Raises ConfigError, also for a named file that cannot be read and for a file with secrets that others may read.
    """
    if path is None and not DEFAULT_FILE.exists():
        return _absolute(Config(), Path.cwd())
    file = path or DEFAULT_FILE
    try:
        text = file.read_text("utf-8")
        others_may_read = bool(file.stat().st_mode & 0o004)
    except OSError as error:
        raise ConfigError(str(file), [Problem("", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError(str(file), [Problem("", "is not UTF-8 text")]) from None
    config = parse(text, str(file))
    if others_may_read and (key := _key_with_secret(config)):
        message = "is a secret in a file that every user of this machine may read; chmod o-r it"
        raise ConfigError(str(file), [Problem(key, message, _line_of(key, _line_numbers(text)))])
    return _absolute(config, file.resolve().parent)


def _key_with_secret(config: Config) -> str:
    if config.object_store.s3.secret_key:
        return "object_store.s3.secret_key"
    if config.turn.secret:
        return "turn.secret"
    if re.match(r"[^/]+://[^/@]*:[^/@]+@", config.database.url):
        return "database.url"
    return ""


def _absolute(config: Config, base: Path) -> Config:
    def path(written: str) -> str:
        return str(base / Path(written).expanduser()) if written else ""

    replace = msgspec.structs.replace
    http = replace(config.http, tls_cert=path(config.http.tls_cert), tls_key=path(config.http.tls_key))
    return replace(config, http=http, data=replace(config.data, folder=path(config.data.folder)))


StructT = TypeVar("StructT", bound=msgspec.Struct)


def _read(kind: type[StructT], table: dict[str, Any], prefix: str, found: list[Problem]) -> StructT:
    """Convert one table, appending every unknown key and wrong type to `found` (the result is then not to be used)."""
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        key = prefix + name
        wanted = fields.get(name)
        if wanted is None:
            close = difflib.get_close_matches(name, fields, n=1)
            found.append(Problem(key, f"unknown key; did you mean {prefix}{close[0]}?" if close else "unknown key"))
        elif isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
            if isinstance(value, dict):
                values[name] = _read(wanted, value, f"{key}.", found)
            else:
                found.append(Problem(key, f"expected a table [{key}]"))
        elif get_origin(wanted) is Literal and value not in get_args(wanted):
            found.append(Problem(key, f"must be one of {', '.join(get_args(wanted))}"))
        else:
            try:
                values[name] = msgspec.convert(value, wanted)
            except msgspec.ValidationError as error:
                message, _, inside = str(error).partition(" - at `$")
                message = message.replace("`", "")
                found.append(Problem(key + inside.rstrip("`"), message[:1].lower() + message[1:]))
    return kind(**values)


def _line_numbers(text: str) -> dict[str, int]:
    """Line of each table header and key. A scan by line: good for ordinary files; a key within an inline table is
    looked up by its table, and text that looks like a key inside a multi-line string may name a wrong line."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
            table = _plain(header[1])
            lines.setdefault(table, number)
        elif key := re.match(r"""\s*([\w\-."' ]+?)\s*=""", line):
            lines.setdefault(f"{table}.{_plain(key[1])}".lstrip("."), number)
    return lines


def _plain(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def _line_of(key: str, lines: dict[str, int]) -> int:
    name = re.sub(r"\[.*", "", key)
    while name:
        if name in lines:
            return lines[name]
        name = name.rpartition(".")[0]
    return 0
