"""A report as a noun: what was asked, typed columns, sections of rows, totals. Every form shows it.

Money is minor units of the currency of its column, so that nothing adds up across currencies: a
report of several has a section for each.
"""

import unicodedata
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from cbi.reports.spool import Cell, Row, Spool
from ledger.money import EXPONENTS

# "word" is one of our own, told in the reader's language; "text" comes from people and banks.
# "moment" is a day and time in UTC, "rate" a decimal that is no money.
Kind = Literal["text", "word", "id", "money", "count", "days", "date", "moment", "rate"]
ADDING: tuple[Kind, ...] = ("money", "count")
TEXT_MAX = 500
Given = str | int | date | datetime | UUID | None
# Controls, surrogates, and marks that would show a text in another order than it has.
UNWRITTEN = ("Cc", "Cs", "Cn", "Co")
ORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a section; one of money has a currency. Those that add up have a total."""

    key: str
    kind: Kind
    currency: str = ""
    adds_up: bool = False


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A table. `about` tells it from others of the same key (a currency, say)."""

    key: str
    about: str
    columns: tuple[Column, ...]
    rows: Spool
    totals: Row | None


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """What the report was asked for, or is about."""

    key: str
    kind: Kind
    value: Cell


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the sealed ledger that the report was taken at."""

    size: int
    root: str  # hexadecimal


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """A report, ready to be shown; `checkpoint` is None before anything is sealed."""

    name: str
    parameters: tuple[Parameter, ...]
    checkpoint: Checkpoint | None
    sections: tuple[Section, ...]


class Draft:
    """A section that is being filled; it adds up what comes in."""

    def __init__(self, key: str, *columns: Column, about: str = "") -> None:
        self._key, self._about, self._columns = key, about, columns
        self._rows = Spool()
        self._sums: list[int | None] = [0 if column.adds_up else None for column in columns]

    def add(self, *cells: Given) -> None:
        """Append a row, a cell for each column."""
        assert len(cells) == len(self._columns)
        row = tuple(cell_of(cell) for cell in cells)
        for place, cell in enumerate(row):
            held = self._sums[place]
            if held is not None and cell is not None:
                assert isinstance(cell, int)
                self._sums[place] = held + cell
        self._rows.add(row)

    def section(self) -> Section:
        """End filling."""
        has_totals = any(column.adds_up for column in self._columns)
        return Section(
            key=self._key,
            about=self._about,
            columns=self._columns,
            rows=self._rows,
            totals=tuple(self._sums) if has_totals else None,
        )


class Drafts:
    """A section for each currency that comes up; `columns` says which, given the currency."""

    def __init__(self, key: str, columns: Callable[[str], Iterable[Column]]) -> None:
        self._key, self._columns = key, columns
        self._drafts: dict[str, Draft] = {}

    def of(self, currency: str) -> Draft:
        """Return the section of this currency."""
        if currency not in self._drafts:
            self._drafts[currency] = Draft(self._key, *self._columns(currency), about=currency)
        return self._drafts[currency]

    def sections(self) -> list[Section]:
        """Return what was filled, by currency; one empty section when nothing was."""
        if not self._drafts:
            self.of("")
        return [self._drafts[currency].section() for currency in sorted(self._drafts)]


def text(key: str) -> Column:
    return Column(key=key, kind="text")


def word(key: str) -> Column:
    return Column(key=key, kind="word")


def named(key: str) -> Column:
    return Column(key=key, kind="id")


def day(key: str) -> Column:
    return Column(key=key, kind="date")


def moment(key: str) -> Column:
    return Column(key=key, kind="moment")


def days(key: str) -> Column:
    return Column(key=key, kind="days")


def rate(key: str) -> Column:
    return Column(key=key, kind="rate")


def count(key: str, *, adds_up: bool = True) -> Column:
    return Column(key=key, kind="count", adds_up=adds_up)


def money(key: str, currency: str, *, adds_up: bool = True) -> Column:
    return Column(key=key, kind="money", currency=currency, adds_up=adds_up)


def cell_of(given: Given) -> Cell:
    """Make a cell: dates and moments in ISO 8601, texts as every form can show them."""
    if given is None or (isinstance(given, int) and not isinstance(given, bool)):
        return given
    if isinstance(given, datetime):
        return given.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(given, date):
        return given.isoformat()
    return shown(str(given))


def shown(given: str) -> str:
    """Return a text on one line, without what can't be shown or would show it otherwise."""
    if given.isascii() and given.isprintable() and len(given) <= TEXT_MAX:
        return given
    cut = given if len(given) <= TEXT_MAX else given[: TEXT_MAX - 1] + "…"
    return "".join(_shown(character) for character in cut)


def _shown(character: str) -> str:
    if character in "\t\r\n\u2028\u2029":
        return " "
    if character in ORDERING or unicodedata.category(character) in UNWRITTEN:
        return "\ufffd"
    return character


def written(cell: Cell, column: Column) -> str:
    """Write a cell as every form has it: money with the decimals of its currency, and a point."""
    if cell is None:
        return ""
    if column.kind != "money":
        return str(cell)
    assert isinstance(cell, int)
    # Of a currency that we don't know nobody can say where the point stands.
    digits = EXPONENTS.get(column.currency, 0)
    whole, rest = divmod(abs(cell), 10**digits)
    sign = "-" if cell < 0 else ""
    return f"{sign}{whole}.{rest:0{digits}d}" if digits else f"{sign}{whole}"
