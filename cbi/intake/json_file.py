"""JSON as a programme writes it: one registration, a list of them, or one on each line."""

from collections.abc import Iterator

import msgspec

from cbi.fault import Finding, fault
from cbi.intake.source import LINES_MAX, ROWS_MAX, Row
from cbi.refusal import FileUnreadable

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def rows(content: bytes) -> Iterator[Row]:
    """The registrations of a JSON file. On lines, a bad one never stops the rest."""
    try:
        decoded = decode(content)
    except FileUnreadable:
        if not _is_lines(content):
            raise
        return _of_lines(content)
    items = decoded if isinstance(decoded, list) else [decoded]
    if len(items) > ROWS_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    return (_row(item, number) for number, item in enumerate(items, start=1))


def decode(content: bytes) -> object:
    """Decode JSON. Raises FileUnreadable, also for nesting deeper than the decoder goes."""
    try:
        decoded: object = msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"))
    except _UNREADABLE as error:
        raise FileUnreadable(line=0, reason="not_json") from error
    return decoded


def _is_lines(content: bytes) -> bool:
    if max(content.count(b"\n"), content.count(b"\r")) > LINES_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    lines = [line for line in content.splitlines() if line.strip()]
    if len(lines) > ROWS_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    for line in lines:
        try:
            return isinstance(decode(line), dict) and len(lines) > 1
        except FileUnreadable:
            continue
    return False


def _of_lines(content: bytes) -> Iterator[Row]:
    for number, line in enumerate(content.splitlines(), start=1):
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
    reference = item.get("reference")
    return Row(
        number=number,
        reference=reference.strip() if isinstance(reference, str) else "",
        raw=item,
        faults=(),
        origin={},
    )
