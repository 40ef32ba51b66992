"""How a bank or a provider lays out its tables: which column is what, and how it is written.

A layout is data, kept by its organisation and versioned; nothing of it is code.
"""

from importlib.resources import files
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ledger.money import EXPONENTS
from ledger.statement import Status

Field = Literal[
    "end_to_end_id", "bank_reference", "provider_id", "batch_id", "uetr", "amount", "debit",
    "credit", "direction", "currency", "booked_on", "value_on", "status", "reason", "reference",
    "account", "fees",
]  # fmt: skip
FrameField = Literal[
    "account", "message_id", "currency", "sequence", "booked_on", "opening", "closing", "count"
]
NOT_NUL = r"^[^\x00]*$(?!\n)"  # the database holds no NUL
Word = Annotated[str, Meta(min_length=1, max_length=80, pattern=NOT_NUL)]
Column = Annotated[int, Meta(ge=1, le=256)] | Word
COLUMNS_MAX = 256
EXAMPLES = ("banco-csv", "agente-xlsx")


class Layout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table's columns, by the header's words or by position from 1, and their forms.

    `signs` says how a direction shows: by a sign on the amount, by two columns, by a word, or not
    at all. `frame` maps what stands around the table to the label before it in its row; a label
    is found above the table and below it. `stop` is the word in the first cell that ends the table.
    """

    source: Literal["statement-table", "report-table"]
    form: Literal["csv", "xlsx"]
    columns: Annotated[dict[Field, Column], Meta(min_length=1)]
    signs: Literal["minus_is_debit", "minus_is_credit", "two_columns", "words", "all_debits"]
    charset: Literal["utf-8", "windows-1252", "iso-8859-1"] = "utf-8"
    delimiter: Literal[",", ";", "|", "\t"] = ","
    sheet: Annotated[str, Meta(max_length=31, pattern=NOT_NUL)] = ""
    rows_before: Annotated[int, Meta(ge=0, le=100)] = 0
    has_header: bool = True
    decimal: Literal["point", "comma"] = "point"
    dates: Literal["year_first", "day_first", "month_first", "compact"] = "year_first"
    currency: Annotated[str, Meta(max_length=3, pattern=NOT_NUL)] = ""
    directions: dict[Word, Literal["debit", "credit"]] = {}
    statuses: dict[Word, Status] = {}
    status: Status | None = None
    frame: dict[FrameField, Word] = {}
    stop: Annotated[str, Meta(max_length=80, pattern=NOT_NUL)] = ""


class LayoutFault(msgspec.Struct, frozen=True):
    """What is wrong with a layout, and where."""

    path: str
    reason: str


def check(layout: Layout) -> list[LayoutFault]:
    """Return all that keeps a layout from being used; none, and any table can be tried."""
    columns, frame = layout.columns, layout.frame
    is_statement = layout.source == "statement-table"
    two, words = layout.signs == "two_columns", layout.signs == "words"
    neither = "neither a column nor one for all rows"
    faults = [
        ("columns.debit", "missing", two and "debit" not in columns),
        ("columns.credit", "missing", two and "credit" not in columns),
        ("columns.amount", "missing", not two and "amount" not in columns),
        ("columns.direction", "missing", words and "direction" not in columns),
        ("directions", "missing", words and not layout.directions),
        ("currency", "unknown", layout.currency not in {"", *EXPONENTS}),
        ("currency", neither, not layout.currency and "currency" not in columns),
        ("statuses", "missing", "status" in columns and not layout.statuses),
        ("status", neither, "status" not in columns and layout.status is None),
        ("columns.booked_on", "missing", is_statement and "booked_on" not in columns),
        ("frame.account", "missing", is_statement and "account" not in frame),
        ("columns", "one column for two fields", _doubled(columns)),
        *(
            (f"columns.{field}", "a name without a header", not layout.has_header)
            for field, column in columns.items()
            if isinstance(column, str)
        ),
    ]
    return [LayoutFault(path, reason) for path, reason, is_so in sorted(faults) if is_so]


def _doubled(columns: dict[Field, Column]) -> bool:
    return len({str(column).casefold() for column in columns.values()}) < len(columns)


def example(code: str) -> Layout:
    """Return one of the layouts that come with the program, to begin one's own from."""
    if code not in EXAMPLES:
        raise ValueError(f"{code!r} is no example")
    content = files("ledger.formats").joinpath("layouts", f"{code}.json").read_bytes()
    return msgspec.json.decode(content, type=Layout)
