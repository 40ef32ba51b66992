"""CSV and XLSX: a bank's statement or a provider's report as a table, read by its layout."""

import csv
import numbers
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import BinaryIO

from ledger import money
from ledger.formats import workbook, xml
from ledger.formats.entry import Direction
from ledger.formats.layout import COLUMNS_MAX, Field, FrameField, Layout
from ledger.formats.xml import Fault, Unreadable
from ledger.money import Money
from ledger.statement import Frame, Line, RejectedLine, Status

Cell = object
LINE_BYTES_MAX = 64 * 1024
ROWS_MAX = 2_000_000
ROWS_AFTER_MAX = 100
SEQUENCE_DIGITS_MAX = 18
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
DATES = {
    "year_first": re.compile(r"(?P<y>[0-9]{4})[-/.](?P<m>[0-9]{1,2})[-/.](?P<d>[0-9]{1,2})"),
    "day_first": re.compile(r"(?P<d>[0-9]{1,2})[-/.](?P<m>[0-9]{1,2})[-/.](?P<y>[0-9]{4})"),
    "month_first": re.compile(r"(?P<m>[0-9]{1,2})[-/.](?P<d>[0-9]{1,2})[-/.](?P<y>[0-9]{4})"),
    "compact": re.compile(r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})"),
}
TIME = re.compile(r"[T ][0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?$")
UNREADABLE_CHARACTERS = "\0\ufffd"


def read(file: BinaryIO, layout: Layout) -> Iterator[Line | RejectedLine | Frame]:
    """Yield the table's lines and then its frame; empty rows and what is no row are left out."""
    rows = workbook.rows(file, layout.sheet) if layout.form == "xlsx" else _csv_rows(file, layout)
    around: dict[FrameField, Cell] = {}
    places: dict[Field, int] | None = None
    if not layout.has_header:
        places = {field: int(column) - 1 for field, column in layout.columns.items()}
    ordinal, after, lines, currency = 0, 0, 0, ""
    for number, row in rows:
        after = _after(layout, row, number, after)
        if after or number <= layout.rows_before:
            _look(layout, row, around)
        elif places is None:
            places = _places(layout, row, number)
        elif any(_text(cell) for cell in row):
            ordinal += 1
            part = _row(layout, places, row, ordinal=ordinal, number=number)
            if isinstance(part, Line):
                lines += 1
                currency = currency or ("" if part.money is None else part.money.currency)
            yield part
    if places is None:
        raise Unreadable("row 1", "no header where the layout has it")
    if ordinal and not lines:
        # Kept as read, the file could not be read again by the right layout.
        raise Unreadable("row 1", "no row can be read by this layout")
    frame, faults = _frame(layout, around, layout.currency or currency, ordinal)
    for fault in faults:
        yield RejectedLine(ordinal=0, where=fault.where, reason=fault.reason)
    yield frame


def _after(layout: Layout, row: Sequence[Cell], number: int, after: int) -> int:
    """Count the rows from the one that ends the table."""
    if not after and not _ends(layout, row, number):
        return 0
    if after >= ROWS_AFTER_MAX:
        raise Unreadable(f"row {number}", f"more than {ROWS_AFTER_MAX} after the table")
    return after + 1


def _ends(layout: Layout, row: Sequence[Cell], number: int) -> bool:
    is_within = number > layout.rows_before and layout.stop != ""
    return is_within and _folded(_text(row[0] if row else "")) == _folded(layout.stop)


def _row(
    layout: Layout, places: dict[Field, int], row: Sequence[Cell], *, ordinal: int, number: int
) -> Line | RejectedLine:
    if ordinal > ROWS_MAX:
        raise Unreadable(f"row {number}", f"more than {ROWS_MAX} rows")
    try:
        return _Row(layout, places, row).line(ordinal)
    except Fault as fault:
        where = f"row {number}/{fault.where}"
        return RejectedLine(ordinal=ordinal, where=where, reason=fault.reason)


def _csv_rows(file: BinaryIO, layout: Layout) -> Iterator[tuple[int, Sequence[Cell]]]:
    file.seek(0)
    reader = csv.reader(_lines(file, layout.charset), delimiter=layout.delimiter, strict=True)
    number = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            where = f"line {reader.line_num}, byte {file.tell()}"
            raise Unreadable(where, "not a table with this delimiter") from None
        number += 1
        if len(row) > COLUMNS_MAX:
            where = f"line {reader.line_num}, byte {file.tell()}"
            raise Unreadable(where, f"more than {COLUMNS_MAX} columns")
        yield number, row


def _lines(file: BinaryIO, charset: str) -> Iterator[str]:
    size = 0
    for number, raw in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""), start=1):
        if len(raw) > LINE_BYTES_MAX:
            where = f"line {number}, byte {size}"
            raise Unreadable(where, f"a line of more than {LINE_BYTES_MAX} bytes")
        size += len(raw)
        # A character that is none spoils its own row and no other.
        yield (raw.removeprefix(xml.BOM) if number == 1 else raw).decode(charset, errors="replace")


def _places(layout: Layout, header: Sequence[Cell], number: int) -> dict[Field, int]:
    names = [_folded(_text(cell)) for cell in header]
    places: dict[Field, int] = {}
    for field, column in layout.columns.items():
        if isinstance(column, int):
            places[field] = column - 1
        elif names.count(_folded(column)) == 1:
            places[field] = names.index(_folded(column))
        else:
            # The header is content too, so the refusal names the field and not its words.
            raise Unreadable(f"row {number}/{field}", "the header has no such column, or several")
    return places


def _look(layout: Layout, row: Sequence[Cell], around: dict[FrameField, Cell]) -> None:
    """Take what stands behind a label; the first of a label counts."""
    for place, cell in enumerate(row):
        word = _folded(_text(cell)).rstrip(": ")
        for field, label in layout.frame.items():
            if word == _folded(label).rstrip(": ") and field not in around:
                value = next((one for one in row[place + 1 :] if _text(one)), None)
                if value is not None:
                    around[field] = value


class _Row:
    """One row of the table under its layout."""

    def __init__(self, layout: Layout, places: dict[Field, int], row: Sequence[Cell]) -> None:
        self.layout = layout
        self.cells: dict[Field, Cell] = {
            field: row[place] for field, place in places.items() if place < len(row)
        }
        for field in self.cells:
            if any(one in self.text(field) for one in UNREADABLE_CHARACTERS):
                raise Fault(field, "not in the character set")

    def text(self, field: Field) -> str:
        return _text(self.cells.get(field, ""))

    def identifier(self, field: Field) -> str:
        value = self.text(field)
        if len(value) > xml.IDENTIFIER_MAX:
            raise Fault(field, f"longer than {xml.IDENTIFIER_MAX} characters")
        return "" if value == xml.NOT_PROVIDED else value

    def line(self, ordinal: int) -> Line:
        status = self._status()
        amount, direction = self._money(status)
        return Line(
            source=self.layout.source,
            ordinal=ordinal,
            status=status,
            direction=direction,
            end_to_end_id=self.identifier("end_to_end_id"),
            bank_reference=self.identifier("bank_reference"),
            money=amount,
            booked_on=self._day("booked_on"),
            reason=self._reason(),
            uetr=self.text("uetr").lower()[: xml.UETR_CHARACTERS],
            provider_id=self.identifier("provider_id"),
            batch_id=self.identifier("batch_id"),
            account=self.text("account")[: xml.TEXT_MAX],
            reference=self.text("reference")[: xml.REFERENCE_MAX],
            value_on=self._day("value_on"),
            fees=self._fees(),
        )

    def _status(self) -> Status:
        word = _folded(self.text("status"))
        for known, status in self.layout.statuses.items():
            if _folded(known) == word:
                return status
        if word or self.layout.status is None:
            raise Fault("status", "a status that is not known here")
        return self.layout.status

    def _money(self, status: Status) -> tuple[Money | None, Direction]:
        signs = self.layout.signs
        if signs == "two_columns":
            return self._of_two_columns()
        amount = self._amount("amount")
        if amount is None:
            raise Fault("amount", "missing")
        if signs == "words":
            direction = self._told_direction()
        elif signs == "all_debits":
            direction = "credit" if status == "returned" else "debit"
        else:
            is_debit = (amount.amount_minor < 0) == (signs == "minus_is_debit")
            direction = "debit" if is_debit else "credit"
            amount = Money(amount_minor=abs(amount.amount_minor), currency=amount.currency)
        if amount.amount_minor < 0:
            raise Fault("amount", "not an amount of its currency")
        return amount, direction

    def _of_two_columns(self) -> tuple[Money, Direction]:
        debit, credit = self._amount("debit"), self._amount("credit")
        told = [
            (one, side)
            for one, side in ((debit, "debit"), (credit, "credit"))
            if one is not None and one.amount_minor != 0
        ]
        if len(told) != 1:
            raise Fault("debit", "not exactly one of debit and credit")
        amount, side = told[0]
        # Some banks write what leaves with a minus, also in a column of its own.
        minor = abs(amount.amount_minor) if side == "debit" else amount.amount_minor
        if minor < 0:
            raise Fault("credit", "not an amount of its currency")
        return Money(amount_minor=minor, currency=amount.currency), (
            "debit" if side == "debit" else "credit"
        )

    def _told_direction(self) -> Direction:
        word = _folded(self.text("direction"))
        for known, direction in self.layout.directions.items():
            if _folded(known) == word:
                return direction
        raise Fault("direction", "a direction that is not known here")

    def _amount(self, field: Field) -> Money | None:
        currency = self.text("currency").upper() or self.layout.currency
        return amount_of(self.cells.get(field, ""), currency, self.layout, field)

    def _fees(self) -> Money | None:
        fees = self._amount("fees")
        if fees is None:
            return None
        return Money(amount_minor=abs(fees.amount_minor), currency=fees.currency)

    def _day(self, field: Field) -> date | None:
        cell = self.cells.get(field, "")
        return day_of(cell, self.layout, field) if _text(cell) else None

    def _reason(self) -> str:
        word = self.text("reason").upper()
        return word if xml.REASON.fullmatch(word) or not word else xml.NARRATIVE


def amount_of(cell: Cell, currency: str, layout: Layout, where: str) -> Money | None:
    """Read an amount as the layout has it, or as a number where the cell is one; "" is None."""
    if not _text(cell):
        return None
    if currency not in money.EXPONENTS:
        raise Fault("currency", xml.CURRENCY_UNKNOWN)
    if isinstance(cell, numbers.Real) and not isinstance(cell, bool):
        # A spreadsheet computes with 15 digits and shows no more.
        written = f"{cell:.15g}"
    else:
        written = _text(cell).replace("\u00a0", "").replace(" ", "").replace("'", "")
        if layout.decimal == "comma":
            written = written.translate({ord(","): ".", ord("."): ","})
    is_negative = written.startswith(("-", "(")) or written.endswith("-")
    written = written.removeprefix("-").removeprefix("+").removesuffix("-")
    if written.startswith("(") and written.endswith(")"):
        written = written[1:-1]
    if not NUMBER.fullmatch(written) and not GROUPED.fullmatch(written):
        raise Fault(where, "not an amount of its currency")
    digits = written.replace(",", "")
    read = xml.money_of(f"0{digits}" if digits.startswith(".") else digits, currency, where)
    return Money(amount_minor=-read.amount_minor, currency=currency) if is_negative else read


def day_of(cell: Cell, layout: Layout, where: str) -> date:
    """Read a day as the layout has it, or as a date where the cell is one."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    found = DATES[layout.dates].fullmatch(TIME.sub("", _text(cell)))
    try:
        return date(int(found["y"]), int(found["m"]), int(found["d"])) if found else date(0, 0, 0)
    except ValueError:
        raise Fault(where, "not a date") from None


def _frame(
    layout: Layout, around: dict[FrameField, Cell], currency: str, count: int
) -> tuple[Frame, list[Fault]]:
    faults: list[Fault] = []
    currency = _text(around.get("currency", "")).upper()[:3] or currency
    balances: dict[str, Money | None] = {"opening": None, "closing": None}
    booked_on: date | None = None
    for side in balances:
        try:
            cell = around.get(side, "")  # type: ignore[call-overload]
            balances[side] = amount_of(cell, currency, layout, side)
        except Fault as fault:
            faults.append(Fault(f"frame/{fault.where}", fault.reason))
    try:
        if "booked_on" in around:
            booked_on = day_of(around["booked_on"], layout, "booked_on")
    except Fault as fault:
        faults.append(Fault(f"frame/{fault.where}", fault.reason))
    sequence = _number(around, "sequence", faults)
    declared = _number(around, "count", faults)
    if declared is not None and declared != count:
        faults.append(Fault("frame/count", "another number of rows than the table declares"))
    return Frame(
        source=layout.source,
        message_id=_text(around.get("message_id", ""))[: xml.IDENTIFIER_MAX],
        original_message_id="",
        account=_text(around.get("account", ""))[: xml.TEXT_MAX],
        currency=currency,
        sequence=sequence,
        booked_on=booked_on,
        opening=balances["opening"],
        closing=balances["closing"],
    ), faults


def _number(around: dict[FrameField, Cell], field: FrameField, faults: list[Fault]) -> int | None:
    digits = _text(around.get(field, ""))
    if not digits:
        return None
    if digits.isascii() and digits.isdecimal() and len(digits) <= SEQUENCE_DIGITS_MAX:
        return int(digits)
    faults.append(Fault(f"frame/{field}", "not a number"))
    return None


def _text(cell: Cell) -> str:
    if cell is None or cell == "":
        return ""
    if isinstance(cell, numbers.Real) and not isinstance(cell, bool):
        return f"{cell:.15g}"
    return str(cell).strip()


def _folded(word: str) -> str:
    return " ".join(word.casefold().split())
