"""The parts every door of intake shares: rows, where their values came from, and the limits."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from cbi.fault import Fault, Finding
from cbi.refusal import FileUnreadable

BYTES_MAX = 10 * 1024 * 1024
ROWS_MAX = 50_000
# Blank lines and cells of several lines make more lines than rows, but not without end.
LINES_MAX = 4 * ROWS_MAX
COLUMNS_MAX = 300

# Why a file can't be read at all: Spanish and English.
REASONS: Mapping[str, tuple[str, str]] = {
    "too_large": ("El archivo pesa más de 10 MB.", "The file is larger than 10 MB."),
    "too_many_rows": ("El archivo tiene más de 50 000 filas.", "The file has over 50,000 rows."),
    "too_many_columns": (
        "El archivo tiene más de 300 columnas.",
        "The file has over 300 columns.",
    ),
    "digest": (
        "El archivo recibido no es el que se anunció (SHA-256).",
        "The file that arrived is not the one announced (SHA-256).",
    ),
    "empty": ("El archivo está vacío.", "The file is empty."),
    "not_text": ("El archivo no es texto.", "The file is not text."),
    "workbook": (
        "Es un libro de Excel: guárdelo como CSV.",
        "This is an Excel workbook: save it as CSV.",
    ),
    "not_json": ("El archivo no es JSON válido.", "The file is not valid JSON."),
    "not_a_list": (
        "Se espera una lista de registros.",
        "A list of records is expected.",
    ),
    "header_missing": (
        "No hay una fila de títulos con codigo_hogar y nombres.",
        "There is no header row with codigo_hogar and nombres.",
    ),
    "column_repeated": ("Dos columnas tienen el mismo título.", "Two columns have one title."),
    "csv_syntax": ("La fila no se puede leer como CSV.", "The row can't be read as CSV."),
    "ubigeo_system_reniec": (
        "El archivo usa UBIGEO de RENIEC, que aún no se convierte: use INEI.",
        "The file uses RENIEC's UBIGEO, which isn't converted yet: use INEI.",
    ),
    "ubigeo_system_unknown": (
        "Indique si el UBIGEO es de INEI o de RENIEC.",
        "Say whether the UBIGEO is INEI's or RENIEC's.",
    ),
}


class Cell(NamedTuple):
    """One value as text, with the place it came from."""

    text: str
    row: int
    column: str


Cells = dict[str, Cell]  # by column name of cbi.intake.words


class Entry(NamedTuple):
    """One household as a file tells it, before its values are understood."""

    number: int
    household: Cells
    persons: list[Cells]
    findings: list[tuple[Finding, Cell]]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One household of a file, as household.read wants it. `number` counts from 1."""

    number: int  # line of the file (CSV, JSON lines) or ordinal of the record
    reference: str
    raw: dict[str, object] | None  # None: nothing to read, see the faults
    faults: tuple[Fault, ...]
    origin: Mapping[str, tuple[int, str]]  # path → row and column; empty for JSON


class Location(NamedTuple):
    """Where a fault stands in the file."""

    row: int
    column: str
    es: str
    en: str


def text_of(content: bytes) -> str:
    """Decode UTF-8 (with or without BOM), UTF-16 with BOM, or Windows-1252.

    Raises FileUnreadable for what is not text.
    """
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise FileUnreadable(line=0, reason="workbook")
    encodings = ("utf-8-sig", "cp1252")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ("utf-16", "utf-16")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise FileUnreadable(line=0, reason="not_text")
