"""Files that partners really have, as rows that household.read checks.

for row in rows(content, format="csv", ubigeo_system="inei"):
    found = read(row, today=today)
    for fault in found.faults:
        print(locate(fault, row).es, fault.es)
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Literal, get_args

import msgspec

from cbi import household
from cbi.fault import Fault, Finding, fault, has_errors
from cbi.intake import csv_file, district, json_file, kobo, xlsx_file
from cbi.intake.mask import form_of, mask
from cbi.intake.source import BYTES_MAX, REASONS, ROWS_MAX, Cell, Location, Row
from cbi.place import UbigeoSystem
from cbi.refusal import FileUnreadable

__all__ = [
    "BYTES_MAX",
    "REASONS",
    "ROWS_MAX",
    "FileUnreadable",
    "Format",
    "Location",
    "Row",
    "column_of",
    "declared",
    "locate",
    "read",
    "rows",
    "submission",
    "value",
]

Format = Literal["json", "ndjson", "csv", "xlsx", "kobo"]

_DOORS = {
    "json": json_file.rows,
    "ndjson": json_file.lines,
    "csv": csv_file.rows,
    "xlsx": xlsx_file.rows,
    "kobo": kobo.rows,
}

# What our template calls the column of a field that is missing.
_COLUMNS = {
    "reference": "codigo_hogar",
    "ubigeo": "ubigeo_inei",
    "registered_on": "fecha_registro",
    "population_type": "tipo_poblacion",
    "consents": "consentimiento_registro",
    "text_version": "consentimiento_version",
    "given_on": "consentimiento_fecha",
    "kind": "medio_pago",
    "account": "cuenta",
    "holder": "titular_cuenta",
    "given_names": "nombres",
    "surnames": "apellidos",
    "birth_date": "fecha_nacimiento",
    "relationship": "parentesco",
    "type": "tipo_documento",
    "number": "numero_documento",
    "country": "pais_documento",
    "persons": "parentesco",
}


def rows(
    content: bytes,
    *,
    format: Format,  # noqa: A002
    ubigeo_system: str | None,
) -> Iterator[Row]:
    """The households of a file, each when its last line is read; a bad one never stops the rest.

    `ubigeo_system` is what the sender declares, for the two collide: "inei", or "reniec", whose
    codes are converted, and named where INEI has no such district; None where the file says so
    itself, by its column's title or a key of its records. Raises FileUnreadable: before the first
    row for a file that can't be read at all, and at the first code whose system nobody declares.
    """
    system = None if ubigeo_system is None else _system(ubigeo_system)
    found = _found(content, format)
    return _unlike_each_other(district.settle(row, system) for row in found)


def declared(content: bytes, *, format: Format) -> UbigeoSystem | None:  # noqa: A002
    """The system that a file declares itself; None where it has no district's code at all.

    Raises FileUnreadable where it has one and doesn't say whose.
    """
    systems = (district.declared(row) for row in _found(content, format))
    return next(filter(None, systems), None)


def _found(content: bytes, format_: Format) -> Iterator[Row]:
    if len(content) > BYTES_MAX:
        raise FileUnreadable(line=0, reason="too_large")
    if re.search(rb"\S", content) is None:
        raise FileUnreadable(line=0, reason="empty")
    return _DOORS[format_](content)


def submission(content: bytes, *, ubigeo_system: str) -> Row:
    """The one household of KoboToolbox's REST service; raises FileUnreadable as `rows` does."""
    system = _system(ubigeo_system)
    return district.settle(kobo.submission(content), system)


def read(row: Row, *, today: date) -> household.Read:
    """Check one row: the file's own faults first, then the form's, none of them twice."""
    if row.raw is None:
        return household.Read(registration=None, faults=row.faults)
    found = household.read(row.raw, today=today)
    known = {each.path for each in row.faults}
    faults = (*row.faults, *(each for each in found.faults if each.path not in known))
    return household.Read(
        registration=None if has_errors(faults) else found.registration, faults=faults
    )


def locate(fault: Fault, row: Row) -> Location:
    """Where in the file the fault stands: of a missing value, the column it should stand in."""
    path = fault.path
    cell, title = Cell("", row.number, "", "text", row.sheet), path
    while row.origin:
        if path in row.origin:
            cell = row.origin[path]
            title = cell.column
            break
        path = re.sub(r"(^|\.)[^.\[\]]*$|\[[0-9]+\]$", "", path)
    if path != fault.path or fault.path == "persons":
        # Nothing came from there, so name the column in which it should have stood.
        last = fault.path.rsplit(".", 1)[-1]
        title = _COLUMNS.get(last, title or last)
    es, en = f"fila {cell.row}", f"row {cell.row}"
    if title:
        es, en = f"{es}, columna {title}", f"{en}, column {title}"
    if cell.sheet:
        es, en = f"hoja {cell.sheet}, {es}", f"sheet {cell.sheet}, {en}"
    return Location(cell.row, title, es, en, cell.sheet)


def column_of(path: str, *, format: Format) -> str:  # noqa: A002
    """What a field is called in files of that format, where no row of one is at hand."""
    return path if format in ("json", "ndjson") else _COLUMNS.get(path, path)


def value(fault: Fault, row: Row) -> str:
    """The faulty value, masked so that a clerk knows which it is; "" when there is none."""
    masked = form_of if fault.path.rsplit(".", 1)[-1].startswith("birth") else mask
    if fault.path in row.origin:
        return masked(row.origin[fault.path].text)
    found: object = row.raw
    for name, place in re.findall(r"([^.\[\]]+)|\[([0-9]+)\]", fault.path):
        if isinstance(found, dict) and name:
            found = found.get(name)
        elif isinstance(found, list) and place and len(place) < 7 and int(place) < len(found):
            found = found[int(place)]
        else:
            return ""
    if isinstance(found, str):
        return masked(found)
    return masked(str(found)) if type(found) in {int, float} else ""


def _system(said: str) -> UbigeoSystem:
    known: tuple[UbigeoSystem, ...] = get_args(UbigeoSystem)
    for system in known:
        if system == said:
            return system
    raise FileUnreadable(line=0, reason="ubigeo_system_unknown")


def _unlike_each_other(found: Iterator[Row]) -> Iterator[Row]:
    """Name a second household under one code; the same household again is only a repetition."""
    seen: dict[str, int] = {}
    for row in found:
        content = hash(repr(row.raw))
        if row.reference and seen.setdefault(row.reference, content) != content:
            repeated = fault(Finding(("reference",), "reference_repeated"))
            yield msgspec.structs.replace(row, faults=(*row.faults, repeated))
        else:
            yield row
