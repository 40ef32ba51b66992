"""The parts every door of intake shares: rows, where their values came from, and the limits."""

import codecs
from collections.abc import Mapping
from datetime import date
from typing import Literal, NamedTuple

import msgspec

from cbi.fault import Fault, Finding
from cbi.refusal import FileUnreadable

BYTES_MAX = 64 * 1024 * 1024
# Households of a file, and the lines on which their persons stand.
ROWS_MAX = 50_000
LINES_MAX = 250_000
# Blank lines and cells of several lines make more line breaks than lines, but not without end.
BREAKS_MAX = 4 * LINES_MAX
COLUMNS_MAX = 300
PIECE_BYTES = 256 * 1024

# Why a file can't be read at all: Spanish and English.
REASONS: Mapping[str, tuple[str, str]] = {
    "too_large": ("El archivo pesa más de 64 MB.", "The file is larger than 64 MB."),
    "too_many_rows": (
        "El archivo tiene más de 50 000 hogares o 250 000 filas (2 000 hogares por solicitud).",
        "The file has over 50,000 households or 250,000 rows (2,000 households a request).",
    ),
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
        "Es un libro de Excel: envíelo como xlsx.",
        "This is an Excel workbook: send it as xlsx.",
    ),
    "not_a_workbook": (
        "No es un libro de Excel (.xlsx).",
        "This is not an Excel workbook (.xlsx).",
    ),
    "workbook_old": (
        "Es un libro de Excel antiguo (.xls): guárdelo como .xlsx.",
        "This is an old Excel workbook (.xls): save it as .xlsx.",
    ),
    "workbook_encrypted": (
        "El libro tiene contraseña: guárdelo sin ella.",
        "The workbook has a password: save it without.",
    ),
    "workbook_other": (
        "Es otro tipo de libro (.xlsb, .ods): guárdelo como .xlsx.",
        "This is another kind of workbook (.xlsb, .ods): save it as .xlsx.",
    ),
    "workbook_unfolds": (
        "El libro se despliega a más de lo permitido: copie los datos a un libro nuevo.",
        "The workbook unfolds to more than is allowed: copy the data to a new one.",
    ),
    "workbook_sheets": (
        "El libro tiene más de 50 hojas.",
        "The workbook has over 50 sheets.",
    ),
    "only_example": (
        "El archivo solo tiene la fila de ejemplo de la plantilla.",
        "The file has only the template's example row.",
    ),
    "one_submission": (
        "Se espera un solo envío de KoboToolbox.",
        "One submission of KoboToolbox is expected.",
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
    "ubigeo_system_unknown": (
        "Diga si el UBIGEO es de INEI o RENIEC, o titule la columna ubigeo_inei o ubigeo_reniec.",
        "Say if the UBIGEO is INEI's or RENIEC's, or title it ubigeo_inei or ubigeo_reniec.",
    ),
}


# What a workbook knows of a cell; a text file knows text only.
Kind = Literal["text", "number", "date", "bool"]


class Cell(NamedTuple):
    """One value as text, with the place it came from; `sheet` only where several are read."""

    text: str
    row: int
    column: str
    kind: Kind = "text"
    sheet: str = ""


Cells = dict[str, Cell]  # by column name of cbi.intake.words


class Entry(NamedTuple):
    """One household as a file tells it, before its values are understood."""

    number: int
    household: Cells
    persons: list[Cells]
    findings: list[tuple[Finding, Cell]]
    sheet: str = ""


class Submission(NamedTuple):
    """Which submission of a form a record is, and which one it replaces; "" for none."""

    instance: str
    replaces: str
    has_code: bool  # of the household, asked by the form


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One household of a file, as household.read wants it. `number` counts from 1."""

    number: int  # first line of the household (CSV, XLSX), line (NDJSON) or ordinal of the record
    reference: str
    raw: dict[str, object] | None  # None: nothing to read, see the faults
    faults: tuple[Fault, ...]
    origin: Mapping[str, Cell]  # path → the cell it came from; empty for JSON
    sheet: str = ""
    submission: Submission | None = None
    taken_on: date | None = None  # where a device says when; otherwise the form may


class Location(NamedTuple):
    """Where a fault stands in the file."""

    row: int
    column: str
    es: str
    en: str
    sheet: str = ""


def encoding_of(content: bytes) -> str:
    """UTF-8 (with or without BOM), UTF-16 with BOM, or Windows-1252.

    Raises FileUnreadable for what is not text, and for more lines than a file may have.
    """
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise FileUnreadable(line=0, reason="workbook")
    encodings = ("utf-8-sig", "cp1252")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ("utf-16", "utf-16")
    for encoding in encodings:
        if _decodes(content, encoding):
            return encoding
    raise FileUnreadable(line=0, reason="not_text")


def _decodes(content: bytes, encoding: str) -> bool:
    """Decode piece by piece, and count what breaks lines before anything is built of them."""
    decoder = codecs.getincrementaldecoder(encoding)()
    breaks, last, view = 0, "", memoryview(content)
    try:
        for at in range(0, len(content), PIECE_BYTES):
            text = decoder.decode(view[at : at + PIECE_BYTES], at + PIECE_BYTES >= len(content))
            if "\x00" in text:
                return False
            breaks += text.count("\n") + text.count("\r") - text.count("\r\n")
            breaks -= last.endswith("\r") and text.startswith("\n")
            if breaks > BREAKS_MAX:
                raise FileUnreadable(line=0, reason="too_many_rows")
            last = text
    except UnicodeDecodeError:
        return False
    return True
