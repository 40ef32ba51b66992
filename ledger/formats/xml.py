"""Reading XML that a bank, or somebody posing as one, sent us.

The file is never trusted: no DTD, no entities, no network, bounded size, and libxml2's bound on
depth (256) left on. It is walked element by element, and what has been read is dropped, so that
memory does not grow with it.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache, lru_cache
from typing import BinaryIO, cast

from lxml import etree
from lxml.etree import _Element as Element

from ledger import money
from ledger.money import Money

BYTES_MAX = 1024**3
PIECE_BYTES = 1024 * 1024
# A booking with some hundred thousand payments in it; and what stands beside the entries.
ELEMENT_BYTES_MAX = 64 * 1024 * 1024
SIBLINGS_MAX = 2_000
PROLOG_BYTES = 64 * 1024
BOM = b"\xef\xbb\xbf"
MARKERS = (b"<!DOCTYPE", b"<!ENTITY")
TEXT_MAX = 140
IDENTIFIER_MAX = 35  # ISO 20022 Max35Text
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"
NOT_PROVIDED = "NOTPROVIDED"
NOT_A_TEXT = "neither UTF-8 nor Latin-1"
ENTITIES = "document types and entities are refused"
NARRATIVE = "NARR"
REFERENCE_MAX = 1000
UETR_CHARACTERS = 36
CURRENCY_UNKNOWN = "currency unknown"

# Others can hide "<!DOCTYPE" from a search of the bytes (UTF-16, UTF-7, EBCDIC), and no bank
# we know of sends them.
ENCODINGS = frozenset({"utf-8", "us-ascii", "ascii", "iso-8859-1", "iso-8859-15", "windows-1252"})
ENCODING = re.compile(rb"""encoding\s*=\s*["']([A-Za-z0-9._\-]+)["']""")
DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T[0-9:.]{5,18})?(?:Z|[+-][0-9]{2}:[0-9]{2})?")
REASON = re.compile(r"[A-Z0-9]{1,4}")


class Unreadable(ValueError):
    """The file can't be read at all. Says where and why, and nothing of what it holds."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class Fault(ValueError):
    """One part of the file can't be read; the rest can."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


def message_type(file: BinaryIO) -> str:
    """Return the message and its version ("camt.053.001.08") from the root's namespace."""
    for _, element in _events(file, "start", "*"):
        namespace, _, name = element.tag.removeprefix("{").rpartition("}")
        if element.getroottree().docinfo.internalDTD is not None:
            raise Unreadable("/", ENTITIES)
        if name != "Document" or not namespace.startswith(NAMESPACE):
            raise Unreadable("/", "not an ISO 20022 message")
        return namespace.removeprefix(NAMESPACE)
    raise Unreadable("/", "the file is empty")


def walk(file: BinaryIO, message: str, depths: Mapping[str, int]) -> Iterator[Element]:
    """Yield each element of these local names as it ends, children complete.

    `depths` gives the number of ancestors each must have: an entry hidden inside another entry
    would be counted twice. An element is forgotten once the next of its name is complete.
    """
    before: Element | None = None
    within: Element | None = None  # whose children are at their place
    wanted = {f"{{{NAMESPACE}{message}}}{name}": depth for name, depth in depths.items()}
    for _, element in _events(file, "end", *wanted):
        parent = element.getparent()
        if parent is None or parent is not within or before is None or before.tag != element.tag:
            if sum(1 for _ in element.iterancestors()) != wanted[str(element.tag)]:
                raise Unreadable(f"line {element.sourceline}", "an element out of its place")
            within = parent
        if parent is not None and len(parent) > SIBLINGS_MAX:
            raise Unreadable(f"line {element.sourceline}", "too much beside the entries")
        yield element
        if before is not None and before.tag == element.tag:
            holder = before.getparent()
            if holder is not None:
                holder.remove(before)
        before = element
        element.clear()


class _Bounded:
    """A file that ends the reading where one element would grow without end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.since = 0  # bytes since the last element came out

    def read(self, size: int) -> bytes:
        piece = self._file.read(size)
        self.since += len(piece)
        if self.since > ELEMENT_BYTES_MAX:
            where = f"byte {self._file.tell()}"
            raise Unreadable(where, f"one element of more than {ELEMENT_BYTES_MAX} bytes")
        return piece


def _events(file: BinaryIO, event: str, *tags: str) -> Iterator[tuple[str, Element]]:
    file.seek(0)
    bounded = _Bounded(file)
    events = etree.iterparse(
        cast("BinaryIO", bounded),
        events=(event,),
        tag=tags,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        remove_blank_text=True,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        for found in events:
            bounded.since = 0
            yield found
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise Unreadable(place(file, line or 1, column), "not well-formed XML") from None
    except (etree.LxmlError, LookupError, UnicodeError):
        raise Unreadable("/", "not readable as XML") from None


def place(file: BinaryIO, line: int, column: int) -> str:
    """Say where a line's column (from 1) stands in the file: line and byte."""
    file.seek(0)
    size, seen = 0, 1
    while seen < line and (piece := file.read(PIECE_BYTES)):
        missing, many = line - seen, piece.count(b"\n")
        if many >= missing:
            piece = piece[: _nth(piece, missing) + 1]
        size += len(piece)
        seen += min(many, missing)
    return f"line {line}, byte {size + max(column - 1, 0)}"


def _nth(piece: bytes, nth: int) -> int:
    at = -1
    for _ in range(nth):
        at = piece.index(b"\n", at + 1)
    return at


def refuse_early(file: BinaryIO, *, bytes_max: int = BYTES_MAX, is_xml: bool = True) -> None:
    """Refuse before a parser sees a byte; reads the file once, in pieces."""
    if is_xml:
        _refuse_prolog(file)
    markers = MARKERS if is_xml else ()
    file.seek(0)
    size, lines, blank, tail = 0, 1, True, b""
    while piece := file.read(PIECE_BYTES):
        if size + len(piece) > bytes_max:
            raise Unreadable("/", f"more than {bytes_max} bytes")
        window = tail + piece
        found = {window.find(b"\0"): NOT_A_TEXT}
        found |= {window.find(marker): ENTITIES for marker in markers}
        found.pop(-1, None)
        if found:
            at = min(found)
            line = lines - tail.count(b"\n") + window.count(b"\n", 0, at)
            raise Unreadable(f"line {line}, byte {size - len(tail) + at}", found[at])
        blank = blank and not piece.strip()
        size += len(piece)
        lines += piece.count(b"\n")
        tail = piece[1 - max(map(len, MARKERS)) :]
    if blank:
        raise Unreadable("/", "the file is empty")


def _refuse_prolog(file: BinaryIO) -> None:
    file.seek(0)
    prolog = file.read(PROLOG_BYTES)
    begin = prolog.removeprefix(BOM).lstrip()
    if begin and (
        not begin.startswith(b"<") or (begin.startswith(b"<?xml") and b"?>" not in begin)
    ):
        raise Unreadable("line 1, byte 0", "not well-formed XML")
    declared = ENCODING.search(prolog[: prolog.find(b"?>") + 1])
    if declared is not None and declared.group(1).decode("ascii").lower() not in ENCODINGS:
        raise Unreadable("/", NOT_A_TEXT)


def find(element: Element, path: str) -> Element | None:
    """Return the first element at a path of local names ("Refs/EndToEndId"), or None."""
    return element.find(_path(element.tag.partition("}")[0], path))


def find_all(element: Element, path: str) -> list[Element]:
    return element.findall(_path(element.tag.partition("}")[0], path))


@cache
def _path(namespace: str, path: str) -> str:
    """Spell a path out with the element's own namespace, which lxml walks twice as fast as {*}."""
    return "/".join(f"{namespace}}}{name}" for name in path.split("/"))


def text(element: Element, *paths: str) -> str:
    """Return the stripped text at the first of these paths that has any, or ""."""
    for path in paths:
        found = find(element, path)
        value = (found.text or "").strip() if found is not None else ""
        if value:
            return value
    return ""


def identifier(element: Element, *paths: str) -> str:
    """Return an identifier; "" where the file has none or says NOTPROVIDED."""
    value = text(element, *paths)
    if len(value) > IDENTIFIER_MAX:
        raise Fault(paths[0], f"longer than {IDENTIFIER_MAX} characters")
    return "" if value == NOT_PROVIDED else value


def amount(element: Element, *paths: str) -> Money | None:
    """Return the amount at the first of these paths that exists, or None.

    ISO 20022 amounts are never negative: the direction stands apart.
    """
    for path in paths:
        found = find(element, path)
        if found is None:
            continue
        return money_of((found.text or "").strip(), found.get("Ccy") or "", path)
    return None


def day(element: Element, *paths: str) -> date | None:
    """Return the date at the first of these paths that has text; a time after it is cut off."""
    for path in paths:
        value = text(element, path)
        if not value:
            continue
        return day_of(value, path)
    return None


@lru_cache(maxsize=4096)
def money_of(digits: str, currency: str, path: str) -> Money:
    """Read an amount; the same one comes again and again, so it is remembered."""
    if currency not in money.EXPONENTS:
        raise Fault(path, CURRENCY_UNKNOWN)
    try:
        read = money.parse(digits, currency) if digits.isascii() else None
    except ValueError:
        read = None
    if read is None or digits.startswith("-"):
        raise Fault(path, "not an amount of its currency")
    return read


@lru_cache(maxsize=4096)
def day_of(value: str, path: str) -> date:
    """Read a date; a time after it is cut off."""
    found = DATE.fullmatch(value)
    try:
        return date.fromisoformat(found.group(1) if found else "")
    except ValueError:
        raise Fault(path, "not a date") from None


def reason_code(element: Element, path: str) -> str:
    """Return the first ISO reason code under `path`, or ""."""
    narrative = ""
    for found in find_all(element, path):
        code = code_of(found)
        if code and code != NARRATIVE:
            return code
        narrative = narrative or code
    return narrative


def code_of(element: Element) -> str:
    """Return the ISO code of a reason, or "".

    Words of the bank's own may name a person, so they are not kept: they become NARR, the code
    for "see the narrative".
    """
    code = text(element, "Rsn/Cd")
    if REASON.fullmatch(code):
        return code
    return NARRATIVE if code or text(element, "Rsn/Prtry") else ""
