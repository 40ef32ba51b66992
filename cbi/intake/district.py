"""Which district a row of a file means: by a code whose system is declared, or by its names."""

import re
from collections import defaultdict
from functools import lru_cache
from typing import get_args

import msgspec
from rapidfuzz import process

from cbi.fault import Finding, fault
from cbi.intake.source import Row
from cbi.intake.words import fold
from cbi.place import DISTRICTS, NEAREST_MAX, TO_INEI, District, UbigeoSystem, told
from cbi.refusal import FileUnreadable

# A longer text is no name of a district.
NAME_MAX = 60
NEAREST_SCORE_MIN = 60.0
_NAMES = ("district", "province", "department")
_CODE = re.compile(r"[0-9]{5,6}")


def settle(row: Row, said: UbigeoSystem | None) -> Row:
    """The row with INEI's code of its district, or with the fault that says why it has none.

    `said` is what the sender declares; a row may declare its own system, and must where the sender
    doesn't. A code of another form goes on as it is: its fault is found by household.read. Raises
    FileUnreadable for a code whose system nobody declares.
    """
    if row.raw is None:
        return row
    raw = dict(row.raw)
    own = _own(raw)
    names = {key: raw.pop(key) for key in _NAMES if isinstance(raw.get(key), str)}
    code = _code(raw, names)
    if code is None:
        return _by_name(row, raw, names) if names.get("district") else _with(row, raw)
    raw["ubigeo"] = code
    if own is not None and said is not None and own != said:
        return _with(row, raw, Finding(("ubigeo",), "ubigeo_system_other"))
    if (system := own or said) is None:
        raise FileUnreadable(line=row.number, reason="ubigeo_system_unknown")
    if system == "reniec" and re.fullmatch(r"[0-9]{6}", code):
        if code not in TO_INEI:
            return _with(row, raw, Finding(("ubigeo",), "ubigeo_reniec"))
        raw["ubigeo"] = code = TO_INEI[code]
    others = named(**names) if names.get("district") else ()
    if code in DISTRICTS and len(others) == 1 and others[0].inei != code:
        both = told((DISTRICTS[code], others[0]))
        return _with(row, raw, Finding(("ubigeo",), "district_other", both))
    return _with(row, raw)


def declared(row: Row) -> UbigeoSystem | None:
    """The system that a row with a code declares; raises FileUnreadable where it doesn't."""
    raw = dict(row.raw or {})
    own = _own(raw)
    if _code(raw, raw) is None:
        return None
    if own is None:
        raise FileUnreadable(line=row.number, reason="ubigeo_system_unknown")
    return own


@lru_cache(maxsize=4096)
def named(
    district: object = "", province: object = "", department: object = ""
) -> tuple[District, ...]:
    """The districts of that name, in that province and department if they are given."""
    wanted = [fold(str(each)[:NAME_MAX]) for each in (district, province, department)]
    return tuple(
        each
        for each in _BY_NAME.get(wanted[0], ())
        if wanted[1] in ("", fold(each.province)) and wanted[2] in ("", fold(each.department))
    )


@lru_cache(maxsize=4096)
def nearest(district: object, province: object = "", department: object = "") -> str:
    """The districts whose name is nearest; of that name elsewhere, if there are any."""
    name = fold(str(district)[:NAME_MAX])
    found = process.extract(name, _BY_NAME.keys(), limit=None, score_cutoff=NEAREST_SCORE_MIN)
    within = [fold(str(each)[:NAME_MAX]) for each in (province, department)]
    ranked = sorted(
        (each for other, _, _ in found[: 4 * NEAREST_MAX] for each in _BY_NAME[other]),
        key=lambda each: (
            -sum(
                one == fold(two)
                for one, two in zip(within, (each.province, each.department), strict=True)
            )
        ),
    )
    return told(ranked[:NEAREST_MAX])


def _by_name(row: Row, raw: dict[str, object], names: dict[str, object]) -> Row:
    found = named(**names)
    if len(found) == 1:
        raw["ubigeo"] = found[0].inei
        return _with(row, raw)
    # What it is worth is told already: that the code is missing would be a second fault of one.
    raw["ubigeo"] = names["district"]
    if found:
        finding = Finding(("ubigeo",), "district_ambiguous", told(found[:NEAREST_MAX]))
    else:
        finding = Finding(("ubigeo",), "district_unknown", nearest(**names))
    return _with(row, raw, finding)


def _own(raw: dict[str, object]) -> UbigeoSystem | None:
    """Take the declared system out of a form; what is none stays, and is told as unknown."""
    found = [each for each in get_args(UbigeoSystem) if each == raw.get("ubigeo_system")]
    if found:
        del raw["ubigeo_system"]
    return found[0] if found else None


def _code(raw: dict[str, object], names: dict[str, object]) -> str | None:
    """The code that the form has, also where a column of names holds it."""
    for value in (raw.get("ubigeo"), names.get("district")):
        if isinstance(value, str) and value.strip():
            is_code = value is not names.get("district") or _CODE.fullmatch(value.strip())
            return value.strip() if is_code else None
    return None


def _with(row: Row, raw: dict[str, object], finding: Finding | None = None) -> Row:
    faults = (*row.faults, fault(finding)) if finding is not None else row.faults
    return msgspec.structs.replace(row, raw=raw, faults=faults)


def _by_folded_name() -> dict[str, list[District]]:
    found: defaultdict[str, list[District]] = defaultdict(list)
    for each in DISTRICTS.values():
        found[fold(each.name)].append(each)
    return dict(found)


_BY_NAME = _by_folded_name()
