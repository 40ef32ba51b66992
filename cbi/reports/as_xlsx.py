"""A report as a workbook: a sheet that says what it is, then one for each section. Row by row."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import BinaryIO, Protocol

import msgspec
import xlsxwriter

from cbi.reports.as_csv import checkpoint_cells
from cbi.reports.sheet import Column, Kind, Section, Sheet, written
from cbi.reports.spool import Cell
from cbi.reports.words import Language, label_of, say, title_of, told
from ledger.money import EXPONENTS

# A worksheet has 1,048,576 rows; a longer section goes on in another.
ROWS_MAX = 1_000_000
# A spreadsheet keeps numbers to fifteen digits; a longer one stays exact as text.
NUMBER_MAX = 10**15
# The same report is the same file, so it can't say when it was made.
MADE = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
WIDTHS: dict[Kind, int] = {
    "text": 28,
    "word": 30,
    "id": 38,
    "money": 18,
    "count": 12,
    "days": 10,
    "date": 12,
    "moment": 22,
    "rate": 14,
}


class Format(Protocol):
    """A cell format of the workbook."""


class Tab(Protocol):
    """What we use of a worksheet."""

    def write_string(self, row: int, col: int, string: str, cell_format: object = None) -> int: ...
    def write_number(
        self, row: int, col: int, number: object, cell_format: object = None
    ) -> int: ...
    def write_datetime(self, row: int, col: int, date: date, cell_format: object = None) -> int: ...
    def set_column(self, first_col: int, last_col: int, width: float) -> int: ...
    def freeze_panes(self, row: int, col: int) -> None: ...
    def autofilter(self, a: int, b: int, c: int, d: int) -> int: ...


class _Book(msgspec.Struct, frozen=True, kw_only=True):
    book: xlsxwriter.Workbook
    language: Language
    title: Format
    label: Format
    date: Format
    formats: dict[tuple[str, bool], Format]

    def format_of(self, column: Column, *, is_total: bool) -> Format:
        """Return the format of a column's cells; made once, for a workbook keeps each."""
        shape = "#,##0"
        match column.kind:
            case "money":
                digits = EXPONENTS.get(column.currency, 0)
                shape = f"#,##0.{'0' * digits}" if digits else "#,##0"
            case "rate":
                shape = "0.############"
            case "date":
                shape = "yyyy-mm-dd"
            case "text" | "word" | "id" | "moment":
                shape = "@"
        if (shape, is_total) not in self.formats:
            facts: dict[str, object] = {"num_format": shape}
            if is_total:
                facts |= {"bold": True, "top": 1}
            self.formats[shape, is_total] = self.book.add_format(facts)
        return self.formats[shape, is_total]


def write(sheet: Sheet, language: Language, out: BinaryIO) -> None:
    """Write the workbook; memory does not grow with the rows."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "default_date_format": "yyyy-mm-dd",
    }
    with xlsxwriter.Workbook(out, options) as book:
        title = say("report", sheet.name, language)
        book.set_properties({"title": title, "created": MADE})
        made = _Book(
            book=book,
            language=language,
            title=book.add_format({"bold": True, "font_size": 14}),
            label=book.add_format({"bold": True, "bg_color": "#E7ECF2", "bottom": 1}),
            date=book.add_format({"num_format": "yyyy-mm-dd"}),
            formats={},
        )
        _front(made, sheet, book.add_worksheet(say("phrase", "front", language)))
        number = 0
        for section in sheet.sections:
            number = _section(made, section, number)


def _front(made: _Book, sheet: Sheet, tab: Tab) -> None:
    language = made.language
    tab.set_column(0, 0, 34)
    tab.set_column(1, 1, 68)
    tab.write_string(0, 0, say("report", sheet.name, language), made.title)
    place = 2
    for parameter in sheet.parameters:
        column = Column(key=parameter.key, kind=parameter.kind)
        tab.write_string(place, 0, say("parameter", parameter.key, language))
        _cell(made, tab, (place, 1), parameter.value, column)
        place += 1
    tab.write_string(place, 0, say("phrase", "checkpoint", language))
    for nth, cell in enumerate(checkpoint_cells(sheet, language), start=1):
        tab.write_string(place, nth, str(cell))
    place += 2
    tab.write_string(place, 0, say("phrase", "sections", language), made.label)
    tab.write_string(place, 1, say("phrase", "rows", language), made.label)
    for nth, section in enumerate(sheet.sections, start=place + 1):
        tab.write_string(nth, 0, title_of(section, language))
        tab.write_number(nth, 1, len(section.rows))


def _section(made: _Book, section: Section, number: int) -> int:
    """Write a section into worksheets of its own; return how many there are now."""
    tab, place, first = None, 0, number
    for row in section.rows:
        if tab is None or place == ROWS_MAX:
            if tab is not None:
                tab.autofilter(0, 0, place, len(section.columns) - 1)
            number, place = number + 1, 0
            tab = _tab(made, section, number)
        place += 1
        for column_no, (cell, column) in enumerate(zip(row, section.columns, strict=True)):
            _cell(made, tab, (place, column_no), cell, column)
    if tab is None:
        number = first + 1
        tab = _tab(made, section, number)
    tab.autofilter(0, 0, place, len(section.columns) - 1)
    if section.totals is not None:
        _totals(made, tab, section, place + 1)
    return number


def _tab(made: _Book, section: Section, number: int) -> Tab:
    # A worksheet's name has 31 characters and may not come twice.
    name = f"{number} {say('section', section.key, made.language)}"[:31]
    tab: Tab = made.book.add_worksheet(name)
    tab.freeze_panes(1, 0)
    for place, column in enumerate(section.columns):
        label = label_of(column, made.language)
        tab.set_column(place, place, max(WIDTHS[column.kind], len(label) + 4))
        tab.write_string(0, place, label, made.label)
    return tab


def _totals(made: _Book, tab: Tab, section: Section, place: int) -> None:
    assert section.totals is not None
    free = next((nth for nth, cell in enumerate(section.totals) if cell is None), None)
    for nth, (cell, column) in enumerate(zip(section.totals, section.columns, strict=True)):
        if nth == free:
            total = Column(key="total", kind="text")
            word = say("phrase", "total", made.language)
            tab.write_string(place, nth, word, made.format_of(total, is_total=True))
        else:
            _cell(made, tab, (place, nth), cell, column, is_total=True)


def _cell(
    made: _Book,
    tab: Tab,
    place: tuple[int, int],
    cell: Cell,
    column: Column,
    *,
    is_total: bool = False,
) -> None:
    if cell is None or cell == "":
        return
    row, col = place
    shape = made.format_of(column, is_total=is_total)
    match column.kind:
        case "money" | "count" | "days" | "rate":
            number = Decimal(written(cell, column))
            if len(number.as_tuple().digits) <= len(str(NUMBER_MAX)) - 1:
                tab.write_number(row, col, number, shape)
            else:
                tab.write_string(row, col, written(cell, column), shape)
        case "date" if str(cell) >= "1900-03-01":
            tab.write_datetime(row, col, date.fromisoformat(str(cell)), shape)
        case _:
            tab.write_string(row, col, told(cell, column, made.language), shape)
