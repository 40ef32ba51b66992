"""A report for programs: keys and codes, labels in the reader's language, money as decimals."""

from typing import BinaryIO

import msgspec

from cbi.reports.sheet import Column, Parameter, Section, Sheet, written
from cbi.reports.spool import Cell, Row
from cbi.reports.words import Language, label_of, say, title_of


def write(sheet: Sheet, language: Language, out: BinaryIO) -> None:
    """Write one JSON object, a row a line."""
    head = {
        "report": sheet.name,
        "title": say("report", sheet.name, language),
        "language": language,
        "parameters": [_parameter(each, language) for each in sheet.parameters],
        "checkpoint": sheet.checkpoint,
    }
    out.write(msgspec.json.encode(head)[:-1] + b',"sections":[')
    for place, section in enumerate(sheet.sections):
        out.write(b"," if place else b"")
        _section(section, language, out)
    out.write(b"\n]}\n")


def _parameter(parameter: Parameter, language: Language) -> dict[str, Cell]:
    label = say("parameter", parameter.key, language)
    return {"key": parameter.key, "label": label, "value": parameter.value}


def _section(section: Section, language: Language, out: BinaryIO) -> None:
    head = {
        "section": section.key,
        "title": title_of(section, language),
        "about": section.about,
        "columns": [_column(column, language) for column in section.columns],
        "totals": None if section.totals is None else _row(section.totals, section),
    }
    out.write(b"\n" + msgspec.json.encode(head)[:-1] + b',"rows":[')
    for place, row in enumerate(section.rows):
        out.write(b",\n" if place else b"\n")
        out.write(msgspec.json.encode(_row(row, section)))
    out.write(b"]}")


def _column(column: Column, language: Language) -> dict[str, str]:
    found = {"key": column.key, "kind": column.kind, "label": label_of(column, language)}
    return {**found, "currency": column.currency} if column.kind == "money" else found


def _row(row: Row, section: Section) -> list[Cell]:
    return [_cell(cell, column) for cell, column in zip(row, section.columns, strict=True)]


def _cell(cell: Cell, column: Column) -> Cell:
    return cell if cell is None or column.kind != "money" else written(cell, column)
