"""The AV1 dependency descriptor (Appendix A of the AV1 RTP specification): real ones are understood, any is taken or
refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.codecs import PayloadError
from sfu.codecs.dependency_descriptor import MAX_TEMPLATES, Indication, Structure, Template, parse
from tests.support.properties import any_input

A, D, S, R = Indication.ABSENT, Indication.DISCARDABLE, Indication.SWITCH, Indication.REQUIRED

KEY = bytes.fromhex("800001800214eaa860414d1410208427027f0167")
"""Of the first packet of Chromium 156 that sends AV1 at 640x360 with scalabilityMode L1T3."""
FOLLOWING = ["830002", "820003", "840004", "810005"]
VP8_KEY = bytes.fromhex("8000018002044eaaaf2860414d34538a0940409fc059c0")
"""The same with VP8: no chains, seven templates."""


class Bits:
    """Writes what the parser reads, after the syntax tables of the specification."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, width: int) -> None:
        self.text += f"{value:0{width}b}" if width else ""

    def non_symmetric(self, value: int, count: int) -> None:
        width = count.bit_length()
        short = (1 << width) - count
        if value < short:
            self.put(value, width - 1)
        else:
            self.put(value + short, width)

    def octets(self) -> bytes:
        text = self.text + "0" * (-len(self.text) % 8)
        return int("1" + text, 2).to_bytes(len(text) // 8 + 1, "big")[1:]


def write(number: int, structure: Structure) -> bytes:
    """The descriptor of a frame of the first template, with its structure."""
    bits = Bits()
    bits.put(0b11, 2)
    bits.put(structure.first_id, 6)
    bits.put(number, 16)
    bits.put(0b10000, 5)
    bits.put(structure.first_id, 6)
    bits.put(structure.targets - 1, 5)
    before = structure.templates[0]
    for template in structure.templates[1:]:
        same = (template.spatial_id, template.temporal_id) == (before.spatial_id, before.temporal_id)
        bits.put(2 if template.spatial_id > before.spatial_id else 0 if same else 1, 2)
        before = template
    bits.put(3, 2)
    for template in structure.templates:
        for indication in template.indications:
            bits.put(indication, 2)
    for template in structure.templates:
        for reference in template.references:
            bits.put(0b10000 | reference - 1, 5)
        bits.put(0, 1)
    chains = len(structure.templates[0].chains)
    bits.non_symmetric(chains, structure.targets + 1)
    for chain in structure.protected_by:
        bits.non_symmetric(chain, chains)
    for template in structure.templates:
        for chain in template.chains:
            bits.put(chain, 4)
    bits.put(bool(structure.sizes), 1)
    for width, height in structure.sizes:
        bits.put(width - 1, 16)
        bits.put(height - 1, 16)
    return bits.octets()


@st.composite
def structures(draw: st.DrawFn) -> Structure:
    """Small ones: an extension has at most 255 bytes."""
    targets = draw(st.integers(1, 9))
    layers = [(0, 0)]
    for step in draw(st.lists(st.sampled_from([0, 0, 1, 2]), max_size=9)):
        spatial, temporal = layers[-1]
        layer = (spatial, temporal + 1) if step == 1 else (spatial + 1, 0) if step == 2 else (spatial, temporal)
        if layer[0] <= 3 and layer[1] <= 7:
            layers.append(layer)
    chains = draw(st.integers(0, min(3, targets)))
    templates = tuple(
        Template(
            spatial,
            temporal,
            tuple(draw(st.lists(st.integers(0, 3), min_size=targets, max_size=targets))),
            tuple(draw(st.lists(st.integers(1, 16), max_size=2))),
            tuple(draw(st.lists(st.integers(0, 15), min_size=chains, max_size=chains))),
        )
        for spatial, temporal in layers
    )
    target_layers = tuple(
        (max((t.spatial_id for t in of), default=-1), max((t.temporal_id for t in of), default=-1))
        for of in ([t for t in templates if t.indications[n] != A] for n in range(targets))
    )
    protected = tuple(draw(st.integers(0, chains - 1)) for _ in range(targets)) if chains else ()
    count = layers[-1][0] + 1
    size = st.tuples(st.integers(1, 65_536), st.integers(1, 65_536))
    sizes = draw(st.one_of(st.just([]), st.lists(size, min_size=count, max_size=count)))
    return Structure(draw(st.integers(0, 63)), templates, protected, target_layers, tuple(sizes))


def test_the_structure_of_a_real_stream_is_read() -> None:
    found = parse(KEY, None)
    assert (found.begins_frame, found.ends_frame, found.frame_number, found.active_targets) == (True, False, 1, 7)
    assert found.structure is not None
    assert found.structure.target_layers == ((0, 0), (0, 1), (0, 2))
    assert found.structure.sizes == ((640, 360),)
    assert found.structure.protected_by == (0, 0, 0)
    assert found.structure.templates == (
        Template(0, 0, (S, S, S), (), (0,)),
        Template(0, 0, (S, S, S), (4,), (4,)),
        Template(0, 1, (A, D, S), (2,), (2,)),
        Template(0, 2, (A, A, D), (1,), (1,)),
        Template(0, 2, (A, A, D), (1,), (3,)),
    )
    assert found.frame == found.structure.templates[0]


def test_the_descriptors_after_it_name_its_templates() -> None:
    structure = parse(KEY, None).structure
    found = [parse(bytes.fromhex(text), structure) for text in FOLLOWING]
    assert [one.frame.temporal_id for one in found] == [2, 1, 2, 0]
    assert [one.frame_number for one in found] == [2, 3, 4, 5]
    assert all(one.structure is None and one.active_targets is None for one in found)


def test_a_stream_without_chains_is_read() -> None:
    structure = parse(VP8_KEY, None).structure
    assert structure is not None
    assert structure.protected_by == ()
    assert [t.temporal_id for t in structure.templates] == [0, 0, 0, 1, 1, 2, 2]
    assert [t.indications for t in structure.templates[2:4]] == [(S, R, R), (A, S, S)]
    assert {t.chains for t in structure.templates} == {()}


@given(structures(), st.integers(0, 65_535))
def test_whatever_is_written_is_read(structure: Structure, number: int) -> None:
    found = parse(write(number, structure), None)
    assert found.structure == structure
    assert (found.frame_number, found.frame) == (number, structure.templates[0])


def test_what_a_frame_has_of_its_own_stands_for_what_its_template_says() -> None:
    structure = parse(KEY, None).structure
    bits = Bits()
    bits.put(0x810007, 24)
    bits.put(0b01111, 5)
    bits.put(0b011, 3)  # active targets
    for indication in (S, A, R):
        bits.put(indication, 2)
    bits.put(0b01_0011, 6)
    bits.put(0b11, 2)
    bits.put(0x123, 12)
    bits.put(0, 2)
    bits.put(200, 8)
    found = parse(bits.octets(), structure)
    assert found.frame == Template(0, 0, (S, A, R), (4, 0x124), (200,))
    assert found.active_targets == 3


def test_without_a_structure_nothing_can_be_said() -> None:
    with pytest.raises(PayloadError):
        parse(bytes.fromhex(FOLLOWING[0]), None)
    with pytest.raises(PayloadError):
        parse(bytes.fromhex("800001" + "40ff"), None)


def test_a_template_that_the_structure_does_not_have_is_refused() -> None:
    with pytest.raises(PayloadError):
        parse(bytes.fromhex("850002"), parse(KEY, None).structure)


def test_a_structure_without_an_end_is_refused_and_costs_little() -> None:
    for pattern in (b"\0", b"\x55", b"\xaa", b"\xff"):
        with pytest.raises(PayloadError):
            parse(bytes.fromhex("8000018000") + pattern * 4096, None)


def test_every_cut_of_a_real_one_is_refused() -> None:
    for whole in (KEY, VP8_KEY):
        for length in range(len(whole) - 1):
            with pytest.raises(PayloadError):
                parse(whole[:length], None)


@any_input
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_taken_or_refused(data: bytes, known: bool) -> None:
    structure = parse(KEY, None).structure if known else None
    try:
        found = parse(data, structure)
    except PayloadError:
        return
    used = found.structure or structure
    assert used is not None
    assert len(found.frame.indications) == used.targets
    if found.structure is not None:
        assert len(found.structure.templates) <= MAX_TEMPLATES


@pytest.mark.parametrize("length", range(64))
def test_every_length_is_taken_or_refused(length: int) -> None:
    structure = parse(KEY, None).structure
    for data in (bytes(length), b"\xff" * length, KEY[:4] + b"\xff" * length, KEY[:5] + bytes(length)):
        for known in (None, structure):
            try:
                parse(data, known)
            except PayloadError:
                pass
