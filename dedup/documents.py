"""Documents and phones brought to one form each, so that the same number compares equal.

The forms are DOMAIN.md's. A form that is only "likely" is never a reason to refuse.
"""

import re
import unicodedata

import msgspec
from stdnum.pe import cui, ruc

from dedup.record import Document

KNOWN = frozenset(
    ("pe-dni", "pe-ruc", "pe-ce", "pe-ptp", "pe-cpp", "pe-asylum", "ve-cedula", "passport")
)
# Evidence that a person exists, never of who: many papers may carry one such number.
EVIDENCE_ONLY = frozenset(("pe-tam", "birth-cert"))
# A renewal brings a new number, so two numbers of one of these types say nothing.
RENEWED = frozenset(("passport", "pe-asylum", "other"))
_DIGITS_ONLY = {"pe-dni": 8, "pe-ruc": 11, "pe-ce": 9, "pe-ptp": 9, "pe-cpp": 9, "ve-cedula": 0}
_READ_AS_DIGITS = str.maketrans("OQIL", "0011")
NUMBER_LENGTH = range(5, 21)
PHONE_DIGITS_MIN = 7
PHONE_DIGITS_COMPARED = 9


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """A document's number in its one form; `type` is "other" when the code is not known."""

    type: str
    number: str


def normalise(document: Document) -> Number | None:
    """Return the one form of a document's number, or None when it can identify nobody.

    A RUC of a person (10…) is the DNI inside it. Spreadsheets drop leading zeros of fixed-length
    numbers, so these are put back; a cédula has none.
    """
    kind = document.type.strip().lower()
    if kind in EVIDENCE_ONLY:
        return None
    kind = kind if kind in KNOWN else "other"
    number = _compact(document.number)
    if kind in _DIGITS_ONLY:
        number = _digits(kind, number)
    if kind == "pe-ruc" and len(number) == 11 and number.startswith("10"):
        kind, number = "pe-dni", number[2:10]
    if len(number) not in NUMBER_LENGTH or len(set(number)) == 1:
        return None
    return Number(type=kind, number=number)


def check(document: Document) -> bool | None:
    """Say whether the check digit is right; None when there is none to check. Advice only."""
    kind = document.type.strip().lower()
    number = _compact(document.number)
    if kind == "pe-dni" and len(number) == 9:
        return bool(cui.is_valid(number))
    if kind == "pe-ruc":
        return bool(ruc.is_valid(number))
    return None


def phone(text: str) -> str | None:
    """Return the last nine digits of a phone number, or None when it can reach nobody.

    Country code and trunk zero come and go between clerks; the end of the number stays.
    """
    digits = re.sub(r"[^0-9]", "", unicodedata.normalize("NFKC", text))
    if len(digits) < PHONE_DIGITS_MIN or len(set(digits[-PHONE_DIGITS_MIN:])) == 1:
        return None
    return digits[-PHONE_DIGITS_COMPARED:]


def _compact(number: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", unicodedata.normalize("NFKC", number).upper())


def _digits(kind: str, number: str) -> str:
    if kind == "pe-dni" and len(number) == 9:
        number = number[:8]  # the ninth is the check character, a digit or a letter
    if kind == "ve-cedula":
        number = re.sub(r"^(CI)?[VE]", "", number)
    digits = re.sub(r"[^0-9]", "", number.translate(_READ_AS_DIGITS))
    if kind == "ve-cedula":
        return digits.lstrip("0")
    return digits.zfill(_DIGITS_ONLY[kind]) if digits else ""
