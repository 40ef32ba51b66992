"""An XLSX workbook from outside, read as a stream with limits before anything unfolds.

A workbook is a zip of XML parts (ECMA-376). Sizes and ratios are refused as the directory declares
them, and no part is read beyond what it declares. A sheet is walked row by row; of it nothing is
kept but the row at hand.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from io import BytesIO
from typing import IO, NamedTuple, cast

from lxml import etree
from lxml.etree import _Element as Element

from cbi.intake.cell import Styles, joined, read_cell
from cbi.intake.source import LINES_MAX, PIECE_BYTES, Kind
from cbi.refusal import FileUnreadable

PARTS_MAX = 1_000
SHEETS_MAX = 50
UNFOLDED_MAX = 1024**3
SMALL_MAX = 8 * 1024 * 1024
SHARED_MAX = 256 * 1024 * 1024
SHARED_TEXTS_MAX = 10 * LINES_MAX
# What repeats in a sheet folds well, but a part that grows more than this was made to.
RATIO_MAX = 200
RATIO_FROM_BYTES = 16 * 1024 * 1024
# A row has 16,384 cells at most; whatever is longer never ends.
ROW_BYTES_MAX = 8 * 1024 * 1024
ROW_MAX = 1_048_576
# As many lines as a file may have, of more columns than our template has.
CELLS_MAX = 80 * LINES_MAX
MERGED_MAX = 500_000
_PART_SIGN = b"PK\x01\x02"
_ENCRYPTED_BIT = 0x1
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError),
    *(NotImplementedError, OverflowError, IndexError, KeyError, struct.error, SyntaxError),
)
_MERGED = re.compile(rb"""<(?:[A-Za-z0-9]+:)?mergeCell\s[^>]*?ref\s*=\s*["']([A-Z0-9:]{1,30})""")


class Part(NamedTuple):
    """A sheet's name and where it stands in the zip."""

    name: str
    path: str


class SheetRow(NamedTuple):
    """A row of a sheet: the place (from 0), text and kind of each cell it has."""

    number: int
    is_hidden: bool
    cells: list[tuple[int, str, Kind]]


class Workbook:
    """A workbook whose sheets can be read as often as one likes. Raises FileUnreadable."""

    def __init__(self, content: bytes) -> None:
        _refuse_others(content)
        try:
            self._archive = zipfile.ZipFile(BytesIO(content))
            parts = {each.filename.lstrip("/"): each for each in self._archive.infolist()}
        except _BROKEN:
            raise FileUnreadable(line=0, reason="not_a_workbook") from None
        self._parts = parts
        _refuse_large(list(parts.values()))
        if "xl/workbook.bin" in parts or "mimetype" in parts:
            raise FileUnreadable(line=0, reason="workbook_other")
        main = self._targets("_rels/.rels", "", kind="/officeDocument")
        path = next(iter(main.values()), "xl/workbook.xml")
        self._folder, _, name = path.rpartition("/")
        self._relations = f"{self._folder}/_rels/{name}.rels".lstrip("/")
        self._root = self._small(path)

    @cached_property
    def sheets(self) -> list[Part]:
        targets = self._targets(self._relations, self._folder, kind="/worksheet")
        found = [
            Part(each.get("name") or "", targets[_relation(each)])
            for each in self._root.iter("{*}sheet")
            if _relation(each) in targets
        ]
        if len(found) > SHEETS_MAX:
            raise FileUnreadable(line=0, reason="workbook_sheets")
        return found

    def rows(self, part: Part) -> Iterator[SheetRow]:
        """The rows of a sheet from the first on, blank ones among them."""
        number = seen = 0
        styles, shared = self._styles, self._shared
        for element in self._stream(part.path, "row", until="sheetData"):
            given = element.get("r") or ""
            number = int(given) if given.isdecimal() and len(given) < 8 else number + 1
            seen += len(element)
            if seen > CELLS_MAX:
                raise FileUnreadable(line=0, reason="workbook_unfolds")
            if number > ROW_MAX:
                raise FileUnreadable(line=0, reason="too_many_rows")
            cells = []
            place = -1
            for cell in element:
                place, text, kind = read_cell(cell, place, styles, shared)
                if text:
                    cells.append((place, text, kind))
            yield SheetRow(number, element.get("hidden") in {"1", "true"}, cells)

    def merged(self, part: Part) -> list[str]:
        """The merged ranges of a sheet, which stand behind its rows."""
        found: list[str] = []
        tail = b""
        for piece in self._pieces(part.path):
            tail += piece
            if b"mergeCell" in tail:
                found.extend(each.decode() for each in _MERGED.findall(tail))
            # A range may be cut in two between pieces.
            last = tail.rfind(b"<")
            tail = tail[last:] if last >= 0 and b">" not in tail[last:] else b""
            if len(found) > MERGED_MAX or len(tail) > ROW_BYTES_MAX:
                raise FileUnreadable(line=0, reason="workbook_unfolds")
        return found

    @cached_property
    def _shared(self) -> list[str]:
        targets = self._targets(self._relations, self._folder, kind="/sharedStrings")
        path = next(iter(targets.values()), "")
        if path not in self._parts:
            return []
        if self._parts[path].file_size > SHARED_MAX:
            raise FileUnreadable(line=0, reason="workbook_unfolds")
        texts = []
        for element in self._stream(path, "si"):
            texts.append(joined(element))
            if len(texts) > SHARED_TEXTS_MAX:
                raise FileUnreadable(line=0, reason="workbook_unfolds")
        return texts

    @cached_property
    def _styles(self) -> Styles:
        targets = self._targets(self._relations, self._folder, kind="/styles")
        path = next(iter(targets.values()), "")
        root = self._small(path) if path in self._parts else None
        properties = next(self._root.iter("{*}workbookPr"), None)
        is_1904 = properties is not None and properties.get("date1904") in {"1", "true"}
        return Styles(root, is_1904=is_1904)

    def _targets(self, path: str, folder: str, *, kind: str) -> dict[str, str]:
        """By relation's id: the parts of one kind that a part refers to."""
        if path not in self._parts:
            return {}
        return {
            each.get("Id") or "": _joined(folder, each.get("Target") or "")
            for each in self._small(path).iter("{*}Relationship")
            if (each.get("Type") or "").endswith(kind)
        }

    def _small(self, path: str) -> Element:
        if path not in self._parts:
            raise FileUnreadable(line=0, reason="not_a_workbook")
        if self._parts[path].file_size > SMALL_MAX:
            raise FileUnreadable(line=0, reason="workbook_unfolds")
        content = b"".join(self._pieces(path))
        try:
            return etree.fromstring(content, _parser())
        except (etree.XMLSyntaxError, ValueError):
            raise FileUnreadable(line=0, reason="not_a_workbook") from None

    def _stream(self, path: str, tag: str, *, until: str = "") -> Iterator[Element]:
        """The elements of that name, one after another; each is emptied when the next is asked."""
        wanted = [f"{{*}}{tag}", *([f"{{*}}{until}"] if until else [])]
        parser = etree.XMLPullParser(events=("end",), tag=wanted, **PARSER_OPTIONS)  # type: ignore[arg-type]
        silent = 0
        for piece in self._pieces(path):
            silent += len(piece)
            try:
                parser.feed(piece)
            except etree.XMLSyntaxError:
                raise FileUnreadable(line=0, reason="not_a_workbook") from None
            for _, element in cast("Iterator[tuple[str, Element]]", parser.read_events()):
                silent = 0
                if until and element.tag[-len(until) :] == until:
                    return
                yield element
                parent = element.getparent()
                element.clear()
                while parent is not None and element.getprevious() is not None:
                    del parent[0]
            if silent > ROW_BYTES_MAX:
                raise FileUnreadable(line=0, reason="workbook_unfolds")
        try:
            # A part that was cut off has no end.
            parser.close()
        except etree.XMLSyntaxError:
            raise FileUnreadable(line=0, reason="not_a_workbook") from None

    def _pieces(self, path: str) -> Iterator[bytes]:
        if path not in self._parts:
            raise FileUnreadable(line=0, reason="not_a_workbook")
        part = self._parts[path]
        if part.flag_bits & _ENCRYPTED_BIT:
            raise FileUnreadable(line=0, reason="workbook_encrypted")
        try:
            with self._archive.open(part) as content:
                yield from _checked(content)
        except FileUnreadable:
            raise
        except _BROKEN:
            raise FileUnreadable(line=0, reason="not_a_workbook") from None


PARSER_OPTIONS = {
    "resolve_entities": False,
    "load_dtd": False,
    "no_network": True,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
    "collect_ids": False,
}


def _parser() -> etree.XMLParser:
    return etree.XMLParser(**PARSER_OPTIONS)  # type: ignore[arg-type]


def _checked(content: IO[bytes]) -> Iterator[bytes]:
    """The pieces of a part; document types are refused, and encodings in which they could hide."""
    is_first = True
    while piece := content.read(PIECE_BYTES):
        if is_first and (b"<!DOCTYPE" in piece or b"\x00" in piece):
            raise FileUnreadable(line=0, reason="not_a_workbook")
        is_first = False
        yield piece


def _refuse_others(content: bytes) -> None:
    """Name what is no XLSX by what it is."""
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        locked = "EncryptedPackage".encode("utf-16-le") in content
        raise FileUnreadable(line=0, reason="workbook_encrypted" if locked else "workbook_old")
    if not content.startswith(b"PK\x03\x04"):
        raise FileUnreadable(line=0, reason="not_a_workbook")
    if content.count(_PART_SIGN) > PARTS_MAX:
        raise FileUnreadable(line=0, reason="workbook_unfolds")


def _refuse_large(parts: list[zipfile.ZipInfo]) -> None:
    if sum(part.file_size for part in parts) > UNFOLDED_MAX:
        raise FileUnreadable(line=0, reason="workbook_unfolds")
    for part in parts:
        grows = part.file_size > RATIO_MAX * max(part.compress_size, 1)
        if grows and part.file_size > RATIO_FROM_BYTES:
            raise FileUnreadable(line=0, reason="workbook_unfolds")


def _joined(folder: str, target: str) -> str:
    if target.startswith("/"):
        return target.lstrip("/")
    path = folder.split("/") if folder else []
    for step in target.split("/"):
        if step == "..":
            path = path[:-1]
        elif step not in {"", "."}:
            path = [*path, step]
    return "/".join(path)


def _relation(sheet: Element) -> str:
    """The relation's id; a workbook saved as “Strict Open XML” has another namespace."""
    found = [str(value) for key, value in sheet.attrib.items() if str(key).endswith("}id")]
    return found[0] if found else ""
