"""Credentials for a TURN server: what is in them, and that they are whose and until when they say."""

import base64
import hashlib
import hmac

from signaling.settings import TurnSettings
from signaling.turn import ice_servers

SETTINGS = TurnSettings(urls=("turn:turn.example", "turns:turn.example:443?transport=tcp"), secret="s" * 20, ttl_s=600)


def test_without_a_server_there_are_none() -> None:
    assert ice_servers(TurnSettings(), "par_a", 1000.0) == []


def test_the_name_says_until_when_and_whose_and_the_word_proves_it() -> None:
    (server,) = ice_servers(SETTINGS, "par_a", 1_795_000_000.9)
    assert server.urls == ["turn:turn.example", "turns:turn.example:443?transport=tcp"]
    assert server.username == "1795000600:par_a"
    tag = hmac.new(b"s" * 20, b"1795000600:par_a", hashlib.sha1).digest()
    assert base64.b64decode(server.credential) == tag


def test_a_known_pair_comes_out() -> None:
    """Computed with openssl: printf '1433895918:par_a' | openssl dgst -sha1 -hmac north -binary | base64"""
    settings = TurnSettings(urls=("turn:a",), secret="north", ttl_s=60)
    (server,) = ice_servers(settings, "par_a", 1_433_895_858.0)
    assert (server.username, server.credential) == ("1433895918:par_a", "VNDS6qYcRlph43/svtRgTSfgMD0=")


def test_each_participant_and_each_moment_has_its_own() -> None:
    words = {ice_servers(SETTINGS, name, at)[0].credential for name in ("par_a", "par_b") for at in (1.0, 2.0)}
    assert len(words) == 4
