"""An XLSX workbook from outside: looked through before anything unfolds it.

`python-calamine` lays a sheet out as a full rectangle of cells in memory, so one far-off cell, or
a part that grows a thousandfold, would take all of it. What is inside is therefore measured first,
as a stream: bytes as they unfold, whatever the file declares, and where its cells stand.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, BinaryIO, cast

import python_calamine
from lxml import etree
from lxml.etree import _Element as Element

from ledger.formats.xml import Unreadable

BYTES_MAX = 64 * 1024 * 1024
UNFOLDED_MAX = 512 * 1024 * 1024
PART_MAX = 256 * 1024 * 1024
PARTS_MAX = 1_000
ROWS_MAX = 200_000
COLUMNS_MAX = 256
CELLS_MAX = 5_000_000
SHARED_MAX = 1024**3
PIECE_BYTES = 256 * 1024
CELL = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
PART_SIGN = b"PK\x01\x02"
TOO_LARGE = "unfolds to more than is allowed"
NOT_A_WORKBOOK = "not an XLSX workbook"


def rows(file: BinaryIO, sheet: str = "") -> Iterator[tuple[int, Sequence[object]]]:
    """Yield each row of a sheet (the first unless named) with its number; Unreadable otherwise."""
    measure(file)
    file.seek(0)
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(file)
        found = book.get_sheet_by_name(sheet) if sheet else book.get_sheet_by_index(0)
        content = found.to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, ValueError, IndexError, OSError):
        raise Unreadable("/", NOT_A_WORKBOOK) from None
    except BaseException as error:
        # What the library's own language calls a panic is no Exception here.
        if type(error).__name__ != "PanicException":
            raise
        raise Unreadable("/", NOT_A_WORKBOOK) from None
    yield from enumerate(content, start=1)


def measure(file: BinaryIO) -> None:
    """Refuse a workbook that would unfold to more than is allowed."""
    _measure_folded(file)
    box = _Box()
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            _measure_declared(parts)
            for number, part in enumerate(parts, start=1):
                # What the directory says is not believed: the part is unfolded up to its limit.
                part.file_size = PART_MAX + 1
                with archive.open(part) as content:
                    _measure_part(content, box, f"part {number}")
    except Unreadable:
        raise
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError),
        *(NotImplementedError, OverflowError, IndexError, KeyError, struct.error),
    ):
        raise Unreadable("/", NOT_A_WORKBOOK) from None
    # A text that many cells share is laid out for each of them.
    if box.cells > CELLS_MAX or box.shared * box.longest > SHARED_MAX:
        raise Unreadable("/", TOO_LARGE)


def _measure_folded(file: BinaryIO) -> None:
    """Refuse by what can be told before the directory is read."""
    file.seek(0)
    size, parts, tail = 0, 0, b""
    while piece := file.read(PIECE_BYTES):
        size += len(piece)
        parts += (tail + piece).count(PART_SIGN)
        tail = piece[1 - len(PART_SIGN) :]
        if size > BYTES_MAX or parts > PARTS_MAX:
            raise Unreadable("/", TOO_LARGE)
    file.seek(0)


def _measure_declared(parts: Sequence[zipfile.ZipInfo]) -> None:
    if sum(part.file_size for part in parts) > UNFOLDED_MAX:
        raise Unreadable("/", TOO_LARGE)


def _measure_part(content: IO[bytes], box: "_Box", where: str) -> None:
    """Add a part's cells and texts to the box, if it is XML."""
    parser = etree.XMLPullParser(
        events=("start", "end"),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    size, is_xml = 0, None
    box.begin()
    while piece := content.read(PIECE_BYTES):
        size += len(piece)
        if size > PART_MAX:
            raise Unreadable(where, TOO_LARGE)
        if is_xml is None:
            is_xml = piece.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
            if is_xml and b"<!DOCTYPE" in piece:
                raise Unreadable(where, "document types and entities are refused")
        if is_xml:
            try:
                parser.feed(piece)
                box.add(parser)
            except etree.XMLSyntaxError:
                raise Unreadable(where, "not well-formed XML") from None


class _Box:
    """The largest rectangle from A1 that holds the cells of a part, and the texts they share."""

    def __init__(self) -> None:
        self.cells = self.shared = self.longest = 0
        self.begin()

    def begin(self) -> None:
        self._row = self._column = self._rows = self._columns = 0

    def add(self, parser: etree.XMLPullParser) -> None:
        for event, element in cast("Iterator[tuple[str, Element]]", parser.read_events()):
            tag = str(element.tag).rpartition("}")[2]
            if event == "start":
                if tag == "row":
                    given = element.get("r") or ""
                    self._row = int(given) if given.isdecimal() else self._row + 1
                    self._column = 0
                continue
            if tag == "c":
                self._cell(element)
            elif tag == "si":
                self.longest = max(
                    self.longest, len("".join(str(text) for text in element.itertext()))
                )
            parent = element.getparent()
            if parent is not None and tag in {"c", "row", "si"}:
                element.clear()
                while element.getprevious() is not None:
                    del parent[0]

    def _cell(self, element: Element) -> None:
        found = CELL.fullmatch((element.get("r") or "").upper())
        self._column += 1
        if found is not None:
            self._row, self._column = int(found[2]), 0
            for letter in found[1]:
                self._column = self._column * 26 + ord(letter) - ord("A") + 1
        self._rows = max(self._rows, self._row)
        self._columns = max(self._columns, self._column)
        if self._rows > ROWS_MAX or self._columns > COLUMNS_MAX:
            raise Unreadable("/", f"more than {ROWS_MAX} rows or {COLUMNS_MAX} columns")
        self.cells = max(self.cells, self._rows * self._columns)
        self.shared += element.get("t") == "s"
