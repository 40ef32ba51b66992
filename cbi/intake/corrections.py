"""A file like the one that came, of the faulty households, with what is wrong in a last column.

JSON has it in a member `faults` of each registration; an export of KoboToolbox beside its records,
by the submission's id. Sent in again after mending it is read like any file: what we wrote of
faults is known and passed over.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from io import BytesIO
from typing import NamedTuple

import msgspec
import xlsxwriter

from cbi.imported import RowFault
from cbi.intake import Format, csv_file, drop_downs, json_file, kobo, xlsx_file
from cbi.intake.annotate import Language, language_of
from cbi.intake.drop_downs import CREATED, OPTIONS
from cbi.intake.table import Line, Table, is_example, key_of, what_m_means
from cbi.intake.words import TOLD, fold
from cbi.refusal import FileUnreadable

_TITLES: Mapping[Language, str] = {"es": TOLD, "en": "faults"}
_WORDS = "Listas"
NOTES_CHARACTERS_MAX = 2_000
CELL_CHARACTERS_MAX = 32_767


class Note(NamedTuple):
    """What is wrong with one line, in words."""

    line: int
    text: str
    column: str = ""
    code: str = ""


# By sheet ("" unless several are read) and first line of a household: cbi.intake.Row says both.
Faults = Mapping[tuple[str, int], Sequence[Note]]


def notes(faults: Sequence[RowFault], language: Language) -> list[Note]:
    """What a corrections file says of a household's lines."""
    return [
        Note(
            each.row,
            f"{getattr(each, language)} {getattr(each, f'remedy_{language}')}".strip(),
            each.column,
            each.code,
        )
        for each in faults
    ]


def corrected(
    content: bytes,
    *,
    format: Format,  # noqa: A002
    faults: Faults,
    language: Language = "es",
) -> bytes:
    """The faulty households of a file that intake could read, with their faults."""
    match format:
        case "csv":
            return _csv(content, faults, _TITLES[language])
        case "xlsx":
            return _xlsx(content, faults, _TITLES[language])
        case "json":
            return _json(content, faults)
        case "ndjson":
            return _lines(content, faults)
        case "kobo":
            return _kobo(content, faults)


def _json(content: bytes, faults: Faults) -> bytes:
    if json_file.are_lines(content):
        return _lines(content, faults)
    kept = [
        _told(json_file.decode(item), faults["", number])
        for number, item in enumerate(json_file.items(content), start=1)
        if ("", number) in faults
    ]
    return msgspec.json.format(msgspec.json.encode(kept))


def _lines(content: bytes, faults: Faults) -> bytes:
    kept = []
    for number, line in enumerate(io.BytesIO(content), start=1):
        if ("", number) not in faults:
            continue
        try:
            item = json_file.decode(line)
        except FileUnreadable:
            item = line.decode("utf-8", "replace").rstrip("\r\n")
        kept.append(msgspec.json.encode(_told(item, faults["", number])) + b"\n")
    return b"".join(kept)


def _kobo(content: bytes, faults: Faults) -> bytes:
    records, told = [], {}
    for number, item in enumerate(kobo.submissions(content), start=1):
        if ("", number) not in faults:
            continue
        record = json_file.decode(item)
        instance = kobo.instance_of(record) if isinstance(record, dict) else ""
        told[instance or str(number)] = _members(faults["", number])
        records.append(record)
    whole = {"count": len(records), "results": records, json_file.FAULTS: told}
    return msgspec.json.format(msgspec.json.encode(whole))


def _told(item: object, faults: Sequence[Note]) -> dict[str, object]:
    """The registration with its faults; what is no object, as it was written, beside them."""
    if not isinstance(item, dict):
        item = {"not_read": item}
    return {**item, json_file.FAULTS: _members(faults)}


def _members(faults: Sequence[Note]) -> list[dict[str, str]]:
    return [{"column": each.column, "code": each.code, "says": each.text} for each in faults]


def _csv(content: bytes, faults: Faults, title: str) -> bytes:
    table, shape = csv_file.read(content)
    is_plain = shape.encoding == "utf-8-sig" and not content.startswith(b"\xef\xbb\xbf")
    written = BytesIO()
    text = io.TextIOWrapper(
        written, "utf-8" if is_plain else shape.encoding, errors="replace", newline=""
    )
    if shape.says_delimiter:
        text.write(f"sep={shape.delimiter}\r\n")
    writer = csv.writer(text, delimiter=shape.delimiter)
    for line in _kept(table, faults, title):
        writer.writerow(line.cells)
    text.flush()
    return written.getvalue()


def _xlsx(content: bytes, faults: Faults, title: str) -> bytes:
    written = BytesIO()
    book = xlsxwriter.Workbook(written, OPTIONS)
    book.set_properties({"created": CREATED})
    # A column of text keeps the zeros that are written into it while mending.
    as_text = book.add_format({"num_format": "@"})
    as_date = book.add_format({"num_format": "dd/mm/yyyy"})
    bold = book.add_format({"bold": True, "num_format": "@"})
    names: set[str] = set()
    tables = xlsx_file.read(content)
    # Sheets stand in the order in which they are made, and the words come last.
    sheets = []
    for number, table in enumerate(tables, start=1):
        name = _sheet_name(table.sheet, number, names)
        names.add(name.casefold())
        sheets.append(book.add_worksheet(name))
    words = _sheet_name(_WORDS, 0, names)
    language = language_of([title for table in tables for title in table.titles])
    ranges = drop_downs.lists(book.add_worksheet(words), language)
    for table, sheet in zip(tables, sheets, strict=True):
        sheet.set_column(0, len(table.titles), 18, as_text)
        sheet.freeze_panes(1, 0)
        for place, column in enumerate(table.names):
            drop_downs.offer(sheet, place, column, ranges)
        for row, line in enumerate(_kept(table, faults, title)):
            for place, cell in enumerate(line.cells):
                # The calendar of a spreadsheet begins in 1900.
                if line.kinds.get(place) == "date" and cell >= "1900-01-01":
                    sheet.write_datetime(row, place, date.fromisoformat(cell), as_date)
                elif cell:
                    form = bold if row == 0 else as_text
                    sheet.write_string(row, place, cell[:CELL_CHARACTERS_MAX], form)
    book.close()
    return written.getvalue()


def _kept(table: Table, faults: Faults, title: str) -> Iterator[Line]:
    """The header and the lines of faulty households, with the column of what is wrong."""
    names = table.names
    told = names.index(TOLD) if TOLD in names else len(names)
    code = names.index("codigo_hogar")
    sex = names.index("sexo") if "sexo" in names else None
    word = _word_for_m(table, sex)
    first: dict[str, int] = {}
    yield _with(table.header, told, title, width=len(names))
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
