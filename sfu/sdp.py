"""Reading session descriptions (RFC 8866, RFC 8829) within limits.

Own, because what an SFU must see (ssrc-group, rtcp-fb, ids of header extensions, bundle-only) is what aiortc's parser
drops or asserts upon. Anything malformed raises NegotiationError and nothing else.
"""

import re

import msgspec

from sfu.interfaces import NegotiationError

MAX_BYTES = 65_536
MAX_LINES = 4_000
MAX_SECTIONS = 64
"""m-lines: 16 of a publisher, or 32 subscriptions that came and went twice."""

MAX_LAYERS = 3
"""Simulcast encodings of one section that are taken, the first ones: browsers send no more."""

MAX_PER_SECTION = 256
"""Attribute lines of one kind in one section; a Chromium video section has about 60 codecs and parameters."""

_TOKEN = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}$")
_RID = re.compile(r"^[A-Za-z0-9_-]{1,16}$")
_ICE = re.compile(r"^[A-Za-z0-9+/=_-]{4,256}$")

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


class Codec(msgspec.Struct, frozen=True):
    """One payload type of a section."""

    name: str
    """Lower case: `opus`, `vp8`, `vp9`, `h264`, `av1`, `rtx`, ..."""
    payload_type: int
    clock_rate_hz: int
    channels: int
    fmtp: str
    feedback: tuple[str, ...]

    def parameter(self, key: str) -> str:
        """A value of the fmtp line, or an empty string."""
        for part in self.fmtp.split(";"):
            name, _, value = part.strip().partition("=")
            if name.lower() == key:
                return value
        return ""


class Section(msgspec.Struct):
    """One m-line with what concerns us."""

    kind: str
    mid: str
    rejected: bool
    """Port 0, and not for being bundled only (RFC 9143 7.2.1)."""
    protocol: str
    direction: str
    codecs: dict[int, Codec]
    """By payload type, in the order of the m-line."""
    extensions: dict[str, int]
    """URI -> id."""
    ssrcs: list[int]
    repair_of: dict[int, int]
    """RTX SSRC -> the SSRC it repairs (ssrc-group FID)."""
    rids: list[str]
    """Simulcast encodings that are sent, in the order of the offer (RFC 8853); empty without simulcast."""
    ice_ufrag: str
    ice_pwd: str
    fingerprints: list[tuple[str, str]]
    setup: str


class Description(msgspec.Struct):
    sections: list[Section]
    bundled: frozenset[str] = frozenset()
    """Mids of the first group of sections that share one transport (RFC 9143)."""


def _bad(detail: str) -> NegotiationError:
    return NegotiationError("bad_sdp", detail)


def _integer(text: str, low: int, high: int, what: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12 or not low <= int(text) <= high:
        raise _bad(f"{what} is not a number from {low} to {high}")
    return int(text)


def parse(text: str) -> Description:
    """Read an offer or answer; transport attributes of the session level apply to sections that have none."""
    if len(text) > MAX_BYTES:
        raise _bad(f"longer than {MAX_BYTES} bytes")
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if len(lines) > MAX_LINES or not lines[0].startswith("v=0"):
        raise _bad("not a session description")
    blocks: list[list[str]] = [[]]
    for line in lines:
        if len(line) < 2 or line[1] != "=" or not line.isprintable():
            raise _bad("a line is not of the form x=value")
        if line.startswith("m="):
            blocks.append([])
            if len(blocks) > MAX_SECTIONS + 1:
                raise _bad(f"more than {MAX_SECTIONS} media sections")
        blocks[-1].append(line)
    sections = [_section(block, blocks[0]) for block in blocks[1:]]
    mids = [section.mid for section in sections]
    if len(set(mids)) != len(mids):
        raise _bad("two media sections have the same mid")
    groups = (line.split(" ")[1:] for line in blocks[0] if line.startswith("a=group:BUNDLE "))
    return Description(sections, frozenset(next(groups, [])))


def _section(block: list[str], session: list[str]) -> Section:
    head = block[0][2:].split(" ")
    if len(head) < 4:
        raise _bad("an m-line is too short")
    kind, port, protocol, *formats = head
    attributes: dict[str, list[str]] = {}
    for line in block[1:]:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            values = attributes.setdefault(name, [])
            values.append(value)
            if len(values) > MAX_PER_SECTION:
                raise _bad(f"more than {MAX_PER_SECTION} lines a={name[:32]}")

    def first(name: str) -> str:
        if name in attributes:
            return attributes[name][0]
        prefix = f"a={name}:"
        return next((line[len(prefix) :] for line in session if line.startswith(prefix)), "")

    mid = first("mid")
    if not _TOKEN.match(mid) or len(mid) > 16:
        raise _bad("a media section has no usable mid")
    ufrag = first("ice-ufrag")
    if ufrag and not _ICE.match(ufrag):
        raise _bad("ice-ufrag is malformed")
    ice_pwd = first("ice-pwd")
    if ice_pwd and not _ICE.match(ice_pwd):
        raise _bad("ice-pwd is malformed")
    fingerprints = []
    for value in attributes.get("fingerprint") or [first("fingerprint")]:
        algorithm, _, digest = value.partition(" ")
        if algorithm and digest:
            fingerprints.append((algorithm.lower(), digest.strip().upper()))
    return Section(
        kind=kind,
        mid=mid,
        rejected=_integer(port, 0, 65535, "a port") == 0 and "bundle-only" not in attributes,
        protocol=protocol,
        direction=next((d for d in DIRECTIONS if d in attributes), "sendrecv"),
        codecs=_codecs(formats, attributes) if kind in ("audio", "video") else {},
        extensions=_extensions(attributes.get("extmap", [])),
        ssrcs=_ssrcs(attributes.get("ssrc", [])),
        repair_of=_repairs(attributes.get("ssrc-group", [])),
        rids=_rids(attributes.get("simulcast", []), attributes.get("rid", [])),
        ice_ufrag=ufrag,
        ice_pwd=ice_pwd,
        fingerprints=fingerprints,
        setup=first("setup"),
    )


def _by_payload_type(values: list[str]) -> dict[int, list[str]]:
    result: dict[int, list[str]] = {}
    for value in values:
        number, _, rest = value.partition(" ")
        if number != "*":
            result.setdefault(_integer(number, 0, 127, "a payload type"), []).append(rest)
    return result


def _codecs(formats: list[str], attributes: dict[str, list[str]]) -> dict[int, Codec]:
    if len(formats) > 128:
        raise _bad("more than 128 payload types")
    maps = _by_payload_type(attributes.get("rtpmap", []))
    parameters = _by_payload_type(attributes.get("fmtp", []))
    feedback = _by_payload_type(attributes.get("rtcp-fb", []))
    codecs: dict[int, Codec] = {}
    for item in formats:
        number = _integer(item, 0, 127, "a payload type")
        if number not in maps:
            continue
        name, rate, *channels = [*maps[number][0].split("/"), ""]
        codecs[number] = Codec(
            name=name.lower(),
            payload_type=number,
            clock_rate_hz=_integer(rate, 1, 1_000_000, "a clock rate"),
            channels=_integer(channels[0] or "1", 1, 255, "a channel count") if channels else 1,
            fmtp=";".join(parameters.get(number, [])),
            feedback=tuple(feedback.get(number, [])),
        )
    return codecs


def _extensions(values: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    taken: set[int] = set()
    for value in values:
        number, _, rest = value.partition(" ")
        identifier = _integer(number.partition("/")[0], 1, 255, "a header extension id")
        uri = rest.split(" ")[0]
        if identifier in taken:
            raise _bad(f"header extension id {identifier} is used twice")
        taken.add(identifier)
        found[uri] = identifier
    return found


def _ssrcs(values: list[str]) -> list[int]:
    found: dict[int, None] = {}
    for value in values:
        found[_integer(value.partition(" ")[0], 0, 0xFFFFFFFF, "an SSRC")] = None
    return list(found)


def _repairs(values: list[str]) -> dict[int, int]:
    found: dict[int, int] = {}
    for value in values:
        semantics, *ssrcs = value.split(" ")
        if semantics == "FID" and len(ssrcs) == 2:
            found[_integer(ssrcs[1], 0, 0xFFFFFFFF, "an SSRC")] = _integer(ssrcs[0], 0, 0xFFFFFFFF, "an SSRC")
    return found


def _rids(simulcast: list[str], rid_lines: list[str]) -> list[str]:
    """Of `a=simulcast:send a;~b,c`: the first alternative of each encoding, paused (~) or not, if `a=rid:` has it."""
    if not simulcast:
        return []
    sent = {line.split(" ")[0] for line in rid_lines if line.split(" ")[1:2] == ["send"]}
    words = simulcast[0].split(" ")
    streams = next(
        (value for direction, value in zip(words[::2], words[1::2], strict=False) if direction == "send"), ""
    )
    first = [stream.split(",")[0].removeprefix("~") for stream in streams.split(";")]
    return list(dict.fromkeys(rid for rid in first if rid in sent and _RID.match(rid)))[:MAX_LAYERS]
