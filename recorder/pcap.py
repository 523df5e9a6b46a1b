"""A track's journal as a capture file that Wireshark opens. A core.

The packets as the publisher sent them, decrypted and without their header extensions, which the journal does not have:
RTP to 127.0.0.1 port RTP_PORT, sender reports as RTCP to the port above (RFC 3550 11), in IPv4 (RFC 791) and UDP
(RFC 768) headers made up for it. Times are wall time by the recording's zero, in nanoseconds (libpcap's format with the
magic number for them).
"""

import struct

from recorder.journal import FileHeader, JournalPacket, JournalReport, TrackHeader

RTP_PORT = 5004
"""Registered for RTP (RFC 3551 8); Wireshark needs to be told all the same: Decode As, RTP."""

MAX_PAYLOAD_BYTES = 65_000
"""No datagram holds more. What a journal has beyond it, no publisher sent: it is left out."""

_FILE = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 0xFFFF, 101)
"""Version 2.4, raw IP (LINKTYPE_RAW)."""
_PACKET = struct.Struct("<IIII")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_RTP = struct.Struct("!BBHII")
_SENDER_REPORT = struct.Struct("!BBHIQIII")
_LOOPBACK = bytes((127, 0, 0, 1))
_UDP_PROTOCOL, _TIME_TO_LIVE = 17, 64
_SENDER_REPORT_TYPE = 200


class PcapWriter:
    """`head()` once, then `packet` and `report` in the journal's order."""

    def __init__(self, header: FileHeader, track: TrackHeader) -> None:
        self._offset_ns = header.recording.zero_wall_ns - header.recording.zero_monotonic_ns
        self._stream = track.stream

    @staticmethod
    def head() -> bytes:
        return _FILE

    def packet(self, packet: JournalPacket) -> bytes:
        """Empty: longer than any datagram."""
        arrival_ns, sequence, timestamp, marker, payload = packet
        if len(payload) > MAX_PAYLOAD_BYTES:
            return b""
        kind = marker << 7 | self._stream.payload_type & 0x7F
        rtp = _RTP.pack(0x80, kind, sequence & 0xFFFF, timestamp, self._stream.ssrc) + payload
        return self._datagram(arrival_ns, RTP_PORT, rtp)

    def report(self, report: JournalReport) -> bytes:
        """A sender report without counts of packets and octets, which the journal does not keep."""
        arrival_ns, ntp, timestamp = report
        words = _SENDER_REPORT.size // 4 - 1
        rtcp = _SENDER_REPORT.pack(0x80, _SENDER_REPORT_TYPE, words, self._stream.ssrc, ntp, timestamp, 0, 0)
        return self._datagram(arrival_ns, RTP_PORT + 1, rtcp)

    def _datagram(self, arrival_ns: int, port: int, content: bytes) -> bytes:
        seconds, nanoseconds = divmod(max(0, arrival_ns + self._offset_ns), 1_000_000_000)
        size = _IPV4.size + _UDP.size + len(content)
        ip = (0x45, 0, size, 0, 0, _TIME_TO_LIVE, _UDP_PROTOCOL)
        head = _IPV4.pack(*ip, _checksum(_IPV4.pack(*ip, 0, _LOOPBACK, _LOOPBACK)), _LOOPBACK, _LOOPBACK)
        udp = _UDP.pack(port, port, _UDP.size + len(content), 0)  # 0: no checksum was made (RFC 768)
        return _PACKET.pack(seconds & 0xFFFFFFFF, nanoseconds, size, size) + head + udp + content


def _checksum(header: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
