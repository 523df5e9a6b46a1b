"""The temporal layer of AV1 packets: by the dependency descriptor of each, and without one by the OBUs."""

from sfu.av1_places import Av1Places, DependencyLayouts, place_of
from sfu.codecs.dependency_descriptor import Indication, Structure, Template, parse
from sfu.codecs.temporal import BASE, Place, plain
from sfu.rtp import LayoutCache
from tests.support.sfu_media import TRANSPORT_SEQUENCE_ID, one_byte_extensions
from tests.unit.test_codecs_dependency_descriptor import FOLLOWING, KEY

A, D, S, R = Indication.ABSENT, Indication.DISCARDABLE, Indication.SWITCH, Indication.REQUIRED
DEPENDENCY_ID = 13
ORIENTATION_ID = 12
START, REST = b"\x10\x30body", b"\x90body"
"""An OBU without the extension that names layers, and a piece of one."""


def two_byte_extensions(*elements: tuple[int, bytes]) -> bytes:
    """A whole extension block with its head (RFC 8285 4.3): for elements of more than 16 bytes."""
    block = b"".join(bytes((number, len(value))) + value for number, value in elements)
    block += bytes(-len(block) % 4)
    return b"\x10\x00" + (len(block) // 4).to_bytes(2, "big") + block


class Stream:
    def __init__(self) -> None:
        self.layouts = DependencyLayouts(TRANSPORT_SEQUENCE_ID, ORIENTATION_ID, DEPENDENCY_ID)
        self.places = Av1Places(self.layouts)

    def packet(self, dependency: str, payload: bytes = START) -> Place:
        elements = [(TRANSPORT_SEQUENCE_ID, b"\x01\x02")]
        if dependency:
            elements.append((DEPENDENCY_ID, bytes.fromhex(dependency)))
        longest = max(len(value) for _, value in elements)
        block = (two_byte_extensions if longest > 16 else one_byte_extensions)(*elements)
        assert self.layouts.read(block, 4, len(block) - 4) == (0x0102, -1)
        return self.places.describe(payload).place


def test_the_descriptor_says_the_layer_and_who_may_go_up() -> None:
    stream = Stream()
    assert stream.packet(KEY.hex()) == Place(0, 0, 2)
    assert [stream.packet(text) for text in FOLLOWING] == [plain(2), Place(1, 1, 2), plain(2), Place(0, 0, 2)]
    assert stream.places.refused == 0


def test_every_packet_of_a_frame_has_one_whatever_piece_it_carries() -> None:
    stream = Stream()
    stream.packet(KEY.hex())
    assert stream.packet("030002", REST) == plain(2)


def test_without_a_descriptor_the_obu_says_it_and_its_pieces_are_where_it_is() -> None:
    stream = Stream()
    assert stream.packet("", b"\x18\x08seq") == BASE
    assert stream.packet("", b"\x10\x34\x40body") == plain(2)
    assert stream.packet("", REST) == plain(2)
    assert stream.packet("", b"\x10\x34\x20body") == plain(1)


def test_what_cannot_be_read_is_counted_and_the_obu_asked() -> None:
    stream = Stream()
    assert stream.packet(FOLLOWING[0], b"\x10\x34\x40body") == plain(2)
    assert stream.packet("ff", b"\x10\x34\x20body") == plain(1)
    assert stream.places.refused == 2


def test_where_the_extension_is_not_negotiated_it_is_not_looked_for() -> None:
    places = Av1Places(LayoutCache(TRANSPORT_SEQUENCE_ID, ORIENTATION_ID))
    assert places.describe(b"\x10\x34\x40body").place == plain(2)


def test_a_frame_lets_nobody_up_to_a_layer_of_which_one_target_cannot_switch() -> None:
    """Two spatial layers: the lower one's frames are of no use to who watches the upper one."""
    template = Template(0, 0, (S, S, S, A), (), ())
    structure = Structure(0, (template,), (), ((0, 0), (0, 1), (1, 0), (1, 1)), ())
    assert place_of(template, structure) == plain(0)
    assert place_of(template._replace(indications=(S, S, S, S)), structure) == Place(0, 0, 1)


def test_a_frame_that_its_own_descriptor_makes_required_lets_nobody_up() -> None:
    structure = parse(KEY, None).structure
    assert structure is not None
    assert place_of(structure.templates[1]._replace(indications=(S, R, R)), structure) == plain(0)
    assert place_of(structure.templates[1]._replace(indications=(S, S, R)), structure) == Place(0, 0, 1)
