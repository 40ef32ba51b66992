"""Read decoded JSON into a Struct, finding every fault on the way.

msgspec.convert stops at the first fault; a registrar wants them all. The Struct itself is the
table: its field types, Literals and msgspec.Meta limits are what is checked here and what the
API documents. The walk goes as deep as the Struct does, however deep the input is nested.
"""

import re
import unicodedata
from datetime import date
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from cbi.fault import FAULTS_MAX, Finding, Path

T = TypeVar("T", bound=msgspec.Struct)

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

# Control characters, lone surrogates and marks that turn the writing direction: none belongs to
# a name, and each has been used to hide something in a log or a spreadsheet.
_NOT_TEXT = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


def read_form(raw: object, shape: type[T]) -> tuple[T, list[Finding]]:
    """Read `raw` as `shape`. Where a value is at fault a blank stands in for it.

    The result is whole only if no finding came with it; with findings it serves to look for
    further faults across fields.
    """
    findings: list[Finding] = []
    form: T = _read(raw, _type_info(shape), (), findings)
    return form, findings


@lru_cache
def _type_info(shape: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(shape)


def _read(raw: object, kind: inspect.Type, path: Path, findings: list[Finding]) -> Any:  # noqa: ANN401
    match kind:
        case inspect.UnionType():
            inner = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
            return None if raw is None else _read(raw, inner, path, findings)
        case inspect.StructType():
            return _read_struct(raw, kind, path, findings)
        case inspect.VarTupleType():
            return _read_list(raw, kind, path, findings)
        case inspect.StrType():
            return _read_text(raw, kind, path, findings)
        case _:
            return _read_value(raw, kind, path, findings)


def _read_value(raw: object, kind: inspect.Type, path: Path, findings: list[Finding]) -> object:
    match kind:
        case inspect.LiteralType():
            if isinstance(raw, str) and raw in kind.values:
                return raw
            findings.append(Finding(path, "code_unknown", ", ".join(map(str, kind.values))))
        case inspect.BoolType():
            if isinstance(raw, bool):
                return raw
            findings.append(Finding(path, "bool_wanted"))
        case inspect.IntType():
            least, most = kind.ge or 0, kind.le or 0
            if type(raw) is int and least <= raw <= most:
                return raw
            findings.append(Finding(path, "number_wanted", f"{least}–{most}"))
            return least
        case inspect.DateType():
            if (day := _date(raw)) is not None:
                return day
            findings.append(Finding(path, "date_form"))
        case _:
            raise TypeError(f"no reader for {type(kind).__name__}")
    return _blank(kind)


def _read_struct(
    raw: object, kind: inspect.StructType, path: Path, findings: list[Finding]
) -> msgspec.Struct:
    if not isinstance(raw, dict):
        findings.append(Finding(path, "object_wanted"))
        blank: msgspec.Struct = _blank(kind)
        return blank
    known = {field.encode_name for field in kind.fields}
    unknown = (
        Finding((*path, key if isinstance(key, str) else "?"), "field_unknown")
        for key in raw
        if key not in known
    )
    # A million keys are one fault too many, not a million findings, over all objects together.
    findings.extend(islice(unknown, max(0, FAULTS_MAX + 1 - len(findings))))
    values: dict[str, Any] = {}
    for field in kind.fields:
        if field.encode_name in raw:
            place = (*path, field.encode_name)
            values[field.name] = _read(raw[field.encode_name], field.type, place, findings)
        elif field.required:
            findings.append(Finding((*path, field.encode_name), "field_missing"))
            values[field.name] = _blank(field.type)
    return kind.cls(**values)


def _read_list(
    raw: object, kind: inspect.VarTupleType, path: Path, findings: list[Finding]
) -> tuple[Any, ...]:
    if not isinstance(raw, list | tuple):
        findings.append(Finding(path, "list_wanted"))
        return ()
    if kind.min_length is not None and len(raw) < kind.min_length:
        findings.append(Finding(path, "list_short", str(kind.min_length)))
    if kind.max_length is not None and len(raw) > kind.max_length:
        findings.append(Finding(path, "list_long", str(kind.max_length)))
        raw = raw[: kind.max_length]
    return tuple(
        _read(item, kind.item_type, (*path, index), findings) for index, item in enumerate(raw)
    )


def _read_text(raw: object, kind: inspect.StrType, path: Path, findings: list[Finding]) -> str:
    if not isinstance(raw, str):
        findings.append(Finding(path, "text_wanted"))
        return ""
    if kind.max_length is not None and len(raw) > kind.max_length:
        findings.append(Finding(path, "text_long", str(kind.max_length)))
        return ""
    text = raw.strip()
    if _NOT_TEXT.search(text) is not None:
        findings.append(Finding(path, "text_characters"))
        return ""
    # Composed and decomposed accents look alike; one of the two is kept.
    text = unicodedata.normalize("NFC", text)
    if kind.min_length is not None and len(text) < kind.min_length:
        findings.append(Finding(path, "text_empty"))
    return text


def _date(raw: object) -> date | None:
    if not isinstance(raw, str) or _DATE.fullmatch(raw) is None:
        return None
    try:
        return date.fromisoformat(raw)
    except ValueError:
        return None


def _blank(kind: inspect.Type) -> Any:  # noqa: ANN401
    match kind:
        case inspect.StructType():
            return kind.cls(
                **{field.name: _blank(field.type) for field in kind.fields if field.required}
            )
        case inspect.VarTupleType():
            return ()
        case inspect.DateType():
            return date.min
        case inspect.BoolType():
            return False
        case inspect.UnionType():
            return None
        case _:
            return ""
