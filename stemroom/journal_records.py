"""Reading a journal from the command line."""

import sys
from collections.abc import Iterator

import typer

from recorder.journal import Record
from recorder.reader import JournalReader, JournalState

STALLED_READS = 3
"""Of a journal that is still written: so many reads without a whole record more, and all that is there was read. The
longest record needs two."""


def every_record(reader: JournalReader, label: str) -> Iterator[Record]:
    """All records there are now, with a bar on a terminal. Raises OSError."""
    size = max(1, reader.path.stat().st_size)
    with typer.progressbar(length=size, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        stalled = 0
        while reader.state is JournalState.GROWING and stalled < STALLED_READS:
            before = reader.good_bytes
            yield from reader.read()
            bar.update(reader.good_bytes - before)
            stalled = 0 if reader.good_bytes > before else stalled + 1
