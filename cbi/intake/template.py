"""The workbook that a registrar fills in, in Spanish or English; the same bytes each time.

Whatever it offers is read by intake: its titles and words are those of cbi/intake/labels.json,
which cbi.intake.words knows.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from io import BytesIO
from typing import NamedTuple

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from cbi.intake import drop_downs
from cbi.intake.drop_downs import CREATED, OPTIONS, base
from cbi.intake.words import LABELS, OF_COLUMN, Language, title_of

Line = Mapping[str, str | date]  # by column name of cbi.intake.words

COLUMNS = (
    *("codigo_hogar", "fecha_registro", "ubigeo_inei", "tipo_poblacion", "intencion", "asistencia"),
    *("medio_pago", "banco", "cuenta", "titular_cuenta"),
    *("consentimiento_registro", "consentimiento_duplicados", "consentimiento_pago"),
    *("consentimiento_derivacion", "consentimiento_contacto", "consentimiento_version"),
    *("consentimiento_idioma", "consentimiento_canal", "consentimiento_fecha"),
    *("nombres", "apellidos", "nombre_preferido", "fecha_nacimiento", "precision_nacimiento"),
    *("edad", "sexo", "parentesco", "roles", "vive_en_hogar", "nacionalidad"),
    *("telefono", "telefono_2"),
    *("tipo_documento", "numero_documento", "pais_documento", "vence_documento"),
    *("tipo_documento_2", "numero_documento_2", "pais_documento_2", "vence_documento_2"),
    *("tipo_documento_3", "numero_documento_3", "pais_documento_3", "vence_documento_3"),
    "necesidades",
)
_NAMES = {
    "es": ("Hogares", "Instrucciones", "Listas"),
    "en": ("Households", "Instructions", "Lists"),
}
_SAY = {
    "es": (
        "Una fila por persona. Las filas de un hogar llevan el mismo código.",
        "Los datos del hogar se escriben en su primera fila; pueden quedar vacíos en las demás.",
        "La fila de ejemplo (código EJEMPLO) no se importa: puede borrarla o dejarla.",
        "Fechas: día/mes/año. Los documentos, cuentas y teléfonos son texto: conservan sus ceros.",
        "Donde caben varias palabras, sepárelas con comas.",
        "Registre todos los documentos que la persona haya mostrado, también los vencidos.",
    ),
    "en": (
        "One row for each person. The rows of a household have the same code.",
        "The household's data stand on its first row; on the others they may stay empty.",
        "The example row (code EXAMPLE) is not imported: delete it or leave it.",
        "Dates: day/month/year. Documents, accounts and phones are text: they keep their zeros.",
        "Where several words fit, separate them with commas.",
        "Enter every document that the person ever showed, expired ones too.",
    ),
}
_ALLOWED = {
    **dict.fromkeys(("sort", "autofilter", "insert_rows", "delete_rows"), True),
    **dict.fromkeys(("format_cells", "format_columns", "format_rows"), True),
}


class _Formats(NamedTuple):
    header: Format
    text: Format
    date: Format
    example: Format
    example_date: Format


def write(language: Language, lines: Sequence[Line] = ()) -> bytes:
    """The template, with the example row, and those lines below it, in the language's words."""
    content = BytesIO()
    book = xlsxwriter.Workbook(content, OPTIONS)
    book.set_properties({"created": CREATED})
    name, instructions, lists = _NAMES[language]
    formats = _formats(book)
    sheet = book.add_worksheet(name)
    _instruct(book.add_worksheet(instructions), language, book.add_format({"text_wrap": True}))
    ranges = drop_downs.lists(book.add_worksheet(lists), language)
    for place, column in enumerate(COLUMNS):
        form = formats.date if _is_date(column) else formats.text
        sheet.set_column(place, place, 18, form)
        sheet.write_string(0, place, title_of(column, language), formats.header)
        drop_downs.offer(sheet, place, column, ranges)
    for row, line in enumerate([*example(language), *lines], start=1):
        _put(sheet, row, line, formats, is_example=row <= len(example(language)))
    sheet.freeze_panes(1, 1)
    sheet.protect("", _ALLOWED)
    book.close()
    return content.getvalue()


def example(language: Language) -> list[Line]:
    """A made-up household of two, whose code intake knows and leaves out."""
    code = {"es": "EJEMPLO", "en": "EXAMPLE"}[language]

    def say(column: str, value: str) -> str:
        return LABELS.values[OF_COLUMN[column]][value][language]

    yes, day = say("vive_en_hogar", "yes"), date(2026, 1, 15)
    home: Line = {
        "codigo_hogar": code,
        "fecha_registro": day,
        "ubigeo_inei": "240101",
        "tipo_poblacion": say("tipo_poblacion", "in_destination"),
        "intencion": say("intencion", "stay"),
        "asistencia": say("asistencia", "mpca"),
        "medio_pago": say("medio_pago", "bank_account"),
        "banco": "011",
        "cuenta": "01136600010003254221",
        **dict.fromkeys([each for each in COLUMNS if each.startswith("consentimiento_")], yes),
        "consentimiento_version": "2026-1",
        "consentimiento_idioma": say("consentimiento_idioma", "es"),
        "consentimiento_canal": say("consentimiento_canal", "in_person"),
        "consentimiento_fecha": day,
    }
    head: Line = {
        "nombres": "Yaquelin Milagros",
        "apellidos": "Ejemplar Ficticia",
        "fecha_nacimiento": date(1991, 4, 12),
        "sexo": say("sexo", "F"),
        "parentesco": say("parentesco", "head"),
        "vive_en_hogar": yes,
        "nacionalidad": say("nacionalidad", "VEN"),
        "telefono": "987654321",
        "tipo_documento": say("tipo_documento", "ve-cedula"),
        "numero_documento": "V01234567",
    }
    child: Line = {
        "codigo_hogar": code,
        "nombres": "Usnavi José",
        "apellidos": "Ejemplar",
        "edad": "10",
        "sexo": say("sexo", "M"),
        "parentesco": say("parentesco", "child"),
        "vive_en_hogar": yes,
        "nacionalidad": say("nacionalidad", "VEN"),
    }
    return [{**home, **head}, child]


def _formats(book: xlsxwriter.Workbook) -> _Formats:
    text = {"num_format": "@", "locked": False}
    day = {"num_format": "dd/mm/yyyy", "locked": False}
    made_up = {"italic": True, "font_color": "#808080"}
    return _Formats(
        header=book.add_format({"bold": True, "num_format": "@", "bg_color": "#DDE6F0"}),
        text=book.add_format(text),
        date=book.add_format(day),
        example=book.add_format(text | made_up),
        example_date=book.add_format(day | made_up),
    )


def _put(sheet: Worksheet, row: int, line: Line, formats: _Formats, *, is_example: bool) -> None:
    text, day = formats.text, formats.date
    if is_example:
        text, day = formats.example, formats.example_date
    for place, column in enumerate(COLUMNS):
        value = line.get(column)
        if isinstance(value, date):
            sheet.write_datetime(row, place, value, day)
        elif value:
            sheet.write_string(row, place, value, text)


def _instruct(sheet: Worksheet, language: Language, wrapped: Format) -> None:
    sheet.set_column(0, 0, 28)
    sheet.set_column(1, 2, 60, wrapped)
    for row, text in enumerate(_SAY[language]):
        sheet.write_string(row, 1, text, wrapped)
    for row, column in enumerate(COLUMNS, start=len(_SAY[language]) + 1):
        values = LABELS.values.get(OF_COLUMN.get(base(column), ""), {})
        sheet.write_string(row, 0, title_of(column, language))
        sheet.write_string(row, 1, LABELS.columns[base(column)][language], wrapped)
        sheet.write_string(row, 2, ", ".join(each[language] for each in values.values()), wrapped)
    sheet.protect()


def _is_date(column: str) -> bool:
    return column.startswith(("fecha_", "vence_")) or column == "consentimiento_fecha"
