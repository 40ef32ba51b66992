"""Payment files whose fields have fixed widths: one record a line."""

from collections.abc import Iterator, Sequence

from cbi.payment_files.profile import Column, Profile
from cbi.payment_files.record import Batch, Cell, record, rows

LINE_ENDS = {"crlf": "\r\n", "lf": "\n"}


def pieces(profile: Profile, batch: Batch) -> Iterator[bytes]:
    """Write the file line by line. ValueError names a column whose value does not fit."""
    end = LINE_ENDS[profile.line_end]
    for part in ("header", "columns", "trailer"):
        columns: tuple[Column, ...] = getattr(profile, part)
        if not columns:
            continue
        lines = rows(profile, batch) if part == "columns" else [record(profile, batch, part)]
        for cells in lines:
            yield (_line(columns, cells) + end).encode(profile.charset)


def _line(columns: Sequence[Column], cells: Sequence[Cell]) -> str:
    return "".join(_padded(*each) for each in zip(columns, cells, strict=True))


def _padded(column: Column, cell: Cell) -> str:
    assert column.width is not None
    filler = "0" if column.pad == "zero" else " "
    text = str(cell)
    padded = text.rjust if column.align == "right" else text.ljust
    return padded(column.width, filler)
