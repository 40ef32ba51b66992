"""One cell of a workbook as text, and what kind of value it was.

Dates are numbers with a format; which formats are dates follows ECMA-376 part 1, 18.8.30.
"""

import re
from datetime import date, timedelta
from functools import lru_cache

from lxml.etree import _Element as Element

from cbi.intake.source import Kind

# A spreadsheet keeps fifteen digits of a number; of a longer one the rest is gone.
NUMBER_MAX = 10**15
SERIAL_MAX = 2_958_466
_DATE_FORMATS = frozenset([*range(14, 23), *range(27, 37), *range(50, 59)])
_PERCENT_FORMATS = frozenset([9, 10])
_QUOTED = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


class Styles:
    """Which styles of a workbook show a number as a date, and which as a percentage."""

    def __init__(self, root: Element | None, *, is_1904: bool) -> None:
        self.is_1904 = is_1904
        self.dates: frozenset[str] = frozenset()
        self.percents: frozenset[str] = frozenset()
        if root is None:
            return
        codes = {
            each.get("numFmtId") or "": each.get("formatCode") or ""
            for each in root.iter("{*}numFmt")
        }
        cells = next(root.iter("{*}cellXfs"), None)
        formats = [each.get("numFmtId") or "0" for each in cells] if cells is not None else []
        self.dates = frozenset(
            str(style) for style, number in enumerate(formats) if _is_date(number, codes)
        )
        self.percents = frozenset(
            str(style) for style, number in enumerate(formats) if _is_percent(number, codes)
        )


def read_cell(
    cell: Element, before: int, styles: Styles, shared: list[str]
) -> tuple[int, str, Kind]:
    """The place of a cell (from 0), its text, and its kind. `before` is the last one's place."""
    place = before + 1
    if (reference := cell.get("r")) is not None:
        place = _place(reference.rstrip("0123456789"), place)
    value = _value(cell)
    if not value:
        return place, "", "text"
    kind = cell.get("t")
    match kind:
        case "s":
            known = value.isdecimal() and len(value) < 10 and int(value) < len(shared)
            return place, shared[int(value)] if known else "", "text"
        case "inlineStr" | "str" | "e":
            return place, _plain(value), "text"
        case "b":
            return place, "si" if value.strip() == "1" else "no", "bool"
        case "d":
            return (place, *_iso(value))
    return (place, *_number(value.strip(), cell.get("s") or "0", styles))


def _value(cell: Element) -> str:
    value = ""
    for child in cell:
        tag = child.tag
        if tag[-2:] == "}v":
            value = child.text or ""
        elif tag[-3:] == "}is":
            # Nearly every text is one run.
            if len(child) == 1 and child[0].tag[-2:] == "}t":
                value = _plain(child[0].text or "")
            else:
                value = joined(child)
    return value


def joined(element: Element) -> str:
    """The text of a shared or inline string, without the reading aids of other scripts."""
    texts = []
    for each in element.iter("{*}t"):
        parent = each.getparent()
        if parent is None or not str(parent.tag).endswith("}rPh"):
            texts.append(each.text or "")
    return _plain("".join(texts))


def _iso(text: str) -> tuple[str, Kind]:
    try:
        return date.fromisoformat(text[:10]).isoformat(), "date"
    except ValueError:
        return text[:60], "text"


def _number(text: str, style: str, styles: Styles) -> tuple[str, Kind]:
    try:
        number = float(text)
    except ValueError:
        return text[:60], "text"
    if not abs(number) < float("inf"):
        return text[:60], "text"
    if style in styles.dates and 1 <= number < SERIAL_MAX:
        return _day(int(number), is_1904=styles.is_1904).isoformat(), "date"
    if style in styles.percents:
        return f"{_short(number * 100)}%", "number"
    return _short(number), "number"


def _short(number: float) -> str:
    """The number as a person reads it: no tail of a float, and no digits that are gone."""
    if abs(number) >= NUMBER_MAX:
        return f"{number:.14E}".replace("E+0", "E+")
    if number == int(number):
        return str(int(number))
    return f"{number:.15g}"


def _day(serial: int, *, is_1904: bool) -> date:
    if is_1904:
        return date(1904, 1, 1) + timedelta(days=min(serial, SERIAL_MAX - 1_463))
    # The calendar of spreadsheets has a 29 February 1900 (serial 60), which never was.
    return date(1899, 12, 31 if serial < 60 else 30) + timedelta(days=serial)


def _is_date(number: str, codes: dict[str, str]) -> bool:
    if number in codes:
        plain = _QUOTED.sub("", codes[number].split(";")[0].lower())
        return re.search(r"[yd]", plain) is not None or plain.strip() in {"mmm", "mmmm"}
    return number.isdecimal() and len(number) < 4 and int(number) in _DATE_FORMATS


def _is_percent(number: str, codes: dict[str, str]) -> bool:
    if number in codes:
        return "%" in _QUOTED.sub("", codes[number])
    return number.isdecimal() and len(number) < 4 and int(number) in _PERCENT_FORMATS


def _plain(text: str) -> str:
    if "_x" not in text:
        return text
    return _ESCAPED.sub(_unescaped, text)


def _unescaped(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    # Half of a character is no text.
    return found[0] if "\ud800" <= character <= "\udfff" else character


@lru_cache(maxsize=1024)
def place_of(letters: str) -> int:
    """The place of a column, from 0; -1 for what names none."""
    if re.fullmatch(r"[A-Z]{1,3}", letters) is None:
        return -1
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1


def _place(letters: str, fallback: int) -> int:
    place = place_of(letters)
    return fallback if place < 0 else place
