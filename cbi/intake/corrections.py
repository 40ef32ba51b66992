"""A file like the one that came, of the faulty households, with what is wrong in a last column.

Sent in again after mending it is read like any file: the last column is known and passed over.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from io import BytesIO
from typing import Literal, NamedTuple

import xlsxwriter

from cbi.intake import csv_file, xlsx_file
from cbi.intake.table import Line, Table, is_example, key_of, what_m_means
from cbi.intake.words import TOLD, fold

NOTES_CHARACTERS_MAX = 2_000
CELL_CHARACTERS_MAX = 32_767
# The moment of writing would make each writing another file.
CREATED = datetime(2000, 1, 1)  # noqa: DTZ001 -- the format has no time zone
OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


class Note(NamedTuple):
    """What is wrong with one line, in words."""

    line: int
    text: str


# By sheet ("" unless several are read) and first line of a household: cbi.intake.Row says both.
Faults = Mapping[tuple[str, int], Sequence[Note]]


def corrected(content: bytes, *, format: Literal["csv", "xlsx"], faults: Faults) -> bytes:  # noqa: A002
    """The lines of the faulty households of a file that intake could read."""
    if format == "csv":
        return _csv(content, faults)
    return _xlsx(content, faults)


def _csv(content: bytes, faults: Faults) -> bytes:
    table, shape = csv_file.read(content)
    is_plain = shape.encoding == "utf-8-sig" and not content.startswith(b"\xef\xbb\xbf")
    written = BytesIO()
    text = io.TextIOWrapper(
        written, "utf-8" if is_plain else shape.encoding, errors="replace", newline=""
    )
    if shape.says_delimiter:
        text.write(f"sep={shape.delimiter}\r\n")
    writer = csv.writer(text, delimiter=shape.delimiter)
    for line in _kept(table, faults):
        writer.writerow(line.cells)
    text.flush()
    return written.getvalue()


def _xlsx(content: bytes, faults: Faults) -> bytes:
    written = BytesIO()
    book = xlsxwriter.Workbook(written, OPTIONS)
    book.set_properties({"created": CREATED})
    # A column of text keeps the zeros that are written into it while mending.
    as_text = book.add_format({"num_format": "@"})
    as_date = book.add_format({"num_format": "dd/mm/yyyy"})
    title = book.add_format({"bold": True, "num_format": "@"})
    names: set[str] = set()
    for number, table in enumerate(xlsx_file.read(content), start=1):
        name = _sheet_name(table.sheet, number, names)
        sheet = book.add_worksheet(name)
        names.add(name.casefold())
        sheet.set_column(0, len(table.titles), 18, as_text)
        sheet.freeze_panes(1, 0)
        for row, line in enumerate(_kept(table, faults)):
            for place, cell in enumerate(line.cells):
                # The calendar of a spreadsheet begins in 1900.
                if line.kinds.get(place) == "date" and cell >= "1900-01-01":
                    sheet.write_datetime(row, place, date.fromisoformat(cell), as_date)
                elif cell:
                    form = title if row == 0 else as_text
                    sheet.write_string(row, place, cell[:CELL_CHARACTERS_MAX], form)
    book.close()
    return written.getvalue()


def _kept(table: Table, faults: Faults) -> Iterator[Line]:
    """The header and the lines of faulty households, with the column of what is wrong."""
    names = table.names
    told = names.index(TOLD) if TOLD in names else len(names)
    code = names.index("codigo_hogar")
    sex = names.index("sexo") if "sexo" in names else None
    word = _word_for_m(table, sex)
    first: dict[str, int] = {}
    yield _with(table.header, told, TOLD, width=len(names))
    for line in table.below():
        reference = line.cells[code].strip() if code < len(line.cells) else ""
        if is_example(reference):
            continue
        household = first.setdefault(key_of(reference, line.number), line.number)
        notes = faults.get((table.sheet, household))
        if notes is None:
            continue
        # What is wrong with a column stands above the household, and is told on its first line.
        own = [
            note.text
            for note in notes
            if note.line == line.number or note.line < household == line.number
        ]
        text = " | ".join(own)[:NOTES_CHARACTERS_MAX]
        yield _with(_spelled_out(line, sex, word), told, text, width=len(names))


def _word_for_m(table: Table, sex: int | None) -> str:
    """What a bare M means beside the words of the whole file; few of its lines would not say."""
    if sex is None:
        return ""
    seen = {line.cells[sex].strip()[:20] for line in table.below() if sex < len(line.cells)}
    return {"F": "mujer", "M": "hombre"}.get(what_m_means(seen), "")


def _spelled_out(line: Line, sex: int | None, word: str) -> Line:
    if sex is None or not word or sex >= len(line.cells) or fold(line.cells[sex]) != "m":
        return line
    return line._replace(cells=[*line.cells[:sex], word, *line.cells[sex + 1 :]])


def _with(line: Line, told: int, text: str, *, width: int) -> Line:
    """The line with that text in the told column; cells too many stay behind it, and too many."""
    cells = [*line.cells, *[""] * (width - len(line.cells))]
    if told < width:
        cells[told] = text
    else:
        cells.insert(told, text)
    kinds = {place + (place >= told == width): kind for place, kind in line.kinds.items()}
    return Line(line.number, cells, kinds, line.is_hidden)


def _sheet_name(name: str, number: int, taken: set[str]) -> str:
    plain = re.sub(r"[\[\]:*?/\\']", " ", name).strip()[:31]
    if not plain or plain.casefold() in taken or plain.casefold() == "history":
        return f"Hogares {number}"
    return plain
