"""A capture file of a journal is what somebody else's reader of such files takes."""

import io
import struct

import dpkt
from hypothesis import given
from hypothesis import strategies as st

from recorder.journal import JournalPacket, JournalReport
from recorder.pcap import MAX_PAYLOAD_BYTES, RTP_PORT, PcapWriter
from tests.support.journals import ZERO_NS, file_header, track_header

WALL_NS = 1_790_000_000_123_456_789
LINKTYPE_RAW = 101
"""As registered with tcpdump.org; dpkt has the number of this system's kernel."""
TRACK = track_header("vp8")
PACKETS = st.builds(
    JournalPacket,
    st.integers(ZERO_NS, ZERO_NS + 10**15),
    st.integers(0, 1 << 60),
    st.integers(0, (1 << 32) - 1),
    st.booleans(),
    st.binary(max_size=1_500),
)
REPORTS = st.builds(
    JournalReport,
    st.integers(ZERO_NS, ZERO_NS + 10**15),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 32) - 1),
)


def writer() -> PcapWriter:
    header = file_header(TRACK)
    recording = type(header.recording)(
        recording_id="r", session_id="s", zero_monotonic_ns=ZERO_NS, zero_wall_ns=WALL_NS, boot_id="b"
    )
    return PcapWriter(file_header(TRACK, recording), TRACK)


def datagrams(content: bytes) -> list[tuple[float, dpkt.ip.IP]]:
    reader = dpkt.pcap.Reader(io.BytesIO(content))
    assert reader.datalink() == LINKTYPE_RAW
    return [(float(at), dpkt.ip.IP(frame)) for at, frame in reader]


@given(st.lists(PACKETS | REPORTS, max_size=12))
def test_every_packet_and_report_is_read_back(records: list[JournalPacket | JournalReport]) -> None:
    made = writer()
    content = made.head()
    for record in records:
        content += made.packet(record) if isinstance(record, JournalPacket) else made.report(record)
    read = datagrams(content)
    assert len(read) == len(records)
    for record, (at, ip) in zip(records, read, strict=True):
        assert abs(at - (record.arrival_ns - ZERO_NS + WALL_NS) / 1e9) < 1e-6
        assert ip.len == len(bytes(ip))
        assert isinstance(ip.data, dpkt.udp.UDP)
        if isinstance(record, JournalPacket):
            assert (ip.data.sport, ip.data.dport) == (RTP_PORT, RTP_PORT)
            rtp = dpkt.rtp.RTP(ip.data.data)
            assert (rtp.version, rtp.p, rtp.x, rtp.cc) == (2, 0, 0, 0)
            assert (rtp.m, rtp.pt) == (record.marker, TRACK.stream.payload_type)
            assert (rtp.seq, rtp.ts, rtp.ssrc) == (record.sequence & 0xFFFF, record.timestamp, TRACK.stream.ssrc)
            assert rtp.data == record.payload
        else:
            assert ip.data.dport == RTP_PORT + 1
            fields = struct.unpack("!BBHIQIII", ip.data.data)
            assert fields == (0x80, 200, 6, TRACK.stream.ssrc, record.ntp_timestamp, record.rtp_timestamp, 0, 0)


def test_the_headers_sum_is_right() -> None:
    made = writer()
    (_, ip) = datagrams(made.head() + made.packet(JournalPacket(ZERO_NS, 1, 2, True, b"payload")))[0]
    given_sum, ip.sum = ip.sum, 0
    assert dpkt.ip.IP(bytes(ip)).sum == given_sum != 0


def test_what_no_datagram_holds_is_left_out() -> None:
    made = writer()
    assert made.packet(JournalPacket(ZERO_NS, 1, 2, True, bytes(MAX_PAYLOAD_BYTES + 1))) == b""
    content = made.head() + made.packet(JournalPacket(ZERO_NS, 1, 2, True, bytes(MAX_PAYLOAD_BYTES)))
    assert len(datagrams(content)) == 1


def test_a_time_before_1970_is_1970() -> None:
    made = writer()
    ((at, _),) = datagrams(made.head() + made.packet(JournalPacket(-WALL_NS, 1, 2, False, b"x")))
    assert at == 0
