"""XLSX as partners fill it in: the sheets that have our header, line by line.

Nothing is laid out in memory: a sheet is read as a stream, so that a far-off cell or a million
formatted rows cost nothing; to be read again, lines are kept packed. Of all that a workbook may
hold, these are read: texts, numbers, dates by their format, yes and no, and what was merged, which
is carried down its column.
"""

import re
from collections.abc import Iterator
from itertools import islice

from cbi.intake import table
from cbi.intake.cell import place_of
from cbi.intake.source import COLUMNS_MAX, Kind, Row
from cbi.intake.spool import Spool
from cbi.intake.table import HEADER_LINE_MAX, Line, Table
from cbi.intake.workbook import Part, Workbook
from cbi.refusal import FileUnreadable

_MERGED_ROWS_MAX = 200


def rows(content: bytes) -> Iterator[Row]:
    """The households of a workbook; see cbi.intake.table."""
    return table.rows(read(content))


def read(content: bytes) -> list[Table]:
    """Every sheet that has our header; they are named only when there are several."""
    book = Workbook(content)
    found = []
    for part in book.sheets:
        header = table.header_of(islice(_lines(book, part), HEADER_LINE_MAX))
        if header is not None:
            found.append((part, header))
    if not found:
        raise FileUnreadable(line=1, reason="header_missing")
    several = len(found) > 1
    return [_table(book, part, header, several=several) for part, header in found]


def _table(book: Workbook, part: Part, header: Line, *, several: bool) -> Table:
    merged = _down(book.merged(part), header.number)

    def below() -> Iterator[Line]:
        lines = (line for line in _lines(book, part) if line.number > header.number)
        return _carried(lines, merged) if merged else lines

    # The sheet's name as the file has it, but no longer than a spreadsheet allows.
    return Table(header, Spool(below), " ".join(part.name.split())[:31] if several else "")


def _lines(book: Workbook, part: Part) -> Iterator[Line]:
    for row in book.rows(part):
        cells: list[str] = []
        kinds: dict[int, Kind] = {}
        for place, text, kind in row.cells:
            if not text.strip():
                continue
            # Cells stand in order; whoever wrote them otherwise didn't use a spreadsheet.
            if place < len(cells):
                raise FileUnreadable(line=row.number, reason="not_a_workbook")
            if place > COLUMNS_MAX:
                raise FileUnreadable(line=row.number, reason="too_many_columns")
            cells.extend([""] * (place - len(cells)))
            cells.append(text)
            if kind != "text":
                kinds[place] = kind
        if cells:
            yield Line(row.number, cells, kinds, row.is_hidden)


def _down(ranges: list[str], header: int) -> dict[int, list[tuple[int, int]]]:
    """By first row: columns merged over several rows below the header, and their last row."""
    down: dict[int, list[tuple[int, int]]] = {}
    for each in ranges:
        found = re.fullmatch(r"([A-Z]{1,3})([0-9]{1,7}):[A-Z]{1,3}([0-9]{1,7})", each)
        if found is None:
            continue
        first, last = int(found[2]), int(found[3])
        if header < first < last <= first + _MERGED_ROWS_MAX:
            down.setdefault(first, []).append((place_of(found[1]), last))
    return down


def _carried(lines: Iterator[Line], merged: dict[int, list[tuple[int, int]]]) -> Iterator[Line]:
    """Give each line of a merged range the value that stands in its first cell only."""
    held: dict[int, tuple[int, str, Kind]] = {}
    for line in lines:
        held = {place: each for place, each in held.items() if each[0] >= line.number}
        cells, kinds = list(line.cells), dict(line.kinds)
        for place, (_, text, kind) in held.items():
            cells.extend([""] * (place + 1 - len(cells)))
            if not cells[place].strip():
                cells[place] = text
                if kind != "text":
                    kinds[place] = kind
        for place, last in merged.get(line.number, ()):
            if place < len(cells):
                held[place] = (last, cells[place], kinds.get(place, "text"))
        yield Line(line.number, cells, kinds, line.is_hidden)
