"""A report as a PDF to print and sign; its fonts are inside, and nothing is fetched."""

import re
from functools import cache
from importlib.resources import files
from typing import Any, BinaryIO, Literal

import msgspec
import typst

from cbi.reports.as_csv import total_cells
from cbi.reports.sheet import Column, Kind, Section, Sheet
from cbi.reports.spool import Cell, Row
from cbi.reports.words import Language, label_of, say, title_of, told

# A table of more is nothing that anybody reads on paper and signs.
ROWS_MAX = 2_000
COLUMNS_UPRIGHT_MAX = 6
NUMBERS: tuple[Kind, ...] = ("money", "count", "days", "rate")
NARROW: tuple[Kind, ...] = (*NUMBERS, "date", "moment", "id")
ROLES = ("prepared", "reviewed", "approved")
FIELDS = ("name", "position", "signature", "date")


def write(sheet: Sheet, language: Language, out: BinaryIO) -> None:
    """Write the PDF. Of a section with too many rows it shows totals, and says so."""
    out.write(compiled(facts(sheet, language), "pdf"))


def compiled(shown: dict[str, Any], form: Literal["pdf", "png"]) -> bytes:
    """Set the pages; "png" gives the first."""
    made: bytes | list[bytes] = typst.compile(
        template(),
        format=form,
        ignore_system_fonts=True,
        sys_inputs={"sheet": msgspec.json.encode(shown).decode()},
        timestamp=0,
    )
    return made[0] if isinstance(made, list) else made


def facts(sheet: Sheet, language: Language) -> dict[str, Any]:
    """Return what the page shows, as plain texts."""
    taken = sheet.checkpoint
    organisation = next((str(p.value) for p in sheet.parameters if p.key == "organisation"), "")
    return {
        "language": language,
        "title": say("report", sheet.name, language),
        "organisation": organisation,
        "wide": any(len(each.columns) > COLUMNS_UPRIGHT_MAX for each in sheet.sections),
        "parameters": [
            (
                say("parameter", each.key, language),
                _cell(each.value, Column(key=each.key, kind=each.kind), language),
            )
            for each in sheet.parameters
            if each.key != "organisation"
        ],
        "checkpoint_label": say("phrase", "checkpoint", language),
        "size": say("phrase", "no_checkpoint", language) if taken is None else f"{taken.size:,}",
        "root": "" if taken is None else taken.root,
        "sections": [_section(each, language) for each in sheet.sections],
        "statement": say("phrase", "statement", language),
        "signatures": [say("phrase", role, language) for role in ROLES],
        "fields": [say("phrase", field, language) for field in FIELDS],
        "page": say("phrase", "page", language),
        "of": say("phrase", "of", language),
    }


@cache
def template() -> bytes:
    return files("cbi.reports").joinpath("sheet.typ").read_bytes()


def _section(section: Section, language: Language) -> dict[str, Any]:
    left_out = ""
    if len(section.rows) > ROWS_MAX:
        left_out = say("phrase", "left_out", language).format(rows=f"{len(section.rows):,}")
    elif not len(section.rows):
        left_out = say("phrase", "nothing", language)
    totals = section.totals
    return {
        "title": title_of(section, language),
        "left_out": left_out,
        "columns": [
            {
                "label": label_of(column, language),
                "kind": column.kind,
                "right": column.kind in NUMBERS,
                "narrow": column.kind in NARROW,
            }
            for column in section.columns
        ],
        "rows": []
        if len(section.rows) > ROWS_MAX
        else [_row(row, section, language) for row in section.rows],
        "totals": None
        if totals is None
        else [
            grouped(cell) if column.kind in ("money", "count") else cell
            for cell, column in zip(total_cells(section, language), section.columns, strict=True)
        ],
    }


def _row(row: Row, section: Section, language: Language) -> list[str]:
    pairs = zip(row, section.columns, strict=True)
    return [_cell(cell, column, language) for cell, column in pairs]


def _cell(cell: Cell, column: Column, language: Language) -> str:
    found = told(cell, column, language)
    if column.kind in ("money", "count"):
        return grouped(found)
    return found.replace("T", " ").replace("Z", " UTC") if column.kind == "moment" else found


def grouped(number: str) -> str:
    """Write a decimal with a comma between thousands, as both languages do in Peru."""
    whole, point, decimals = number.partition(".")
    return re.sub(r"(?<=\d)(?=(\d{3})+$)", ",", whole) + point + decimals
