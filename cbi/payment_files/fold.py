"""Names as a provider's system can take them: letters folded to its character set."""

import re
import unicodedata

from cbi.payment_files.profile import Charset

NAME_MAX = 70  # ISO 20022 allows 140, many banks cut at 70

# The SWIFT character set x, and the letters that don't decompose into one of it and an accent.
NOT_SWIFT = re.compile(r"[^A-Za-z0-9/\-?:().,'+ ]+")
LETTERS = str.maketrans(
    {
        "ß": "ss", "Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "Ø": "O", "ø": "o",
        "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "ı": "i", "’": "'", "‘": "'", "´": "'", "`": "'",
        "–": "-", "—": "-", "&": "+",
    }
)  # fmt: skip


def fold(name: str) -> str:
    """Fold a name to the SWIFT character set x, at most 70 characters.

    Accents and tildes go (ñ becomes n); what has no Latin form becomes a space. A name of which
    nothing is left becomes NOTPROVIDED, for the standard demands one.
    """
    name = name.translate(PLAIN)
    if not name.isascii():
        name = _without_marks(name)
    kept = " ".join(NOT_SWIFT.sub(" ", name.translate(LETTERS)).split())
    # SWIFT reads a slash or hyphen at the start of a line as a mark of its own.
    return kept.replace("//", "/").strip(" /-:")[:NAME_MAX].rstrip(" /") or "NOTPROVIDED"


def _without_marks(name: str) -> str:
    """Take letters apart into their base and what stands on it, and leave that off."""
    apart = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


# Of the letters of Latin scripts once and for all: most names need no more.
PLAIN = {
    code: LETTERS.get(code) or _without_marks(chr(code)) for code in range(0xA0, 0x180)
} | LETTERS


def fold_to(text: str, charset: Charset) -> str:
    """Fold a text to a character set: letters it has stay, others lose their marks, or go.

    Never more than one blank in a row, and nothing that breaks a line.
    """
    kept = [
        letter if _has(charset, letter) else _plain(letter)
        for letter in unicodedata.normalize("NFC", text)
    ]
    return " ".join("".join(kept).split())


def _plain(letter: str) -> str:
    plain = _without_marks(letter.translate(PLAIN)).translate(LETTERS)
    return plain if plain.isascii() and plain.isprintable() else " "


def _has(charset: Charset, letter: str) -> bool:
    if not letter.isprintable():
        return False
    try:
        letter.encode(charset)
    except UnicodeEncodeError:
        return False
    return True
