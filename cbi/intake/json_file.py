"""JSON as a programme writes it: one registration, a list of them, or one on each line.

A list is taken apart before its records are decoded, so that only one of them is held at a time.
"""

import io
from collections.abc import Iterator

import msgspec

from cbi.fault import Finding, fault
from cbi.intake.source import BREAKS_MAX, ROWS_MAX, Row
from cbi.refusal import FileUnreadable

# The member in which a corrections file tells what is wrong: known, and never read.
FAULTS = "faults"
_BOM = b"\xef\xbb\xbf"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def rows(content: bytes) -> Iterator[Row]:
    """The registrations of a JSON file. On lines, a bad one never stops the rest."""
    if content.removeprefix(_BOM).lstrip(b" \t\r\n")[:1] == b"[":
        return _of_list(records(content))
    try:
        decoded = decode(content)
    except FileUnreadable:
        if not _is_lines(content):
            raise
        return lines(content)
    return iter([_row(decoded, 1)])


def lines(content: bytes) -> Iterator[Row]:
    """One registration on each line (NDJSON); a broken line is that line's fault."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"PK\x03\x04")):
        raise FileUnreadable(line=0, reason="not_json")
    if content.count(b"\n") > BREAKS_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    if sum(1 for line in io.BytesIO(content) if line.strip()) > ROWS_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    return _of_lines(content)


def are_lines(content: bytes) -> bool:
    """Say whether `rows` reads a file as one registration on each line."""
    if content.removeprefix(_BOM).lstrip(b" \t\r\n")[:1] == b"[":
        return False
    try:
        decode(content)
    except FileUnreadable:
        return True
    return False


def items(content: bytes) -> list[msgspec.Raw]:
    """The registrations of a file that is no lines, not decoded yet; as `records`."""
    if content.removeprefix(_BOM).lstrip(b" \t\r\n")[:1] == b"[":
        return records(content)
    return [msgspec.Raw(content.removeprefix(_BOM))]


def records(content: bytes) -> list[msgspec.Raw]:
    """The items of a list, not decoded yet; FileUnreadable unless each can be."""
    try:
        found = _LIST.decode(content.removeprefix(_BOM))
    except _UNREADABLE as error:
        raise FileUnreadable(line=0, reason="not_json") from error
    if len(found) > ROWS_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    for each in found:
        decode(each)
    return found


def decode(content: bytes | msgspec.Raw) -> object:
    """Decode JSON. Raises FileUnreadable, also for nesting deeper than the decoder goes."""
    if isinstance(content, bytes):
        content = content.removeprefix(_BOM)
    try:
        decoded: object = msgspec.json.decode(content)
    except _UNREADABLE as error:
        raise FileUnreadable(line=0, reason="not_json") from error
    return decoded


def _is_lines(content: bytes) -> bool:
    if max(content.count(b"\n"), content.count(b"\r")) > BREAKS_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    found = [line for line in io.BytesIO(content) if line.strip()]
    for line in found:
        try:
            return isinstance(decode(line), dict) and len(found) > 1
        except FileUnreadable:
            continue
    return False


def _of_list(found: list[msgspec.Raw]) -> Iterator[Row]:
    for number, item in enumerate(found, start=1):
        yield _row(decode(item), number)


def _of_lines(content: bytes) -> Iterator[Row]:
    for number, line in enumerate(io.BytesIO(content), start=1):
        if not line.strip():
            continue
        try:
            yield _row(decode(line), number)
        except FileUnreadable:
            faults = (fault(Finding((), "row_syntax")),)
            yield Row(number=number, reference="", raw=None, faults=faults, origin={})


def _row(item: object, number: int) -> Row:
    if not isinstance(item, dict):
        faults = (fault(Finding((), "object_wanted")),)
        return Row(number=number, reference="", raw=None, faults=faults, origin={})
    item = {name: value for name, value in item.items() if name != FAULTS}
    reference = item.get("reference")
    return Row(
        number=number,
        reference=reference.strip() if isinstance(reference, str) else "",
        raw=item,
        faults=(),
        origin={},
    )
