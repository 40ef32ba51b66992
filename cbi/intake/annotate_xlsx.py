"""Give a workbook back as it came, with three more columns in each sheet that has our header.

Only those sheets are written anew, and of them only rows from the header on; formats, drop-downs,
protection and other sheets stay.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from typing import IO, NamedTuple, cast

import msgspec
from lxml import etree
from lxml.etree import _Element as Element

from cbi.answered import Answer
from cbi.intake import xlsx_file
from cbi.intake.annotate import TITLES, Language, Note, language_of, note
from cbi.intake.cell import place_of
from cbi.intake.source import PIECE_BYTES, Row
from cbi.intake.table import Table, key_of
from cbi.intake.words import fold
from cbi.intake.workbook import PARSER_OPTIONS, Part, Workbook
from cbi.refusal import FileUnreadable

# What stands above the rows: views, widths of columns.
HEAD_BYTES_MAX = 8 * 1024 * 1024
_END_BYTES_MAX = 100
_BEGIN = re.compile(rb"<(?:[A-Za-z0-9]+:)?sheetData(?:\s[^>]*)?>")
_END = re.compile(rb"</(?:[A-Za-z0-9]+:)?sheetData\s*>")
_DECLARED = re.compile(rb' xmlns(?::[^\s=]+)?="[^"]*"')
_DIMENSION = re.compile(rb"<(?:[A-Za-z0-9]+:)?dimension\s[^>]*/>")
_COLUMN = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BROKEN = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, OSError, ValueError),
    *(RuntimeError, NotImplementedError, IndexError, KeyError, struct.error),
)
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"


class _Told(NamedTuple):
    """What to write into one sheet: from which column, and three texts by row."""

    first: int
    rows: Mapping[int, Sequence[str]]


def annotate_xlsx(content: bytes, answers: Sequence[tuple[Row, Answer]]) -> bytes:
    """Return a workbook with three more columns, each line with what is said of its household.

    `answers` are those of the households of `xlsx_file.rows`. Raises FileUnreadable as it does.
    """
    book = Workbook(content)
    tables = xlsx_file.read(content)
    told = {_part(book, table).path: _told(table, answers) for table in tables}
    try:
        return _written(content, told)
    except _BROKEN:
        # A part that nobody reads may be damaged, too.
        raise FileUnreadable(line=0, reason="not_a_workbook") from None


def _written(content: bytes, told: Mapping[str, _Told]) -> bytes:
    out = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(content)) as given,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for info in given.infolist():
            texts = told.get(info.filename.lstrip("/"))
            if texts is None:
                with given.open(info) as source, made.open(info.filename, "w") as target:
                    while piece := source.read(PIECE_BYTES):
                        target.write(piece)
            else:
                with given.open(info) as source, made.open(info.filename, "w") as target:
                    _sheet(source, target, texts)
    return out.getvalue()


def _part(book: Workbook, table: Table) -> Part:
    """Find the sheet that a table was read from: the one whose name and header it has."""
    titles = [title for title in table.titles if title]
    for part in book.sheets:
        if table.sheet not in ("", " ".join(part.name.split())[:31]):
            continue
        for row in islice(book.rows(part), table.header.number):
            texts = [text.strip() for _, text, _ in row.cells if text.strip()]
            if (row.number, texts) == (table.header.number, titles):
                return part
    raise FileUnreadable(line=1, reason="header_missing")


def _told(table: Table, answers: Sequence[tuple[Row, Answer]]) -> _Told:
    titles = list(table.titles)
    while titles and not titles[-1]:
        titles.pop()
    language: Language = language_of(titles)
    again = [fold(title) for title in titles[-3:]] == list(TITLES[language])
    rows = [row for row, _ in answers]
    notes: dict[str, Note] = {
        key_of(row.reference, row.number): note(answer, row, language, rows=rows)
        for row, answer in answers
        if row.sheet == table.sheet
    }
    code = table.names.index("codigo_hogar")
    texts: dict[int, Sequence[str]] = {table.header.number: TITLES[language]}
    width = len(titles)
    for line in table.below():
        reference = line.cells[code].strip() if code < len(line.cells) else ""
        told = notes.get(key_of(reference, line.number))
        texts[line.number] = msgspec.structs.astuple(told) if told is not None else ("", "", "")
        width = max(width, len(line.cells))
    return _Told(len(titles) - 3 if again else width, texts)


def _sheet(given: IO[bytes], made: IO[bytes], told: _Told) -> None:
    """Write three cells into each row that is told of; one row is held at a time.

    What stands before the rows and behind them goes through as it is.
    """
    parser = etree.XMLPullParser(
        events=("end",),
        tag=["{*}row", "{*}sheetData"],
        **PARSER_OPTIONS,  # type: ignore[arg-type]
    )
    number, before, piece = 0, b"", _head(given, made)
    while piece:
        for element in _fed(parser, piece):
            if str(element.tag).endswith("}sheetData"):
                made.write(_behind(before[-_END_BYTES_MAX:] + piece))
                while piece := given.read(PIECE_BYTES):
                    made.write(piece)
                return
            number = _number(element, number)
            made.write(_row(element, number, told))
            _forget(element)
        before, piece = piece, given.read(PIECE_BYTES)
    raise FileUnreadable(line=0, reason="not_a_workbook")


def _head(given: IO[bytes], made: IO[bytes]) -> bytes:
    """Write what stands above the rows; return what was read until then."""
    head = b""
    while piece := given.read(PIECE_BYTES):
        head += piece
        if (begin := _BEGIN.search(head)) is not None:
            # Where the sheet ends is a hint only, and no longer right.
            made.write(_DIMENSION.sub(b"", head[: begin.end()]))
            return head
        if len(head) > HEAD_BYTES_MAX:
            raise FileUnreadable(line=0, reason="workbook_unfolds")
    raise FileUnreadable(line=0, reason="not_a_workbook")


def _behind(read: bytes) -> bytes:
    """What stands behind the rows, of what was read until there and beyond."""
    ends = list(_END.finditer(read))
    if not ends:
        raise FileUnreadable(line=0, reason="not_a_workbook")
    return read[ends[-1].start() :]


def _fed(parser: "etree.XMLPullParser", piece: bytes) -> Iterator[Element]:
    try:
        parser.feed(piece)
    except etree.XMLSyntaxError:
        raise FileUnreadable(line=0, reason="not_a_workbook") from None
    for _, element in cast("Iterator[tuple[str, Element]]", parser.read_events()):
        yield element


def _forget(row: Element) -> None:
    """Let go of a row that is written, and of those before it."""
    parent = row.getparent()
    row.clear()
    while parent is not None and row.getprevious() is not None:
        del parent[0]


def _number(row: Element, before: int) -> int:
    given = row.get("r") or ""
    return int(given) if given.isdecimal() and len(given) < 8 else before + 1


def _row(row: Element, number: int, told: _Told) -> bytes:
    texts = told.rows.get(number)
    if texts is not None:
        _write(row, number, told.first, texts)
    row.tail = None
    # References to characters are right under whatever encoding the sheet declares.
    written: bytes = etree.tostring(row, encoding="us-ascii", xml_declaration=False)
    parent = row.getparent()
    if parent is None or row.nsmap != parent.nsmap:
        return written
    # What names declare is declared above the rows already.
    return _DECLARED.sub(b"", written, count=len(row.nsmap))


def _write(row: Element, number: int, first: int, texts: Sequence[str]) -> None:
    if "spans" in row.attrib:
        del row.attrib["spans"]
    namespace = str(row.tag).rpartition("}")[0] + "}" if "}" in str(row.tag) else ""
    behind, style, place = None, None, -1
    for cell in list(row):
        found = _COLUMN.fullmatch(cell.get("r") or "")
        place = place_of(found[1]) if found is not None else place + 1
        if first <= place < first + len(texts):
            row.remove(cell)
        elif place >= first and behind is None:
            behind = cell
        elif place < first:
            style = cell.get("s")
    at = len(row) if behind is None else row.index(behind)
    for step, text in enumerate(texts):
        cell = etree.Element(f"{namespace}c", r=f"{_letters(first + step)}{number}", t="inlineStr")
        if style is not None and tuple(texts) in TITLES.values():
            cell.set("s", style)
        inner = etree.SubElement(etree.SubElement(cell, f"{namespace}is"), f"{namespace}t")
        inner.text = _NO_XML.sub(" ", text)
        inner.set(_SPACE, "preserve")
        row.insert(at + step, cell)


def _letters(place: int) -> str:
    letters, place = "", place + 1
    while place:
        place, letter = divmod(place - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters
