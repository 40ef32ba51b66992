"""Why a row that was read without error is not taken, or should be looked at: words and remedy."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from cbi import intake
from cbi.fault import Fault, Finding, Path, fault
from cbi.imported import RowFault, RowStanding
from cbi.intake import Format
from cbi.refusal import (
    BadValue,
    CbiRefusal,
    HouseholdEnded,
    IdentityErased,
    InvalidRegistration,
    NotFound,
    OutsideArea,
    PersonDeceased,
    ReferenceTaken,
)

# What may refuse a row when it is registered, or amends what is registered.
MET: tuple[type[CbiRefusal], ...] = (
    BadValue,
    HouseholdEnded,
    IdentityErased,
    InvalidRegistration,
    NotFound,
    OutsideArea,
    PersonDeceased,
    ReferenceTaken,
)
# What no class says: something of one row that the database or its seal refuses.
NOT_REGISTERED = "not_registered"
# Why a row that may be taken should be looked at.
Doubt = Literal[
    "crowded",
    "declined",
    "earlier_version",
    "not_compared",
    "possible_duplicate",
    "twice_in_file",
    "unopened",
    "unsearchable",
]
_IS_REGISTERED = (None, "known", "changed")
_PATHS: Mapping[str, Path] = {
    **dict.fromkeys(("bad_value", "reference_taken", "earlier_version"), ("reference",)),
    **dict.fromkeys(("household_ended", "identity_erased", "not_found"), ("reference",)),
    "outside_area": ("ubigeo",),
    "declined": ("consents",),
    **dict.fromkeys(("crowded", "person_deceased", "twice_in_file"), ("persons",)),
    **dict.fromkeys(("possible_duplicate", "unsearchable"), ("persons",)),
}


def word(refused: CbiRefusal) -> str:
    """Name a refusal as the rows of an import do."""
    if not isinstance(refused, MET):
        return NOT_REGISTERED
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(refused).__name__).lower()


def fault_of(word: str) -> Fault:
    """Put into words why a row is refused, or doubted."""
    return fault(Finding(_PATHS.get(word, ()), word))


def with_why(row: RowStanding, *, format: Format) -> RowStanding:  # noqa: A002
    """Return a row with what refuses it, or should be looked at, among its faults."""
    why = row.refusal or (row.why if row.why not in _IS_REGISTERED else None)
    if why is None and row.status == "review" and row.household_id is None:
        why = "possible_duplicate"
    if why is None or (row.household_id is not None and row.why != "earlier_version"):
        return row
    told = row_fault(why, line=row.line, sheet=row.sheet, format=format)
    return msgspec.structs.replace(row, faults=(*row.faults, told))


def row_fault(word: str, *, line: int, sheet: str, format: Format) -> RowFault:  # noqa: A002
    """Tell it with its place in a file of that format, of which no more is at hand."""
    told = fault_of(word)
    column = intake.column_of(told.path, format=format)
    es, en = f"fila {line}", f"row {line}"
    if column:
        es, en = f"{es}, columna {column}", f"{en}, column {column}"
    if sheet:
        es, en = f"hoja {sheet}, {es}", f"sheet {sheet}, {en}"
    return RowFault(
        row=line,
        column=column,
        code=told.code,
        level=told.level,
        es=f"{es}: {told.es}",
        en=f"{en}: {told.en}",
        sheet=sheet,
        remedy_es=told.remedy_es,
        remedy_en=told.remedy_en,
    )
