"""Values masked: enough to tell which value of a list is meant, too little to use it.

Of a value with digits the first two and last two characters stay, if it has eight or more; of
four to seven the first and the last; of fewer none. Of words only the first letter stays, and not
how long they are. Of a date, however it is written, nothing stays but its form.
"""

import re

SHOWN_MAX = 20
LONG, SHORT = 8, 4
# More than any date has; what follows is not looked at.
DATE_CHARACTERS_MAX = 60

_MONTH = r"\b(?:ene|feb|mar|abr|may|jun|jul|ago|set|sep|oct|nov|dic|jan|apr|aug|dec)[^\W\d_]*\b"
# Parts of a date between others' digits: 03/04/1988, 1988-4-3T00:00, 04/1988, 3 de abril, 19880403.
_DATES = (
    r"(?<![0-9])[0-9]{1,4}[-/.,\s]{1,3}[0-9]{1,2}[-/.,\s]{1,3}[0-9]{1,4}(?![0-9])",
    r"(?<![0-9])[0-9]{1,2}[-/.\s]{1,3}(?:19|20)[0-9]{2}(?![0-9])",
    r"(?<![0-9])(?:19|20)[0-9]{2}[-/.\s]{1,3}[0-9]{1,2}(?![0-9])",
    r"(?<![0-9])(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?![0-9])",
    _MONTH,
)
_DATE = re.compile("|".join(_DATES), re.IGNORECASE)


def mask(text: str) -> str:
    """Mask one value: 12345678 → 12****78, 1234567 → 1*****7, Yaquelin Milagros → Y***."""
    text = _plain(text)
    if not text:
        return ""
    if re.search(r"[0-9]", text) is None:
        return (text[0] if text[0].isalpha() else "") + "***"
    if _DATE.search(text[:DATE_CHARACTERS_MAX]):
        return form_of(text)
    if len(text) < SHORT:
        return "***"
    kept = 2 if len(text) >= LONG else 1
    stars = "*" * min(len(text) - 2 * kept, SHOWN_MAX)
    return f"{text[:kept]}{stars}{text[-kept:]}"


def form_of(text: str) -> str:
    """Show how a date is written and nothing of it: 03/04/1988 → **/**/****, 3 abril → * *."""
    form = re.sub(r"[^\W\d_]+", "*", _plain(text))
    return re.sub(r"[^-/.,: ]", "*", form)[:SHOWN_MAX]


def _plain(text: str) -> str:
    text = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(text.split())
