"""Reading XML that a bank, or somebody posing as one, sent us.

The file is never trusted: no DTD, no entities, no network, bounded size, and libxml2's bound on
depth (256) left on. It is walked element by element, and what has been read is dropped, so that
memory does not grow with it.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from io import BytesIO

from lxml import etree
from lxml.etree import _Element as Element

from ledger import money
from ledger.money import Money

BYTES_MAX = 50 * 1024 * 1024
TEXT_MAX = 140
IDENTIFIER_MAX = 35  # ISO 20022 Max35Text
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"
NOT_PROVIDED = "NOTPROVIDED"
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


def message_type(content: bytes) -> str:
    """Return the message and its version ("camt.053.001.08") from the root's namespace."""
    for _, element in _events(content, "start", "*"):
        namespace, _, name = element.tag.removeprefix("{").rpartition("}")
        if element.getroottree().docinfo.internalDTD is not None:
            raise Unreadable("/", "document types and entities are refused")
        if name != "Document" or not namespace.startswith(NAMESPACE):
            raise Unreadable("/", "not an ISO 20022 message")
        return namespace.removeprefix(NAMESPACE)
    raise Unreadable("/", "the file is empty")


def walk(content: bytes, message: str, depths: Mapping[str, int]) -> Iterator[Element]:
    """Yield each element of these local names as it ends, children complete.

    `depths` gives the number of ancestors each must have: an entry hidden inside another entry
    would be counted twice. An element is forgotten once the next of its name is complete.
    """
    before: Element | None = None
    wanted = {f"{{{NAMESPACE}{message}}}{name}": depth for name, depth in depths.items()}
    for _, element in _events(content, "end", *wanted):
        if sum(1 for _ in element.iterancestors()) != wanted[str(element.tag)]:
            raise Unreadable(f"line {element.sourceline}", "an element out of its place")
        yield element
        if before is not None and before.tag == element.tag:
            parent = before.getparent()
            if parent is not None:
                parent.remove(before)
        before = element
        element.clear()


def _events(content: bytes, event: str, *tags: str) -> Iterator[tuple[str, Element]]:
    _refuse_early(content)
    events = etree.iterparse(
        BytesIO(content),
        events=(event,),
        tag=tags,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        yield from events
    except etree.XMLSyntaxError as error:
        raise Unreadable(f"line {error.lineno or 1}", "not well-formed XML") from None
    except (etree.LxmlError, LookupError, UnicodeError):
        raise Unreadable("/", "not readable as XML") from None


def _refuse_early(content: bytes) -> None:
    """Refuse before the parser sees a byte."""
    if not content.strip():
        raise Unreadable("/", "the file is empty")
    if len(content) > BYTES_MAX:
        raise Unreadable("/", f"more than {BYTES_MAX} bytes")
    if b"\0" in content:
        raise Unreadable("/", "neither UTF-8 nor Latin-1")
    prolog = content[: content.find(b"?>") + 1]
    declared = ENCODING.search(prolog)
    if declared is not None and declared.group(1).decode("ascii").lower() not in ENCODINGS:
        raise Unreadable("/", "neither UTF-8 nor Latin-1")
    for marker in (b"<!DOCTYPE", b"<!ENTITY"):
        at = content.find(marker)
        if at >= 0:
            raise Unreadable(f"byte {at}", "document types and entities are refused")


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
        digits = (found.text or "").strip()
        currency = found.get("Ccy") or ""
        if currency not in money.EXPONENTS:
            raise Fault(path, CURRENCY_UNKNOWN)
        try:
            read = money.parse(digits, currency) if digits.isascii() else None
        except ValueError:
            read = None
        if read is None or digits.startswith("-"):
            raise Fault(path, "not an amount of its currency")
        return read
    return None


def day(element: Element, *paths: str) -> date | None:
    """Return the date at the first of these paths that has text; a time after it is cut off."""
    for path in paths:
        value = text(element, path)
        if not value:
            continue
        found = DATE.fullmatch(value)
        try:
            return date.fromisoformat(found.group(1) if found else "")
        except ValueError:
            raise Fault(path, "not a date") from None
    return None


def reason_code(element: Element, path: str) -> str:
    """Return the first ISO reason code under `path`, or "".

    Words of the bank's own may name a person, so they are not kept: they become NARR, the code
    for "see the narrative".
    """
    narrative = ""
    for found in find_all(element, path):
        code = text(found, "Rsn/Cd")
        if REASON.fullmatch(code):
            return code
        if code or text(found, "Rsn/Prtry"):
            narrative = "NARR"
    return narrative
