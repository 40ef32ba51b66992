"""Identity documents as they are shown, and the form of their numbers.

Only the DNI and the RUC have check digits one can rely on; what is merely usual is a warning.
"""

import re
from datetime import date
from typing import Annotated, Literal

import msgspec
from stdnum.exceptions import InvalidChecksum, ValidationError
from stdnum.pe import cui, ruc

DocumentType = Literal[
    "pe-dni",
    "pe-ruc",
    "pe-ce",
    "pe-ptp",
    "pe-cpp",
    "pe-asylum",
    "pe-tam",
    "ve-cedula",
    "passport",
    "birth-cert",
    "other",
]

# Evidence only: two persons may show the same one.
NOT_UNIQUE: frozenset[str] = frozenset({"pe-tam", "birth-cert"})

# Usual forms (certainty: likely), as a pattern of the compacted number and in words.
_USUAL = {
    "pe-ce": (re.compile(r"[0-9]{9,12}"), "9–12"),
    "pe-ptp": (re.compile(r"[0-9]{8,10}"), "9"),
    "pe-cpp": (re.compile(r"[0-9]{8,10}"), "9"),
    "ve-cedula": (re.compile(r"[VE]?[0-9]{5,8}"), "V/E + 5–8"),
    "passport": (re.compile(r"[A-Z0-9]{6,9}"), "6–9"),
}


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document a person has shown, whenever that was; an expired one still identifies."""

    type: DocumentType
    number: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    country: Annotated[str, msgspec.Meta(max_length=3)] = ""  # ISO 3166-1 alpha-3
    expires_on: date | None = None


def compact(number: str) -> str:
    """The number without blanks, dots and dashes, in capitals: for comparing, not for keeping."""
    return re.sub(r"[^0-9A-Z]", "", number.upper())


def issuer(document: Document) -> str:
    """The country that issued the document: told by its type, else as given."""
    prefix = document.type.split("-")[0]
    return {"pe": "PER", "ve": "VEN"}.get(prefix, document.country)


def number_fault(document: Document) -> tuple[str, str, Literal["error", "warning"] | None] | None:
    """What is wrong with the number: code, the form wanted, and level unless it is the usual."""
    number = compact(document.number)
    if document.type == "pe-dni":
        if re.fullmatch(r"[0-9]{5,7}", number):
            return ("document_short", "", None)
        return _checked(cui, number, "8")
    if document.type == "pe-ruc":
        return _checked(ruc, number, "11")
    usual = _USUAL.get(document.type)
    if usual is not None and usual[0].fullmatch(number) is None:
        return ("document_form", usual[1], None)
    if usual is None and not number:
        return ("document_form", "1+", "error")
    return None


def _checked(
    standard: object, number: str, form: str
) -> tuple[str, str, Literal["error", "warning"] | None] | None:
    try:
        standard.validate(number)  # type: ignore[attr-defined]
    except InvalidChecksum:
        return ("document_check", "", None)
    except ValidationError:
        return ("document_form", form, "error")
    return None
