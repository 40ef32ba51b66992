"""The XLSForm that KoboToolbox and ODK take in; its questions have the names intake reads.

Written from the same labels as the template, in Spanish and English, the same bytes each time.
The consent text itself is the sub-group's: the form has a note for each version of it to paste
the text into, and sends the version with the answers.
"""

from collections.abc import Iterator
from io import BytesIO

import xlsxwriter

from cbi.intake.drop_downs import CREATED, OPTIONS
from cbi.intake.words import LABELS, OF_COLUMN

CONSENT_VERSIONS = ("2026-1",)
FORM_VERSION = "2026060101"

_LANGUAGES = (("es", "Español (es)"), ("en", "English (en)"))
_SURVEY = (
    *("type", "name", *(f"label::{title}" for _, title in _LANGUAGES)),
    *("required", "relevant", "constraint"),
    *(f"constraint_message::{title}" for _, title in _LANGUAGES),
    *("default", "appearance"),
)
_PAST = {
    "constraint": ". <= today()",
    "es": "La fecha está en el futuro.",
    "en": "The date is in the future.",
}
_ACCOUNT = {"relevant": "selected('bank_account mobile_wallet', ${medio_pago})"}
_NEEDED = {"required": "yes"}
_ISSUED = {"relevant": "${tipo_documento} = 'passport' or ${tipo_documento} = 'other'"}
_SEVERAL = frozenset({"asistencia", "roles", "necesidades"})
_DATES = ("fecha_", "vence_")
_GROUPS = {
    "hogar": ("Hogar", "Household"),
    "consentimientos": ("Consentimientos", "Consents"),
    "pago": ("Medio de pago", "Payment"),
    "personas": ("Personas del hogar", "Persons of the household"),
    "documentos": ("Documentos de la persona", "Documents of the person"),
}
_REPEATS = frozenset({"personas", "documentos"})

Row = dict[str, str]


def write() -> bytes:
    """The form as a workbook of three sheets: survey, choices, settings."""
    content = BytesIO()
    book = xlsxwriter.Workbook(content, OPTIONS)
    book.set_properties({"created": CREATED})
    title = book.add_format({"bold": True})
    text = book.add_format({"num_format": "@"})
    choices = ("list_name", "name", *(f"label::{each}" for _, each in _LANGUAGES))
    settings = ("form_title", "form_id", "version", "default_language")
    for name, titles, rows in (
        ("survey", _SURVEY, list(_survey())),
        ("choices", choices, list(_choices())),
        ("settings", settings, [_settings()]),
    ):
        sheet = book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(titles), 24, text)
        for place, each in enumerate(titles):
            sheet.write_string(0, place, each, title)
            for number, row in enumerate(rows, start=1):
                if row.get(each):
                    sheet.write_string(number, place, row[each], text)
    book.close()
    return content.getvalue()


def _survey() -> Iterator[Row]:
    yield {"type": "start", "name": "start"}
    yield {"type": "end", "name": "end"}
    yield from _group("hogar", _home())
    yield from _group("consentimientos", _consents())
    yield from _group("pago", _payment())
    yield from _group("personas", _person())


def _group(name: str, rows: Iterator[Row]) -> Iterator[Row]:
    kind = "repeat" if name in _REPEATS else "group"
    yield {"type": f"begin_{kind}", "name": name, **_labelled(*_GROUPS[name])}
    yield from rows
    yield {"type": f"end_{kind}"}


def _home() -> Iterator[Row]:
    yield _question("codigo_hogar", **_NEEDED)
    yield _question("fecha_registro", default="today()", **_NEEDED, **_PAST)
    yield _question(
        "ubigeo_inei",
        constraint="regex(., '^[0-9]{6}$')",
        es="El UBIGEO tiene 6 cifras.",
        en="A UBIGEO has 6 digits.",
        appearance="numbers",
        **_NEEDED,
    )
    yield _question("tipo_poblacion", **_NEEDED)
    yield _question("intencion")
    yield _question("asistencia")


def _consents() -> Iterator[Row]:
    yield {
        "type": "select_one consent_version",
        "name": "consentimiento_version",
        "default": CONSENT_VERSIONS[-1],
        **_label("consentimiento_version"),
        **_NEEDED,
    }
    for version in CONSENT_VERSIONS:
        yield {
            "type": "note",
            "name": f"texto_{version.replace('-', '_')}",
            "relevant": f"${{consentimiento_version}} = '{version}'",
            **_labelled(
                f"[Pegue aquí el texto de consentimiento, versión {version}]",
                f"[Paste the consent text here, version {version}]",
            ),
        }
    yield _question("consentimiento_idioma", default="es", **_NEEDED)
    yield _question("consentimiento_canal", default="in_person", **_NEEDED)
    yield _question(
        "consentimiento_registro",
        constraint=". = 'yes'",
        es="Sin consentimiento no se registra: termine aquí y borre el formulario.",
        en="Without consent nobody is registered: stop here and delete the form.",
        **_NEEDED,
    )
    for name in ("duplicados", "pago", "derivacion", "contacto"):
        yield _question(f"consentimiento_{name}", **_NEEDED)


def _payment() -> Iterator[Row]:
    yield _question("medio_pago")
    yield _question("banco", **_ACCOUNT)
    yield _question("cuenta", **_ACCOUNT, **_NEEDED)
    yield _question("titular_cuenta", default="primary_collector", **_ACCOUNT)


def _person() -> Iterator[Row]:
    yield _question("nombres", **_NEEDED)
    for name in ("apellidos", "nombre_preferido"):
        yield _question(name)
    yield _question("fecha_nacimiento", **_PAST)
    yield _question("precision_nacimiento", relevant="${fecha_nacimiento} != ''", default="day")
    yield _question(
        "edad",
        relevant="${fecha_nacimiento} = ''",
        constraint=". >= 0 and . <= 120",
        es="La edad va de 0 a 120.",
        en="Ages go from 0 to 120.",
    )
    yield _question("sexo", **_NEEDED)
    yield _question("parentesco", **_NEEDED)
    yield _question("roles")
    yield _question("vive_en_hogar", default="yes", **_NEEDED)
    yield _question("nacionalidad")
    yield _question("telefono", appearance="numbers")
    yield {**_question("telefono", appearance="numbers"), "name": "telefono_2"}
    yield _question("necesidades")
    yield from _group("documentos", _document())


def _document() -> Iterator[Row]:
    yield _question("tipo_documento", **_NEEDED)
    yield _question(
        "numero_documento",
        constraint="string-length(.) <= 40 and regex(., '.*[0-9A-Za-z].*')",
        es="Escriba el número como figura en el documento.",
        en="Write the number as the document has it.",
        **_NEEDED,
    )
    yield _question("pais_documento", **_ISSUED)
    yield _question("vence_documento")


def _question(name: str, *, es: str = "", en: str = "", **facts: str) -> Row:
    """A question by its column; `es` and `en` say what its constraint wants."""
    codes = OF_COLUMN.get(name)
    kind = "date" if name.startswith(_DATES) else "integer" if name == "edad" else "text"
    if codes is not None:
        kind = f"select_{'multiple' if name in _SEVERAL else 'one'} {codes}"
    wants = {"constraint_message::Español (es)": es, "constraint_message::English (en)": en}
    return {"type": kind, "name": name, **_label(name), **facts, **wants}


def _label(name: str) -> Row:
    label = LABELS.columns[name]
    return _labelled(label["es"], label["en"])


def _labelled(es: str, en: str) -> Row:
    return {"label::Español (es)": es, "label::English (en)": en}


def _choices() -> Iterator[Row]:
    for version in CONSENT_VERSIONS:
        yield {"list_name": "consent_version", "name": version, **_labelled(version, version)}
    for key, values in LABELS.values.items():
        for code, label in values.items():
            yield {"list_name": key, "name": code, **_labelled(label["es"], label["en"])}


def _settings() -> Row:
    return {
        "form_title": "Registro de hogares / Household registration",
        "form_id": "cbi_registro",
        "version": FORM_VERSION,
        "default_language": "Español (es)",
    }
