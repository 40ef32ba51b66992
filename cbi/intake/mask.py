"""Values masked: enough to tell which value of a list is meant, too little to use it.

Of a value with digits the first two and last two characters stay, if it has eight or more; of
four to seven the first and the last; of fewer none. Of words only the first letter stays, and not
how long they are.
"""

import re

SHOWN_MAX = 20
LONG, SHORT = 8, 4


def mask(text: str) -> str:
    """Mask one value: 12345678 → 12****78, 1234567 → 1*****7, Yaquelin Milagros → Y***."""
    text = "".join(each if each.isprintable() else " " for each in text)
    text = " ".join(text.split())
    if not text:
        return ""
    if re.search(r"[0-9]", text) is None:
        return (text[0] if text[0].isalpha() else "") + "***"
    if len(text) < SHORT:
        return "***"
    kept = 2 if len(text) >= LONG else 1
    stars = "*" * min(len(text) - 2 * kept, SHOWN_MAX)
    return f"{text[:kept]}{stars}{text[-kept:]}"
