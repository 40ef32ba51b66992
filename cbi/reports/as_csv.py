"""A report as CSV (RFC 4180, UTF-8 with its mark): what it is about, then section after section."""

import csv
import io
from collections.abc import Iterable
from typing import BinaryIO

from cbi.reports.sheet import Column, Section, Sheet
from cbi.reports.spool import Cell, Row
from cbi.reports.words import Language, label_of, say, title_of, told

# Without it a spreadsheet takes the file for one of its own old character set.
MARK = b"\xef\xbb\xbf"
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
NUMBERS = ("money", "count", "days", "rate")


def write(sheet: Sheet, language: Language, out: BinaryIO) -> None:
    """Write the report; an empty line stands before each section, its totals at its end."""
    out.write(MARK)
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([say("report", sheet.name, language)])
    for parameter in sheet.parameters:
        column = Column(key=parameter.key, kind=parameter.kind)
        label = say("parameter", parameter.key, language)
        writer.writerow([label, _cell(parameter.value, column, language)])
    writer.writerow([say("phrase", "checkpoint", language), *checkpoint_cells(sheet, language)])
    for section in sheet.sections:
        writer.writerow([])
        writer.writerow([title_of(section, language)])
        writer.writerow([label_of(column, language) for column in section.columns])
        writer.writerows(_rows(section, language))
        if section.totals is not None:
            writer.writerow(total_cells(section, language))
    text.flush()
    text.detach()


def checkpoint_cells(sheet: Sheet, language: Language) -> list[Cell]:
    """Say which state of the ledger: size and root, or that nothing is sealed yet."""
    if sheet.checkpoint is None:
        return [say("phrase", "no_checkpoint", language)]
    return [sheet.checkpoint.size, sheet.checkpoint.root]


def total_cells(section: Section, language: Language) -> list[str]:
    """Write the totals; the word for them stands in the first column where none of them does."""
    assert section.totals is not None
    cells = _row(section.totals, section, language)
    word = say("phrase", "total", language)
    free = next((place for place, cell in enumerate(section.totals) if cell is None), None)
    return [word if place == free else cell for place, cell in enumerate(cells)]


def _rows(section: Section, language: Language) -> Iterable[list[str]]:
    return (_row(row, section, language) for row in section.rows)


def _row(row: Row, section: Section, language: Language) -> list[str]:
    pairs = zip(row, section.columns, strict=True)
    return [_cell(cell, column, language) for cell, column in pairs]


def _cell(cell: Cell, column: Column, language: Language) -> str:
    # A spreadsheet would run such a text of a bank or a person as a formula.
    found = told(cell, column, language)
    is_formula = column.kind not in NUMBERS and found.lstrip().startswith(FORMULA_STARTS)
    return f"'{found}" if is_formula else found
