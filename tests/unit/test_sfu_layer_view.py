"""A view of the lower temporal layers numbers what is in it, and keeps its places for what is missing."""

from sfu.codecs.temporal import plain
from sfu.codecs.vp8_descriptor import unchanged
from sfu.history import Packet
from sfu.layer_view import MAX_HOLES, LayerView
from sfu.rtp import JUMP
from tests.support.sfu_media import VP8, encoding


class Viewed:
    def __init__(self, limit: int = 0) -> None:
        self.view = LayerView(encoding(VP8), limit, 100)

    def take(self, *packets: tuple[int, int, int]) -> None:
        """Index, frame and layer of each."""
        self.view.take([made(*packet) for packet in packets])

    def numbers(self) -> list[tuple[int, bytes]]:
        """Numbers that were given, with the payloads."""
        packets = [(number, self.view.sent(number)) for number in range(self.view.highest + 1)]
        return [(number, packet.payload) for number, packet in packets if packet is not None]


def made(index: int, frame: int, layer: int) -> Packet:
    return Packet(index, 0x80, 3000 * frame, b"%d" % index, b"", unchanged(plain(layer)), 1.0)


def test_what_is_in_it_is_numbered_one_after_the_other() -> None:
    viewed = Viewed()
    viewed.take((100, 0, 0), (101, 1, 1), (102, 2, 0), (103, 3, 1), (104, 3, 1), (105, 4, 0))
    assert viewed.numbers() == [(0, b"100"), (1, b"102"), (2, b"105")]
    assert viewed.view.next_number == 3
    assert viewed.view.delivered is not None
    assert viewed.view.delivered.number == 2


def test_missing_packets_have_numbers_kept_and_nothing_else_gets_them() -> None:
    viewed = Viewed()
    viewed.take((100, 0, 0), (103, 1, 0))
    assert viewed.view.next_number == 4
    viewed.view.late(made(102, 1, 0))
    viewed.view.late(made(102, 1, 0))
    assert viewed.numbers() == [(0, b"100"), (2, b"102"), (3, b"103")]


def test_what_is_missing_before_its_first_packet_is_kept_too() -> None:
    viewed = Viewed()
    viewed.take((101, 0, 0))
    viewed.view.late(made(100, 0, 0))
    viewed.view.late(made(99, 0, 0))
    assert viewed.numbers() == [(0, b"100"), (1, b"101")]


def test_a_place_that_is_not_needed_gets_padding() -> None:
    viewed = Viewed()
    viewed.take((100, 0, 0), (102, 2, 0))
    viewed.view.late(made(101, 1, 1))
    closing = viewed.view.sent(1)
    assert closing is not None
    assert (closing.first & 0x2080, closing.payload, closing.extension) == (0x2000, b"\1", b"")
    assert viewed.view.closed == 1


def test_inside_a_frame_that_is_left_out_no_place_is_kept_but_between_two_frames_it_is() -> None:
    viewed = Viewed()
    viewed.take((100, 0, 0), (101, 1, 1), (103, 1, 1), (104, 2, 0))
    assert viewed.view.next_number == 2
    viewed.take((105, 3, 1), (107, 4, 1), (108, 5, 0))
    assert viewed.view.next_number == 4


def test_what_is_given_up_is_forgotten_and_then_it_is_used_no_more() -> None:
    viewed = Viewed()
    viewed.take((100, 0, 0), (102, 1, 0), (104, 2, 0))
    viewed.view.forget(103)
    viewed.view.late(made(101, 1, 0))
    assert [number for number, _ in viewed.numbers()] == [0, 2, 4]
    assert viewed.view.is_used
    viewed.view.forget(None)
    assert not viewed.view.is_used


def test_places_are_capped_and_numbers_go_on_all_the_same() -> None:
    viewed = Viewed()
    viewed.take((100, 0, 0), (101 + 2 * MAX_HOLES, 1, 0))
    assert viewed.view.next_number == 2 + 2 * MAX_HOLES
    viewed.view.late(made(101, 1, 0))
    viewed.view.late(made(100 + 2 * MAX_HOLES, 1, 0))
    assert viewed.view.sent(1) is None
    assert viewed.view.sent(2 * MAX_HOLES) is not None


def test_for_a_jump_of_the_sender_one_number_is_left_out() -> None:
    viewed = Viewed()
    viewed.take((100, 0, 0), (101 + JUMP, 1, 0))
    assert [number for number, _ in viewed.numbers()] == [0, 2]
