"""Read the same cells back out of each form of a report."""

import csv
import io
import json
from datetime import date
from decimal import Decimal

from python_calamine import CalamineWorkbook

from cbi.reports import as_csv, as_json, as_pdf, as_xlsx
from cbi.reports.sheet import Sheet, written

WRITERS = {"json": as_json, "csv": as_csv, "xlsx": as_xlsx, "pdf": as_pdf}
NUMBERS = ("money", "count", "days", "rate")


def bytes_of(sheet: Sheet, form: str, language: str = "en") -> bytes:
    out = io.BytesIO()
    WRITERS[form].write(sheet, language, out)
    return out.getvalue()


def _number(cell) -> Decimal | None:
    return None if cell in ("", None) else Decimal(str(cell).replace(",", ""))


def wanted(sheet: Sheet) -> list[list[list[Decimal | None]]]:
    """The numbers of a sheet: section, row (totals last), number."""
    return [
        [
            [
                _number(written(cell, column))
                for cell, column in zip(row, section.columns, strict=True)
                if column.kind in NUMBERS
            ]
            for row in [*section.rows, *([section.totals] if section.totals else [])]
        ]
        for section in sheet.sections
    ]


def _places(sheet):
    return [
        [place for place, column in enumerate(section.columns) if column.kind in NUMBERS]
        for section in sheet.sections
    ]


def of_json(sheet: Sheet):
    found = json.loads(bytes_of(sheet, "json"))
    return [
        [
            [_number(row[place]) for place in places]
            for row in [*section["rows"], *([section["totals"]] if section["totals"] else [])]
        ]
        for section, places in zip(found["sections"], _places(sheet), strict=True)
    ]


def csv_blocks(sheet: Sheet, language: str = "en") -> list[list[list[str]]]:
    """The blocks of the CSV that empty lines part; the first says what the report is."""
    text = bytes_of(sheet, "csv", language).decode("utf-8-sig")
    blocks = [[]]
    for row in csv.reader(io.StringIO(text, newline="")):
        if row:
            blocks[-1].append(row)
        else:
            blocks.append([])
    return blocks


def of_csv(sheet: Sheet):
    return [
        [[_number(row[place]) for place in places] for row in block[2:]]
        for block, places in zip(csv_blocks(sheet)[1:], _places(sheet), strict=True)
    ]


def xlsx_tabs(sheet: Sheet, language: str = "en") -> list[list[list[object]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(bytes_of(sheet, "xlsx", language)))
    return [
        book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names
    ]


def of_xlsx(sheet: Sheet):
    made = []
    for tab, section in zip(xlsx_tabs(sheet)[1:], sheet.sections, strict=True):
        rows = []
        for row in tab[1:]:
            cells = []
            for place, column in enumerate(section.columns):
                if column.kind not in NUMBERS:
                    continue
                cell = row[place] if place < len(row) else ""
                if isinstance(cell, float):
                    cell = round(Decimal(repr(cell)), 12)
                cells.append(_number(cell))
            rows.append(cells)
        made.append(rows)
    return made


def of_pdf(sheet: Sheet):
    """The numbers that the page is set from."""
    found = as_pdf.facts(sheet, "en")
    return [
        [
            [_number(row[place]) for place in places]
            for row in [*section["rows"], *([section["totals"]] if section["totals"] else [])]
        ]
        for section, places in zip(found["sections"], _places(sheet), strict=True)
    ]


def same_in_all(sheet: Sheet) -> None:
    """Each form has the numbers of the sheet, and is the same bytes twice, in both languages."""
    for found in (of_json(sheet), of_csv(sheet), of_xlsx(sheet), of_pdf(sheet)):
        assert found == wanted(sheet)
    for form in WRITERS:
        for language in ("es", "en"):
            assert bytes_of(sheet, form, language) == bytes_of(sheet, form, language), form


def is_date(cell: object) -> bool:
    return isinstance(cell, date)
