"""Documents and phones brought to one form each, so that the same number compares equal.

The forms are DOMAIN.md's. A form that is only "likely" is never a reason to refuse. What a form
says is compared without its leading zeros, which come and go between clerks and spreadsheets.
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
# These consist of digits only, so many at least; longer ones are kept as they are.
_DIGITS_MIN = {"pe-dni": 8, "pe-ruc": 11, "pe-ce": 9, "pe-ptp": 9, "pe-cpp": 9, "ve-cedula": 0}
_READ_AS_DIGITS = str.maketrans("OQIL", "0011")
# Fewer signs than these, leading zeros aside, are shared by too many to identify anybody.
TELLING_MIN = 5
NUMBER_MAX = 20
PHONE_DIGITS_MIN = 7
PHONE_DIGITS_COMPARED = 9
TEXT_MAX = 200

# A spreadsheet that took the number for a quantity: the digits behind the point may be rounded.
_QUANTITY = re.compile(r"[0-9](?:[.,][0-9]+E[+-]?|E[+-])[0-9]{1,2}", re.IGNORECASE)
# … or only added a fraction, which is no part of the number.
_FRACTION = re.compile(r"([0-9]+)\.0")
_NOT_SIGNS = re.compile(r"[^A-Z0-9]+")
_NOT_DIGITS = re.compile(r"[^0-9]+")
# The same for plain text, several times faster.
_PLAIN_SIGNS = {at: chr(at).upper() if chr(at).isalnum() else None for at in range(128)}
_PLAIN_DIGITS = {at: chr(at) if chr(at).isdigit() else None for at in range(128)}
_NATIONALITY = re.compile(r"^(?:CI)?[VE]")
# "CI", "DNI No": letters before the number, unless all of them are digits misread.
_LABEL = re.compile(r"^(?![OQIL]+[0-9])[A-Z]+")


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """A document's number in its one form; `type` is "other" when the code is not known."""

    type: str
    number: str


def normalise(document: Document) -> Number | None:
    """Return the one form of a document's number, or None when it can identify nobody.

    A RUC of a person (10…) is the DNI inside it. Spreadsheets drop leading zeros of fixed-length
    numbers, so these are put back; a cédula has none. A number that a spreadsheet rounded
    (1.2345678E7) is none.
    """
    kind, number = document.type, document.number
    if kind not in KNOWN:
        kind = kind.strip().lower()
        if kind in EVIDENCE_ONLY:
            return None
        if kind not in KNOWN:
            kind = "other"
    if not (number.isascii() and number.isdigit()):
        number = _compact(_as_written(number))
    if kind in _DIGITS_MIN:
        number = _digits(kind, number)
    if kind == "pe-ruc" and len(number) == 11 and number.startswith("10"):
        kind, number = "pe-dni", number[2:10]
    telling = number.lstrip("0")
    if not TELLING_MIN <= len(telling) <= len(number) <= NUMBER_MAX or len(set(telling)) == 1:
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

    Country code and trunk zero come and go between clerks; the end of the number stays, and is
    the whole number of a Peruvian mobile. Which country it is of tells nothing more.
    """
    digits = text
    if not (text.isascii() and text.isdigit()):
        plain = _as_written(text if text.isascii() else unicodedata.normalize("NFKC", text))
        digits = plain.translate(_PLAIN_DIGITS) if plain.isascii() else _NOT_DIGITS.sub("", plain)
    if len(digits) < PHONE_DIGITS_MIN or len(set(digits[-PHONE_DIGITS_MIN:])) == 1:
        return None
    return digits[-PHONE_DIGITS_COMPARED:]


def _as_written(text: str) -> str:
    """Undo what a spreadsheet made of a number; empty where digits are lost."""
    text = text[:TEXT_MAX].strip()
    if not text[:1].isdigit():
        return text
    if _QUANTITY.fullmatch(text):
        return ""
    found = _FRACTION.fullmatch(text)
    return text if found is None else found[1]


def _compact(number: str) -> str:
    if number.isascii():
        return number.translate(_PLAIN_SIGNS)
    return _NOT_SIGNS.sub("", unicodedata.normalize("NFKC", number).upper())


def _digits(kind: str, number: str) -> str:
    if not number.isdigit():
        if kind == "ve-cedula":
            number = _NATIONALITY.sub("", number)
        number = _LABEL.sub("", number)
        number = number.translate(_READ_AS_DIGITS).translate(_PLAIN_DIGITS)
    if kind == "ve-cedula":
        return number.lstrip("0")
    if kind == "pe-dni" and len(number) == 9:
        return number[:8]  # the ninth is the check digit; a check letter is gone already
    return number.zfill(_DIGITS_MIN[kind]) if number else ""
