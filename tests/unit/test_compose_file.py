"""docker-compose.yml keeps to the Compose schema, names only what it defines, and holds a configuration we take."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from stemroom.config import Config, parse

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "POSTGRES_PASSWORD": "p4ss",
    "S3_ACCESS_KEY": "access",
    "S3_SECRET_KEY": "secret",
    "STEMROOM_ADDRESS": "192.0.2.7",
}


@pytest.fixture
def compose() -> dict[str, Any]:
    text = (ROOT / "docker-compose.yml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+):\?[^}]*\}", lambda m: VARIABLES[m[1]], text))
    return loaded


def test_it_keeps_to_the_schema(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests/support/compose.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(compose)


def test_the_schema_refuses_what_compose_would_refuse(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests/support/compose.schema.json").read_text())
    compose["services"]["stemroom"]["prots"] = []
    with pytest.raises(jsonschema.ValidationError, match="prots"):
        jsonschema.validate(compose, schema)


def test_it_has_the_program_a_database_redis_and_an_s3_server(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"stemroom", "postgres", "redis", "s3"}


def test_everything_that_it_names_is_defined(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(compose["volumes"])
        assert {config["source"] for config in service.get("configs", [])} <= set(compose["configs"])
        assert set(service.get("depends_on", {})) <= set(compose["services"])


def test_the_configuration_in_it_is_taken_by_the_program(compose: dict[str, Any]) -> None:
    config = parse(compose["configs"]["stemroom"]["content"])
    assert config.object_store.kind == "s3"
    assert config.database.url == "postgresql+asyncpg://stemroom:p4ss@postgres/stemroom"
    assert config.media.advertise == ("192.0.2.7",)


def test_the_ports_are_those_of_the_configuration(compose: dict[str, Any]) -> None:
    config = Config()
    ports = {port.rpartition(":")[2] for port in compose["services"]["stemroom"]["ports"]}
    assert ports == {f"{config.http.port}/tcp", f"{config.operators.port}/tcp", f"{config.media.port}/udp"}


def test_the_s3_servers_own_configuration_is_json(compose: dict[str, Any]) -> None:
    (identity,) = json.loads(compose["configs"]["s3"]["content"])["identities"]
    assert identity["credentials"] == [{"accessKey": "access", "secretKey": "secret"}]


def test_no_secret_is_written_into_it() -> None:
    for line in (ROOT / "docker-compose.yml").read_text().splitlines():
        if re.search(r"(PASSWORD|secret_key|access_key)\W*[:=]", line) and not line.startswith("#"):
            assert "${" in line, line


def test_docker_itself_accepts_it_where_there_is_one() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed; the schema above is all that is checked")
    command = [docker, "compose", "-f", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    done = subprocess.run(command, env=VARIABLES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
