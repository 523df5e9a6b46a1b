"""The dependency descriptor of the AV1 RTP specification (Appendix A): an RTP header extension that says which frames a
frame refers to and for whom it is of use.

A *template structure* comes with key frames and lists the kinds of frames of the stream; later descriptors name one of
them and say only what differs. A *decode target* is a subset of the stream that can be watched: a spatial and a
temporal layer with all below. Takes any bytes, costs at most what MAX_TEMPLATES cost, raises only PayloadError.
"""

import enum
from typing import NamedTuple

from sfu.codecs.bits import BitReader
from sfu.codecs.payload import PayloadError

URI = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

MAX_TEMPLATES = 64
"""Template ids have 6 bits (A.8.2)."""


class Indication(enum.IntEnum):
    """What a frame is to a decode target (A.8.1, DTI)."""

    ABSENT = 0
    DISCARDABLE = 1
    SWITCH = 2
    """Who decodes this frame can decode all later frames of the target."""
    REQUIRED = 3


class Template(NamedTuple):
    """A kind of frame."""

    spatial_id: int
    temporal_id: int
    indications: tuple[int, ...]
    """For each decode target, as Indication."""
    references: tuple[int, ...]
    """Differences of frame numbers to the frames that it refers to."""
    chains: tuple[int, ...]
    """For each chain the difference to its frame before; 0: none."""


class Structure(NamedTuple):
    """A template structure."""

    first_id: int
    """Template id of `templates[0]` (template_id_offset)."""
    templates: tuple[Template, ...]
    protected_by: tuple[int, ...]
    """For each decode target the chain that protects it; empty without chains."""
    target_layers: tuple[tuple[int, int], ...]
    """Spatial and temporal layer of each decode target, (-1, -1) where no template belongs to it."""
    sizes: tuple[tuple[int, int], ...]
    """Width and height of each spatial layer; empty where they are not stated."""

    @property
    def targets(self) -> int:
        """Decode targets."""
        return len(self.target_layers)


class DependencyDescriptor(NamedTuple):
    """Of one packet."""

    begins_frame: bool
    ends_frame: bool
    frame_number: int
    """16 bits."""
    frame: Template
    """With what this frame has of its own in place of its template's."""
    structure: Structure | None
    """Where the descriptor carries a new one."""
    active_targets: int | None
    """Bit mask of the decode targets that are sent from now on, where the descriptor says so."""


def parse(data: bytes, structure: Structure | None) -> DependencyDescriptor:
    """Read a descriptor; `structure`: the last one of the stream. Raises PayloadError when it is cut, breaks the
    format, or needs a structure that is not there."""
    reader = BitReader(data)
    begins, ends = reader.flag(), reader.flag()
    template_id = reader.bits(6)
    number = reader.bits(16)
    new = active = None
    own_indications = own_references = own_chains = False
    if len(data) > 3:
        has_structure, has_active = reader.flag(), reader.flag()
        own_indications, own_references, own_chains = reader.flag(), reader.flag(), reader.flag()
        if has_structure:
            new = structure = _structure(reader)
            active = (1 << new.targets) - 1
        if has_active:
            if structure is None:
                raise PayloadError("dependency descriptor without a structure")
            active = reader.bits(structure.targets)
    if structure is None:
        raise PayloadError("dependency descriptor without a structure")
    place = (template_id - structure.first_id) % MAX_TEMPLATES
    if place >= len(structure.templates):
        raise PayloadError("dependency descriptor of an unknown template")
    frame = structure.templates[place]
    if own_indications:
        frame = frame._replace(indications=tuple(reader.bits(2) for _ in range(structure.targets)))
    if own_references:
        frame = frame._replace(references=_frame_references(reader))
    if own_chains:
        frame = frame._replace(chains=tuple(reader.bits(8) for _ in frame.chains))
    return DependencyDescriptor(begins, ends, number, frame, new, active)


def _frame_references(reader: BitReader) -> tuple[int, ...]:
    found: list[int] = []
    while size := reader.bits(2):
        found.append(reader.bits(4 * size) + 1)
    return tuple(found)


def _structure(reader: BitReader) -> Structure:
    first_id = reader.bits(6)
    targets = reader.bits(5) + 1
    layers = _template_layers(reader)
    indications = [tuple(reader.bits(2) for _ in range(targets)) for _ in layers]
    references = [_template_references(reader) for _ in layers]
    count = _non_symmetric(reader, targets + 1)
    protected_by = tuple(_non_symmetric(reader, count) for _ in range(targets)) if count else ()
    chains = [tuple(reader.bits(4) for _ in range(count)) for _ in layers]
    sizes: tuple[tuple[int, int], ...] = ()
    if reader.flag():
        sizes = tuple((reader.bits(16) + 1, reader.bits(16) + 1) for _ in range(layers[-1][0] + 1))
    templates = tuple(
        Template(*layer, *rest) for layer, *rest in zip(layers, indications, references, chains, strict=True)
    )
    return Structure(
        first_id, templates, protected_by, tuple(_target_layers(templates, n) for n in range(targets)), sizes
    )


def _template_layers(reader: BitReader) -> list[tuple[int, int]]:
    """Spatial and temporal layer of each template."""
    spatial_id = temporal_id = 0
    found = [(0, 0)]
    while (step := reader.bits(2)) != 3:
        if step == 1:
            temporal_id += 1
        elif step == 2:
            spatial_id, temporal_id = spatial_id + 1, 0
        if len(found) >= MAX_TEMPLATES or temporal_id > 7 or spatial_id > 3:
            raise PayloadError("dependency descriptor of too many templates or layers")
        found.append((spatial_id, temporal_id))
    return found


def _template_references(reader: BitReader) -> tuple[int, ...]:
    found: list[int] = []
    while reader.flag():
        found.append(reader.bits(4) + 1)
    return tuple(found)


def _target_layers(templates: tuple[Template, ...], target: int) -> tuple[int, int]:
    belonging = [t for t in templates if t.indications[target] != Indication.ABSENT]
    return (
        max((t.spatial_id for t in belonging), default=-1),
        max((t.temporal_id for t in belonging), default=-1),
    )


def _non_symmetric(reader: BitReader, count: int) -> int:
    """ns(n): a number below `count`, 1..33 (A.8.2)."""
    width = count.bit_length()
    short = (1 << width) - count
    value = reader.bits(width - 1)
    return value if value < short else (value << 1) - short + reader.bits(1)
