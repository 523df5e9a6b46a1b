"""Connectivity checks: who is answered, who is not, and what is kept of them. Virtual time."""

import random

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from sfu.ice import KNOWN_REQUIRED, LOST_AFTER_S, MAX_ADDRESSES, SILENCE_S, Address, IceLite, username
from tests.support.properties import any_input

HERE: Address = ("192.0.2.1", 5000)
THERE: Address = ("198.51.100.9", 6000)
V6: Address = ("2001:db8::9", 6000, 0, 0)


def check(ice: IceLite, *, password: str | None = None, user: str | None = None, **attributes: object) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{ice.ufrag}:them" if user is None else user
    message.attributes["PRIORITY"] = 1_853_824_767
    if "ICE_CONTROLLED" not in attributes:
        message.attributes["ICE-CONTROLLING"] = 1234
    for name, value in attributes.items():
        message.attributes[name.replace("_", "-")] = value
    message.add_message_integrity((ice.password if password is None else password).encode())
    return bytes(message)


def ice() -> IceLite:
    return IceLite(0.0)


@pytest.mark.parametrize("address", [HERE, V6], ids=["v4", "v6"])
def test_an_authentic_request_is_answered_with_the_address_it_came_from(address: Address) -> None:
    lite = ice()
    request = check(lite)
    answer = lite.answer(request, address, 1.0)
    assert answer is not None
    assert answer.valid
    reply = stun.parse_message(answer.data)
    assert reply.message_class == stun.Class.RESPONSE
    assert reply.transaction_id == request[8:20]
    assert reply.attributes["XOR-MAPPED-ADDRESS"] == address[:2]
    assert reply.check_message_integrity(lite.password.encode())
    assert "FINGERPRINT" in reply.attributes
    assert lite.selected == address


def refused(lite: IceLite, datagram: bytes) -> None:
    assert lite.answer(datagram, THERE, 5.0) is None
    assert (lite.selected, lite.addresses, lite.checks, lite.last_check) == (None, {}, 0, 0.0)


def test_a_wrong_password_is_dropped_and_leaves_no_trace() -> None:
    refused(ice_ := ice(), check(ice_, password="x" * 24))


def test_a_request_without_integrity_is_dropped() -> None:
    lite = ice()
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": f"{lite.ufrag}:them"})
    message.add_fingerprint()
    refused(lite, bytes(message))


@pytest.mark.parametrize("kind", [stun.Class.INDICATION, stun.Class.RESPONSE, stun.Class.ERROR])
def test_what_is_no_request_is_dropped(kind: stun.Class) -> None:
    lite = ice()
    message = stun.Message(stun.Method.BINDING, kind, attributes={"USERNAME": f"{lite.ufrag}:them"})
    message.add_message_integrity(lite.password.encode())
    refused(lite, bytes(message))


def test_what_is_no_binding_is_dropped() -> None:
    lite = ice()
    message = stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST)
    message.add_message_integrity(lite.password.encode())
    refused(lite, bytes(message))


def test_no_truncation_of_a_request_is_answered() -> None:
    lite = ice()
    request = check(lite)
    for size in range(len(request)):
        refused(lite, request[:size])


def test_no_change_of_an_authenticated_byte_is_answered() -> None:
    lite = ice()
    request = check(lite)
    for place in range(len(request) - 8):  # FINGERPRINT comes after the tag
        refused(lite, request[:place] + bytes((request[place] ^ 1,)) + request[place + 1 :])


def test_no_datagram_of_any_length_raises() -> None:
    lite, noise = ice(), random.Random(1)
    for size in range(1601):
        random_bytes = noise.randbytes(size)
        refused(lite, random_bytes)
        head = b"\x00\x01" + max(0, size - 20).to_bytes(2, "big") + b"\x21\x12\xa4\x42"
        refused(lite, (head + random_bytes)[:size])
        username(head + random_bytes)


@any_input
@given(
    st.lists(st.tuples(st.sampled_from([1, 6, 8, 9, 0x20, 0x24, 0x25, 0x8022, 0x8028, 0x8029]), st.binary(max_size=24)))
)
def test_no_attributes_raise(attributes: list[tuple[int, bytes]]) -> None:
    body = b"".join(
        kind.to_bytes(2, "big") + len(v).to_bytes(2, "big") + v + bytes(-len(v) % 4) for kind, v in attributes
    )
    refused(ice(), b"\x00\x01" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + body)


def test_one_who_says_that_he_is_controlled_gets_a_role_conflict() -> None:
    lite = ice()
    answer = lite.answer(check(lite, ICE_CONTROLLED=99), HERE, 1.0)
    assert answer is not None
    assert not answer.valid
    reply = stun.parse_message(answer.data)
    assert (reply.message_class, reply.error_code) == (stun.Class.ERROR, 487)
    assert lite.selected is None


def test_attributes_that_are_not_known_and_may_be_ignored_are_ignored() -> None:
    lite = ice()
    message = stun.parse_message(check(lite))
    message.attributes.pop("MESSAGE-INTEGRITY")
    message.attributes.pop("FINGERPRINT")
    plain = bytes(message)
    network_information = b"\xc0\x57\x00\x04\x00\x01\x00\x0a"
    grown = plain[:2] + (len(plain) - 20 + 8).to_bytes(2, "big") + plain[4:] + network_information
    tag = stun.message_integrity(grown, lite.password.encode())
    sealed = grown[:2] + (len(grown) - 20 + 24).to_bytes(2, "big") + grown[4:] + b"\x00\x08\x00\x14" + tag
    answer = lite.answer(sealed, HERE, 1.0)
    assert answer is not None
    assert answer.valid


def test_what_follows_the_integrity_has_no_effect() -> None:
    """A third party can append USE-CANDIDATE to a request that it saw; the tag does not cover it."""
    lite = ice()
    lite.answer(check(lite), HERE, 1.0)
    request = check(lite)[:-8]  # without FINGERPRINT
    appended = request[:2] + (len(request) - 20 + 4).to_bytes(2, "big") + request[4:] + b"\x00\x25\x00\x00"
    answer = lite.answer(appended, THERE, 2.0)
    assert answer is not None
    assert lite.selected == HERE


def test_an_answer_is_hardly_longer_than_the_smallest_request() -> None:
    lite = ice()
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": f"{lite.ufrag}:x"})
    message.add_message_integrity(lite.password.encode())
    smallest = bytes(message)[:-8]
    smallest = smallest[:2] + (len(smallest) - 20).to_bytes(2, "big") + smallest[4:]
    for address in (HERE, V6):
        answer = lite.answer(smallest, address, 1.0)
        assert answer is not None
        assert len(answer.data) <= len(smallest) + 24


def test_the_first_valid_address_is_selected_and_later_only_a_nominated_one() -> None:
    lite = ice()
    lite.answer(check(lite), HERE, 1.0)
    lite.answer(check(lite), THERE, 2.0)
    assert lite.selected == HERE
    lite.answer(check(lite, USE_CANDIDATE=None), THERE, 3.0)
    assert lite.selected == THERE
    assert set(lite.addresses) == {HERE, THERE}


def test_only_the_first_check_and_nominations_select_their_pair() -> None:
    lite = IceLite(0.0)
    wlan = lite.answer(check(lite), ("10.0.0.1", 1), 1.0)
    other = lite.answer(check(lite), ("10.0.0.1", 1), 1.1)
    nominated = lite.answer(check(lite, USE_CANDIDATE=None), ("10.0.0.1", 1), 1.2)
    assert [answer is not None and answer.selects for answer in (wlan, other, nominated)] == [True, False, True]


def test_addresses_are_capped_and_the_one_checked_longest_ago_goes_but_never_the_selected() -> None:
    lite = ice()
    request = check(lite)
    lite.answer(request, HERE, 0.0)
    for number in range(3 * MAX_ADDRESSES):
        lite.answer(request, ("198.51.100.1", number), 1.0 + number)
        assert len(lite.addresses) <= MAX_ADDRESSES
    assert HERE in lite.addresses
    kept = [address[1] for address in lite.addresses if address != HERE]
    assert kept == list(range(3 * MAX_ADDRESSES - MAX_ADDRESSES + 1, 3 * MAX_ADDRESSES))


def test_ten_thousand_sources_with_a_wrong_password_keep_no_state() -> None:
    lite = ice()
    request = check(lite, password="wrong")
    for number in range(10_000):
        assert lite.answer(request, ("203.0.113.5", number), 1.0) is None
    assert lite.addresses == {}


def test_a_peer_is_lost_when_its_checks_stop_and_not_before() -> None:
    lite = ice()
    assert not lite.is_lost(LOST_AFTER_S)
    lite.answer(check(lite), HERE, 100.0)
    assert not lite.is_lost(100.0 + LOST_AFTER_S)
    assert lite.is_lost(100.1 + LOST_AFTER_S)


# --- restarts


def restarted() -> tuple[IceLite, str, str]:
    """A peer that was checked and restarts; and the credentials it had."""
    lite = ice()
    lite.answer(check(lite), HERE, 1.0)
    old = lite.ufrag, lite.password
    lite.restart()
    return lite, *old


def test_a_restart_gives_other_credentials_and_the_old_ones_are_answered_until_the_first_check_with_them() -> None:
    lite, old_ufrag, old_password = restarted()
    assert old_ufrag != lite.ufrag
    assert old_password != lite.password
    assert lite.ufrags == {old_ufrag, lite.ufrag}
    with_the_old = check(lite, user=f"{old_ufrag}:them", password=old_password)
    answer = lite.answer(with_the_old, HERE, 2.0)
    assert answer is not None
    assert answer.valid
    assert not answer.selects
    assert stun.parse_message(answer.data).check_message_integrity(old_password.encode())
    assert lite.answer(check(lite), THERE, 3.0) is not None
    assert lite.ufrags == {lite.ufrag}
    assert lite.answer(with_the_old, HERE, 4.0) is None
    assert lite.last_check == 3.0


def test_the_first_check_after_a_restart_selects_its_pair() -> None:
    lite, _, _ = restarted()
    assert lite.selected == HERE
    lite.answer(check(lite), THERE, 2.0)
    assert lite.selected == THERE
    lite.answer(check(lite), HERE, 3.0)
    assert lite.selected == THERE
    assert set(lite.addresses) == {HERE, THERE}


@pytest.mark.parametrize("swapped", [True, False])
def test_an_old_ufrag_with_a_new_password_is_not_authentic_nor_the_other_way_round(swapped: bool) -> None:
    lite, old_ufrag, old_password = restarted()
    user, password = (old_ufrag, lite.password) if swapped else (lite.ufrag, old_password)
    assert lite.answer(check(lite, user=f"{user}:them", password=password), THERE, 2.0) is None
    assert lite.ufrags == {old_ufrag, lite.ufrag}
    assert THERE not in lite.addresses


def test_a_flood_of_restarts_keeps_the_credentials_in_use_and_the_last_ones() -> None:
    lite, old_ufrag, _ = restarted()
    between = lite.ufrag
    for _ in range(1000):
        lite.restart()
        assert lite.ufrags == {old_ufrag, lite.ufrag}
    assert lite.answer(check(lite, user=f"{between}:them"), THERE, 2.0) is None


def test_a_restart_before_the_first_check_keeps_nothing() -> None:
    lite = ice()
    lite.restart()
    assert lite.ufrags == {lite.ufrag}
    lite.answer(check(lite), HERE, 1.0)
    assert lite.selected == HERE


def test_a_peer_that_is_heard_again_after_a_silence_resumes() -> None:
    lite = ice()
    told = []
    for now in (1.0, 3.5, 3.5 + SILENCE_S, 8.6 + SILENCE_S, 8.7 + SILENCE_S):
        answer = lite.answer(check(lite), HERE, now)
        assert answer is not None
        told.append(answer.resumes)
    assert told == [False, False, False, True, False]
    lite.restart()
    answer = lite.answer(check(lite), THERE, 30.0)
    assert answer is not None
    assert answer.resumes


def test_checks_with_old_credentials_keep_a_peer_alive() -> None:
    lite, old_ufrag, old_password = restarted()
    lite.answer(check(lite, user=f"{old_ufrag}:them", password=old_password), HERE, 50.0)
    assert not lite.is_lost(50.0 + LOST_AFTER_S)
    assert lite.is_lost(50.1 + LOST_AFTER_S)


# --- unknown attributes


def with_attributes(lite: IceLite, attributes: list[tuple[int, bytes]], *, password: str | None = None) -> bytes:
    """A request that has these before its integrity."""
    plain = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": f"{lite.ufrag}:them"})
    body = b"".join(n.to_bytes(2, "big") + len(v).to_bytes(2, "big") + v + bytes(-len(v) % 4) for n, v in attributes)
    grown = bytes(plain) + body
    sized = grown[:2] + (len(grown) - 20 + 24).to_bytes(2, "big") + grown[4:]
    tag = stun.message_integrity(sized, (password or lite.password).encode())
    return sized + b"\x00\x08\x00\x14" + tag


def unknown_in(reply: bytes) -> list[int]:
    place = 20
    while int.from_bytes(reply[place : place + 2], "big") != 0x000A:
        size = int.from_bytes(reply[place + 2 : place + 4], "big")
        place += 4 + size + -size % 4
    size = int.from_bytes(reply[place + 2 : place + 4], "big")
    return [int.from_bytes(reply[n : n + 2], "big") for n in range(place + 4, place + 4 + size, 2)]


@pytest.mark.parametrize("unknown", [[0x0026], [0x0026, 0x7FFF, 0x0002], [0x001C]])
def test_what_must_be_understood_and_is_not_is_named_in_a_420(unknown: list[int]) -> None:
    lite = ice()
    known = [(0x0024, bytes(4)), (0xC057, bytes(4))]
    request = with_attributes(lite, [(number, b"?") for number in unknown] + known)
    answer = lite.answer(request, HERE, 1.0)
    assert answer is not None
    assert not answer.valid
    reply = stun.parse_message(answer.data)
    assert (reply.message_class, reply.error_code) == (stun.Class.ERROR, 420)
    assert reply.check_message_integrity(lite.password.encode())
    assert "FINGERPRINT" in reply.attributes
    assert unknown_in(answer.data) == unknown
    assert (lite.selected, lite.addresses) == (None, {})


def test_unknown_attributes_of_a_request_that_is_not_authentic_get_no_answer() -> None:
    lite = ice()
    refused(lite, with_attributes(lite, [(0x0026, b"")], password="wrong"))


@given(st.lists(st.tuples(st.integers(0, 0x7FFF), st.binary(max_size=9)), max_size=60))
def test_an_answer_to_unknown_attributes_is_hardly_longer_than_the_request(attributes: list[tuple[int, bytes]]) -> None:
    lite = ice()
    # those of other STUN usages are read too, and a request in which one is malformed is dropped
    unknown = [(n, v) for n, v in attributes if n not in KNOWN_REQUIRED and n not in stun.ATTRIBUTES_BY_TYPE]
    request = with_attributes(lite, unknown)
    answer = lite.answer(request, HERE, 1.0)
    assert answer is not None
    assert answer.valid == (not unknown)
    assert len(answer.data) <= len(request) + 24


# --- username()


@given(st.text(st.characters(codec="ascii", exclude_characters=":"), max_size=40), st.text(max_size=20))
def test_our_part_of_the_username_is_what_the_full_parser_finds(local: str, remote: str) -> None:
    lite = ice()
    request = check(lite, user=f"{local}:{remote}")
    full: str = stun.parse_message(request).attributes["USERNAME"]
    assert username(request) == full.partition(":")[0] == local


def test_the_username_is_found_behind_other_attributes() -> None:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes |= {"SOFTWARE": "abc", "PRIORITY": 1, "USERNAME": "ours:theirs"}
    assert username(bytes(message)) == "ours"


@pytest.mark.parametrize("user", ["", "withoutcolon"])
def test_a_username_without_a_colon_is_nobodys(user: str) -> None:
    assert username(check(ice(), user=user)) is None


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x00\x01",
        bytes(28),
        b"\x01\x01\x00\x08\x21\x12\xa4\x42" + bytes(20),
        b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12) + b"\x00\x06\xff\xff",
        b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12) + b"\x00\x24\xff\xff" + bytes(4),
    ],
)
def test_what_is_no_request_with_a_username_is_nobodys(datagram: bytes) -> None:
    assert username(datagram) is None
