"""What a cell of somebody's table says: a date and how precise it is, a sex, a type, a place."""

import re
import unicodedata
from datetime import date
from functools import lru_cache

from dedup.documents import EVIDENCE_ONLY, KNOWN
from dedup.record import Precision

YEARS = range(1850, 2101)
_WORDS_OF_SEX = {
    "F": "f female mujer femenino femenina hembra woman",
    # A bare H is left out: beside it M means mujer, and a guess would make all of them one sex.
    "M": "m male hombre masculino masculina varon man",
    "O": "o x other otro otra",
}
_SEXES = {word: sex for sex, words in _WORDS_OF_SEX.items() for word in words.split()}
_NOT_STATED = frozenset(("", "na", "n/a", "nan", "nat", "none", "null", "unknown"))
_YEAR_FIRST = re.compile(
    r"(\d{4})(?:([-/.])(\d{1,2})(?:\2(\d{1,2})(?:[T ][\d:.+Z]*)?)?)?", re.ASCII
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?: [\d:.]*)?", re.ASCII)


@lru_cache(maxsize=4_096)
def read_type(text: str) -> str:
    """Return a code of DOMAIN.md, "other" where no type is stated, "" for an unknown one."""
    code = text.lower() or "other"
    return code if code in KNOWN or code in EVIDENCE_ONLY or code == "other" else ""


@lru_cache(maxsize=65_536)
def read_born(text: str) -> tuple[date | None, Precision, bool]:
    """Return a date, how precise it is, and whether the text was understood or states nothing."""
    text = _whole(text)
    if found := _COMPACT.fullmatch(text):
        year, month, day = found.groups()
    elif found := _YEAR_FIRST.fullmatch(text):
        year, _, month, day = found.groups()
    elif found := _DAY_FIRST.fullmatch(text):
        day, _, month, year = found.groups()
    else:
        return None, "day", text.lower() in _NOT_STATED
    try:
        born = date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None, "day", False
    if born.year not in YEARS:
        return None, "day", False
    return born, "day" if day else "month" if month else "year", True


@lru_cache(maxsize=4_096)
def read_sex(text: str) -> tuple[str, bool]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    word = "".join(char for char in plain if not unicodedata.combining(char)).rstrip(".")
    return _SEXES.get(word, ""), word in _SEXES or word in _NOT_STATED


def _whole(text: str) -> str:
    """Drop the ".0" that a column of numbers gets where one of them is missing."""
    return text[:-2] if text.endswith(".0") and text[:-2].isdecimal() else text


@lru_cache(maxsize=65_536)
def read_ubigeo(text: str) -> str:
    text = _whole(text)
    # A spreadsheet takes the code for a number and drops its leading zero.
    return "0" + text if text.isdecimal() and len(text) in (1, 3, 5) else text
