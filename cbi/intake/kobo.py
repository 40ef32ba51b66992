"""KoboToolbox's JSON export: one record per submission, persons in a repeat group.

Questions carry the path of their groups ("hogar/distrito"), inside a repeat as well
("personas/nombres"); only the last part names the question. Source: KoboToolbox API v2,
/api/v2/assets/{uid}/data.json.
"""

import contextlib
from collections.abc import Iterator
from datetime import date

import msgspec

from cbi.fault import Finding, fault
from cbi.intake.json_file import decode, records
from cbi.intake.mapper import to_row
from cbi.intake.source import ROWS_MAX, Cell, Cells, Entry, Row, Submission
from cbi.intake.table import what_m_means
from cbi.intake.words import (
    HOUSEHOLD_COLUMNS,
    NUMBERED,
    REPEAT_DOCUMENTS,
    REPEAT_PERSONS,
    TOLD,
    column,
    fold,
)
from cbi.refusal import FileUnreadable

# What the form's own machinery adds to each record.
_MACHINERY = ("_", "meta/", "formhub/")
_MACHINERY_NAMES = frozenset({"start", "end", "deviceid", "username", "audit", "subscriberid"})

# Where a form asks for no code: what stays as it is when a submission is edited comes first.
_CODES = ("meta/rootUuid", "meta/deprecatedID", "_uuid", "meta/instanceID")

_TAKEN = ("end", "start", "_submission_time")
Record = dict[str, object]


class _Export(msgspec.Struct):
    results: list[msgspec.Raw]


def rows(content: bytes) -> Iterator[Row]:
    """The households of an export, in its order; one record of it is held at a time."""
    found_records = submissions(content)
    sexes: set[str] = set()
    for number, record in enumerate(found_records, start=1):
        found = decode(record)
        if isinstance(found, dict):
            entry = _entry(found, number)
            sexes.update(cells["sexo"].text[:20] for cells in entry.persons if "sexo" in cells)
    return _rows(found_records, what_m_means(sexes))


def submission(content: bytes) -> Row:
    """The one household that KoboToolbox's REST service sends; FileUnreadable for anything else."""
    decoded = decode(content)
    if not isinstance(decoded, dict) or isinstance(decoded.get("results"), list):
        raise FileUnreadable(line=0, reason="one_submission")
    return next(rows(content))


def submissions(content: bytes) -> list[msgspec.Raw]:
    """The records of an export, not decoded yet; raises FileUnreadable."""
    if content.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:1] == b"[":
        return records(content)
    try:
        found = msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=_Export).results
    except msgspec.ValidationError:
        # One record by itself, or nothing that could be one.
        decoded = decode(content)
        if not isinstance(decoded, dict):
            raise FileUnreadable(line=0, reason="not_a_list") from None
        one = decoded.get("results", decoded)
        found = [msgspec.Raw(msgspec.json.encode(one))]
        if not isinstance(one, dict):
            raise FileUnreadable(line=0, reason="not_a_list") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileUnreadable(line=0, reason="not_json") from error
    if len(found) > ROWS_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    return found


def _rows(found: list[msgspec.Raw], m_means: str) -> Iterator[Row]:
    for number, each in enumerate(found, start=1):
        record = decode(each)
        if isinstance(record, dict):
            row = to_row(_entry(record, number), m_means=m_means)
            yield msgspec.structs.replace(
                row, submission=_submission(record, row), taken_on=_taken_on(record)
            )
        else:
            yield _not_a_record(number)


def _not_a_record(number: int) -> Row:
    faults = (fault(Finding((), "object_wanted")),)
    return Row(number=number, reference="", raw=None, faults=faults, origin={})


def _entry(record: Record, number: int) -> Entry:
    entry = Entry(number, {}, [], [])
    top: Cells = {}
    for key, value in record.items():
        if key.startswith(_MACHINERY) or key in _MACHINERY_NAMES:
            continue
        last = fold(key.rsplit("/", 1)[-1])
        if isinstance(value, list) and last in REPEAT_PERSONS:
            entry.persons.extend(_person(each, key, number, entry) for each in value)
        else:
            _put(top, key, value, Cell("", number, key), entry)
    person = {name: cell for name, cell in top.items() if name not in HOUSEHOLD_COLUMNS}
    if person:
        # The head is often asked about before the repeat begins.
        person.setdefault("parentesco", Cell("jefe", number, ""))
        entry.persons.insert(0, person)
    entry.household.update((name, top[name]) for name in top.keys() & HOUSEHOLD_COLUMNS.keys())
    _fall_back(entry, record, "codigo_hogar", _CODES)
    _fall_back(entry, record, "fecha_registro", ("_submission_time", "end", "start"))
    return entry


def _submission(record: Record, row: Row) -> Submission | None:
    instance = instance_of(record)
    if not instance:
        return None
    code = row.origin.get("reference")
    has_code = code is not None and code.column not in _CODES
    return Submission(instance, _plain(record.get("meta/deprecatedID")), has_code)


def _taken_on(record: Record) -> date | None:
    """Return the day on which the form was filled in, as the device tells it."""
    for key in _TAKEN:
        value = record.get(key)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return date.fromisoformat(value.strip()[:10])
    return None


def instance_of(record: Record) -> str:
    """Which submission a record is; "" where it doesn't say."""
    return _plain(record.get("meta/instanceID")) or _plain(record.get("_uuid"))


def _plain(value: object) -> str:
    return value.strip().removeprefix("uuid:") if isinstance(value, str) else ""


def _fall_back(entry: Entry, record: Record, name: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        value = record.get(key)
        if isinstance(value, str) and value.strip():
            text = value.strip()[:10] if name == "fecha_registro" else value.strip()
            if name == "codigo_hogar" and "_uuid" in record:
                # The first submission's id has no prefix there.
                text = text.removeprefix("uuid:")
            entry.household.setdefault(name, Cell(text, entry.number, key))


def _person(raw: object, repeat: str, number: int, entry: Entry) -> Cells:
    cells: Cells = {}
    ordinal = len(entry.persons) + 1
    nothing = Cell("", number, f"{repeat} ({ordinal})")
    if not isinstance(raw, dict):
        return {"": nothing}
    for key, value in raw.items():
        last = fold(key.rsplit("/", 1)[-1])
        if isinstance(value, list) and last in REPEAT_DOCUMENTS:
            _documents(cells, value, nothing, entry)
        else:
            _put(cells, key, value, Cell("", number, f"{key} ({ordinal})"), entry)
    return cells or {"": nothing}


def _documents(cells: Cells, documents: list[object], place: Cell, entry: Entry) -> None:
    for index, document in enumerate(documents):
        if not isinstance(document, dict):
            continue
        for key, value in document.items():
            name = _document_column(key)
            text = _as_text(value)
            if name not in NUMBERED:
                _unknown(entry, key, place)
            elif text:
                suffix = f"_{index + 1}" if index else ""
                column_name = f"{key} ({index + 1})"
                cells[name + suffix] = Cell(text, place.row, column_name)


def _document_column(key: str) -> str:
    last = fold(key.rsplit("/", 1)[-1])
    short = {"tipo": "tipo_documento", "numero": "numero_documento", "pais": "pais_documento"}
    return short.get(last) or column(last)


def _put(cells: Cells, key: str, value: object, place: Cell, entry: Entry) -> None:
    name = column(key.rsplit("/", 1)[-1])
    text = _as_text(value)
    if not name or name == TOLD:
        if text:
            _unknown(entry, key, place)
    elif text and name not in cells:
        cells[name] = place._replace(text=text)


def _unknown(entry: Entry, key: str, place: Cell) -> None:
    name = fold(key.rsplit("/", 1)[-1]) or "?"
    entry.findings.append((Finding((name,), "column_unknown"), place._replace(column=key[:60])))


def _as_text(value: object) -> str:
    """A scalar as text; a list or an object as its JSON, so that its fault is found later."""
    match value:
        case None:
            return ""
        case bool():
            return "si" if value else "no"
        case str():
            return value.strip()
        case int() | float():
            return str(value)
        case _:
            return msgspec.json.encode(value).decode()[:300]
