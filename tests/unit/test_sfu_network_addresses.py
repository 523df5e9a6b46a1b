"""Addresses as an operator writes them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.network import machine_addresses, split_host_port


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", ("192.0.2.7", 0)),
        ("192.0.2.7:8189", ("192.0.2.7", 8189)),
        ("192.0.2.7:65535", ("192.0.2.7", 65535)),
        ("2001:db8::7", ("2001:db8::7", 0)),
        ("[2001:db8::7]", ("2001:db8::7", 0)),
        ("[2001:DB8:0::7]:8189", ("2001:db8::7", 8189)),
    ],
)
def test_every_form_is_understood(text: str, expected: tuple[str, int]) -> None:
    assert split_host_port(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "studio.example",
        "studio.example:8189",
        "192.0.2.7:",
        "192.0.2.7:x",
        "192.0.2.7:-1",
        "192.0.2.7:65536",
        "192.0.2.7: 5",
        "192.0.2.256",
        "[2001:db8::7",
        "[2001:db8::7]8189",
        "[2001:db8::7]:x",
        "[192.0.2.7]:99999",
        "1:2:3",
    ],
)
def test_everything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        split_host_port(text)


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        host, port = split_host_port(text)
    except ValueError:
        return
    ipaddress.ip_address(host)
    assert 0 <= port <= 65535


@given(st.ip_addresses(v=6).filter(lambda a: not a.scope_id), st.integers(1, 65535))  # type: ignore[union-attr]
def test_what_is_written_in_brackets_is_read_back(address: ipaddress.IPv6Address, port: int) -> None:
    assert split_host_port(f"[{address}]:{port}") == (str(address), port)


def test_the_machine_has_loopback_and_no_link_local_address_and_ipv4_stands_first() -> None:
    found = machine_addresses()
    assert "127.0.0.1" in found
    assert not any(ipaddress.ip_address(address).is_link_local for address in found)
    assert found == sorted(found, key=lambda address: ":" in address)
