"""`stemroom journal`: look into what a recording is made from."""

import contextlib
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from recorder.inspection import Inspection, line
from recorder.journal import JournalPacket, JournalReport, Record
from recorder.pcap import PcapWriter
from recorder.reader import JournalReader, JournalState
from stemroom.journal_records import every_record

journal = typer.Typer(help="Journals: the packets of a track as they came, in data/spool.", no_args_is_help=True)

COLUMNS = 60
"""Of the picture of the rate."""

BLOCKS = " ▁▂▃▄▅▆▇█"

ENDINGS = {
    JournalState.GROWING: "still written, read as far as it goes now",
    JournalState.ENDED: "ended by its writer",
    JournalState.TORN: "torn: its writer was gone before it could end it; all before the tear is good",
}


@journal.callback()
def _journal() -> None: ...


@journal.command()
def inspect(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A .journal file.")],
    records: Annotated[bool, typer.Option("--records", help="Print every record as a line of JSON instead.")] = False,
    pcap: Annotated[
        Path | None, typer.Option(help="Write its packets there, for Wireshark (Decode As: RTP, port 5004).")
    ] = None,
) -> None:
    """Say what is in a journal. It is only read, and may still be written."""
    inspection = Inspection()
    try:
        reader = JournalReader(file)
        with contextlib.closing(reader), _outputs(inspection, records, pcap) as give:
            for record in every_record(reader, "reading"):
                give(record)
        for text in () if records else _lines(inspection, reader, file):
            typer.echo("".join(c if c.isprintable() else "?" for c in text))
    except BrokenPipeError:  # whoever read what is printed has enough
        raise
    except OSError as error:
        raise _fail(f"{error.filename or file}: {error.strerror}") from None
    except (ValueError, OverflowError, struct.error) as error:
        raise _fail(f"{file}: its header is none that Stemroom writes: {error}") from None
    if inspection.header is None:
        raise _fail(f"{file}: {reader.problem or 'it has no header: nothing was written to it'}")


@contextlib.contextmanager
def _outputs(inspection: Inspection, records: bool, pcap: Path | None) -> Iterator[Callable[[Record], None]]:
    """Where each record goes. A capture file that does not get whole is removed."""
    if pcap is None:
        yield lambda record: _take(inspection, records, record)
        return
    draft = pcap.with_name(pcap.name + ".part")
    with draft.open("xb") as out:
        try:
            capture = _Capture(out)

            def give(record: Record) -> None:
                _take(inspection, records, record)
                capture.take(record, inspection)

            yield give
        except BaseException:
            draft.unlink()
            raise
    draft.replace(pcap)


def _take(inspection: Inspection, records: bool, record: Record) -> None:
    inspection.take(record)
    if records:
        zero_ns = inspection.header.recording.zero_monotonic_ns if inspection.header is not None else 0
        sys.stdout.write(msgspec.json.encode(line(record, zero_ns)).decode() + "\n")


class _Capture:
    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._writer: PcapWriter | None = None

    def take(self, record: Record, inspection: Inspection) -> None:
        if self._writer is None:
            header = inspection.header
            if header is None or header.track is None:
                raise _fail("this is the journal of events of a recording: it has no packets for a capture file")
            self._writer = PcapWriter(header, header.track)
            self._out.write(self._writer.head())
        elif isinstance(record, JournalPacket):
            self._out.write(self._writer.packet(record))
        elif isinstance(record, JournalReport):
            self._out.write(self._writer.report(record))


def _lines(inspection: Inspection, reader: JournalReader, file: Path) -> Iterator[str]:
    header = inspection.header
    if header is None:
        return
    track, ids = header.track, header.recording
    yield f"file        {file.name}, {_size(file.stat().st_size)}"
    yield f"state       {ENDINGS[reader.state]}"
    if reader.torn_bytes:
        yield f"torn        {reader.torn_bytes} bytes at the end belong to no good record. {reader.problem}".rstrip()
    yield f"recording   {ids.recording_id} of session {ids.session_id}"
    opened = datetime.fromtimestamp(header.opened_wall_ns / 1e9, UTC)
    yield f"opened      {opened:%Y-%m-%d %H:%M:%S} UTC, {_time(inspection.session_ns(header.opened_monotonic_ns))}"
    if track is None:
        yield f"events      {sum(inspection.events.values())}"
        for name, count in sorted(inspection.events.items()):
            yield f"            {count:6} {name}"
    else:
        stream = track.stream
        rid = f", layer {stream.rid}" if stream.rid else ""
        yield f"track       {track.kind} of {track.participant_id}: take {track.take_id}, segment {track.segment_id}"
        yield f"stream      {stream.codec}, {stream.clock_rate_hz} Hz, SSRC {stream.ssrc}{rid}"
        yield f"packets     {inspection.packets}, {_size(inspection.payload_bytes)} without headers"
        if inspection.packets:
            yield f"arrived     {_time(inspection.first_ns)} to {_time(inspection.last_ns)} of the session"
        yield f"missing     {inspection.missing}; came more than once: {inspection.repeated}"
        yield f"dropped     {inspection.dropped} that the writer had no room for"
        yield f"reports     {inspection.reports} of the sender's clock"
        if inspection.mutes:
            yield f"muted       {inspection.mutes} times"
        for picture in inspection.pictures:
            rid = f", layer {picture.rid}" if picture.rid else ""
            at = _time(inspection.session_ns(picture.arrival_ns))
            yield f"picture     {picture.width}x{picture.height}{rid} from {at} on"
        if (reception := inspection.reception) is not None:
            yield (
                f"line        {reception.missed} of {reception.received} packets did not come in their turn:"
                f" {reception.reordered} overtaken, {reception.repaired} repaired, {reception.given_up} given up;"
                f" round trip {f'{reception.round_trip_us / 1000:.0f} ms' if reception.round_trip_us else 'not known'}"
            )
        if inspection.promised is not None and inspection.promised != inspection.packets:
            yield f"PROBLEM     its writer ended it with {inspection.promised} packets, {inspection.packets} are there"
        yield from _picture(inspection.bytes_by_second)
    if reader.skipped:
        yield f"skipped     {reader.skipped} records of a later version of Stemroom"


def _picture(bytes_by_second: dict[int, int]) -> Iterator[str]:
    """The rate over time, a column for each share of it."""
    if not bytes_by_second:
        return
    first, last = min(bytes_by_second), max(bytes_by_second)
    columns = min(COLUMNS, last - first + 1)
    seconds = [0.0] * columns
    totals = [0.0] * columns
    for second in range(first, last + 1):
        column = (second - first) * columns // (last - first + 1)
        seconds[column] += 1
        totals[column] += bytes_by_second.get(second, 0)
    rates = [8 * total / count / 1000 for total, count in zip(totals, seconds, strict=True)]
    yield f"rate        {bars(rates)} 0 to {max(rates):.0f} kbit/s"


def bars(values: Sequence[float]) -> str:
    """A column of eight heights for each value; what is above zero is seen."""
    most = max(values)
    return "".join(BLOCKS[min(8, -int(-8 * value // most))] if value > 0 else BLOCKS[0] for value in values)


def _time(nanoseconds: int) -> str:
    """h:mm:ss.mmm on the session clock, which began with the session."""
    sign = "-" if nanoseconds < 0 else ""
    milliseconds = abs(nanoseconds) // 1_000_000
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def _size(count: int) -> str:
    if count < 10_000:
        return f"{count} bytes"
    return f"{count / 1e6:.2f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _fail(text: str) -> typer.Exit:
    typer.echo(text, err=True)
    return typer.Exit(1)
