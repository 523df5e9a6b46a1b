"""Where the packets of an AV1 stream stand among its temporal layers: by their dependency descriptors, and where there
are none by what the OBUs say.

The descriptor is a header extension, so it is read with the others; it is that of the packet which was read last, and a
packet is taken at once after it was read.
"""

from sfu.codecs import av1
from sfu.codecs.dependency_descriptor import Indication, Structure, Template, parse
from sfu.codecs.payload import PayloadError
from sfu.codecs.temporal import BASE, Place
from sfu.codecs.vp8_descriptor import Descriptor, unchanged
from sfu.rtp import LayoutCache, read_extensions


class DependencyLayouts(LayoutCache):
    """Also keeps the dependency descriptor of the packet that was read last."""

    __slots__ = ("_dependency_id", "dependency")

    def __init__(self, transport_sequence_id: int, octet_id: int, dependency_id: int) -> None:
        super().__init__(transport_sequence_id, octet_id)
        self._dependency_id = dependency_id
        self.dependency = b""
        """Empty: it had none."""

    def read(self, data: bytes, offset: int, size: int) -> tuple[int, int]:
        profile = data[offset - 4] << 8 | data[offset - 3]
        self.dependency = read_extensions(data[offset : offset + size], profile).get(self._dependency_id, b"")
        return super().read(data, offset, size)


class Av1Places:
    """Of one stream."""

    __slots__ = ("_last", "_layouts", "_structure", "refused")

    def __init__(self, layouts: LayoutCache) -> None:
        self._layouts = layouts if isinstance(layouts, DependencyLayouts) else None
        self._structure: Structure | None = None
        self._last = BASE
        self.refused = 0
        """Dependency descriptors that could not be read."""

    def describe(self, payload: bytes) -> Descriptor:
        """Of the packet that was read last."""
        place: Place | None = None
        if self._layouts is not None and self._layouts.dependency:
            place = self._by_descriptor(self._layouts.dependency)
        if place is None:
            place = av1.place(payload)
        if place is not None:
            self._last = place  # the rest of an OBU is where its beginning was
        return unchanged(self._last)

    def _by_descriptor(self, data: bytes) -> Place | None:
        try:
            found = parse(data, self._structure)
        except PayloadError:
            self.refused += 1
            return None
        if found.structure is not None:
            self._structure = found.structure
        assert self._structure is not None
        return place_of(found.frame, self._structure)


def place_of(frame: Template, structure: Structure) -> Place:
    """A frame lets its viewers up to the highest temporal layer of which all decode targets may be switched to it."""
    layer = frame.temporal_id
    reaches = layer
    for temporal in range(layer + 1, 8):
        indications = [
            indication
            for indication, (_, target_layer) in zip(frame.indications, structure.target_layers, strict=True)
            if target_layer == temporal
        ]
        if not indications or any(indication != Indication.SWITCH for indication in indications):
            break
        reaches = temporal
    return Place(layer, layer, reaches)
