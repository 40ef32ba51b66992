"""Payment files as delimited text (CSV)."""

import csv
from collections.abc import Iterator
from io import StringIO
from typing import Literal

from cbi.payment_files.fixed import LINE_ENDS
from cbi.payment_files.profile import DELIMITERS, Profile
from cbi.payment_files.record import Batch, Cell, record, rows

QUOTING: dict[str, Literal[0, 1, 3]] = {
    "minimal": csv.QUOTE_MINIMAL,
    "all": csv.QUOTE_ALL,
    "none": csv.QUOTE_NONE,
}


def pieces(profile: Profile, batch: Batch) -> Iterator[bytes]:
    """Write the file line by line. ValueError names a column whose value does not fit."""
    for cells in lines(profile, batch):
        line = StringIO()
        writer = csv.writer(
            line,
            delimiter=DELIMITERS[profile.delimiter],
            quoting=QUOTING[profile.quoting],
            lineterminator=LINE_ENDS[profile.line_end],
        )
        try:
            writer.writerow([str(cell) for cell in cells])
        except csv.Error as error:
            raise ValueError("a text holds what parts one column from the next") from error
        yield line.getvalue().encode(profile.charset)


def lines(profile: Profile, batch: Batch) -> Iterator[list[Cell]]:
    """Return the cells of each line: header, titles, payments, trailer, as far as there are any."""
    if profile.header:
        yield record(profile, batch, "header")
    if profile.titles:
        yield [column.header for column in profile.columns]
    yield from rows(profile, batch)
    if profile.trailer:
        yield record(profile, batch, "trailer")
