"""An organisation's own words for a message to a person: what they may say, and what is wrong.

Somebody else may read along. So words that name the help, its giver or an amount are refused,
unless the text is open to the households that agreed to just that. Nothing is filled in but what
the kind of message has, and whom to call is the organisation's own telephone.
"""

import json
import re
import string
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from cbi.message import Language, TemplateFault, render
from cbi.sms import SEGMENTS_MAX, count

PersonKind = Literal[
    "person.appeal_taken",
    "person.appeal_decided",
    "person.appeal_delayed",
    "person.reversal",
    "person.registered",
    "person.reservation",
    "person.turn",
    "person.payment_ready",
    "person.payment_failed",
    "person.review",
]
WORDS_MAX = 480
_REFERENCED = frozenset({"person.appeal_decided", "person.appeal_delayed", "person.reversal"})
# As long as they get, to be counted with and shown.
EXAMPLES: Mapping[str, str] = {"reference": "K7M2-9QXA", "due_on": "2026-06-15"}
_LAST_LETTER = "\u024f"
_MARKS = frozenset("–—‘’“”…€")
_LINK = re.compile(r"://|@|\\|\bwww\b|[^\W\d]\.[^\W\d]", re.IGNORECASE)
_NUMBER = re.compile(r"(?:[0-9][ .-]?){7}")
_AMOUNT = re.compile(r"[0-9]{3}|[$€£¥¢%]|\bs/|\b(?:pen|usd|eur)\b", re.IGNORECASE)

FaultCode = Literal[
    "characters",
    "placeholder",
    "contact",
    "link",
    "number",
    "revealing",
    "name",
    "amount",
    "too_long",
    "open_to",
]
_TOLD: Mapping[FaultCode, tuple[str, str]] = {
    "characters": (
        "Solo letras latinas y signos comunes, en una línea",
        "Latin letters and common signs only, on one line",
    ),
    "placeholder": (
        "Este mensaje no tiene ese dato, o las llaves no están completas",
        "This message has no such fact, or the braces are not whole",
    ),
    "contact": (
        "El teléfono va en contact, y {contact} en el texto: los dos o ninguno",
        "The telephone goes in contact and {contact} in the text: both or neither",
    ),
    "link": (
        "Sin enlaces ni correos; deje un espacio después de cada punto",
        "No links and no mail addresses; leave a blank after each full stop",
    ),
    "number": ("Un número tan largo solo en contact", "So long a number in contact only"),
    "revealing": ("Esta palabra dice de qué se trata", "This word tells what it is about"),
    "name": (
        "Nombra a la organización o a un programa",
        "It names the organisation or a programme",
    ),
    "amount": ("Dice un monto", "It tells an amount"),
    "too_long": ("Más de tres mensajes de texto", "More than three text messages"),
    "open_to": (
        "Un mensaje sobre un pedido de revisión no puede decir más",
        "A message about an appeal can't say more",
    ),
}


class NewText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words for a kind of message, from a day on.

    `contact` is a telephone, said where `{contact}` stands. `open_to` is a version of the question
    for the consent `contact`: the text may name the help, and is for who agreed to that version.
    """

    kind: PersonKind
    language: Language
    words: Annotated[str, msgspec.Meta(min_length=1, max_length=WORDS_MAX)]
    contact: Annotated[str, msgspec.Meta(pattern=r"^\+?[0-9][0-9 ]{4,18}[0-9]\Z")] | None = None
    open_to: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None
    effective_from: date


class OwnText(msgspec.Struct, frozen=True, kw_only=True):
    """One version; it counts from `effective_from` on when somebody approved it."""

    text_id: UUID
    kind: PersonKind
    language: Language
    version: int
    words: str
    contact: str | None
    open_to: str | None
    effective_from: date
    proposed_by: UUID
    proposed_at: datetime
    approved_by: UUID | None = None
    approved_at: datetime | None = None


class TextFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a text, and which word of ours it ran into."""

    fault: FaultCode
    es: str
    en: str
    word: str | None = None


def allowed(kind: str) -> frozenset[str]:
    """Return what may be filled in of a kind of message."""
    if kind == "person.appeal_taken":
        return frozenset({"reference", "due_on", "contact"})
    return frozenset({"reference", "contact"} if kind in _REFERENCED else {"contact"})


def tidied(words: str) -> str:
    """Return words as they are kept: letters whole, no blanks around."""
    return unicodedata.normalize("NFC", words).strip()


def example_of(new: NewText) -> str | None:
    """Return the text as somebody would read it; None when it can't be filled in."""
    facts = {**EXAMPLES, "contact": new.contact or ""}
    try:
        return render(new.words, {name: facts[name] for name in allowed(new.kind)})
    except TemplateFault:
        return None


def faults_of(new: NewText, *, names: Collection[str] = ()) -> list[TextFault]:
    """Return all that is wrong with a text; `names` are its organisation's and programmes'."""
    faults: list[TextFault] = []
    if not new.words or not all(map(_is_plain, new.words)):
        faults.append(_fault("characters"))
    shown = example_of(new)
    if shown is None:
        faults.append(_fault("placeholder"))
    elif count(shown).segments > SEGMENTS_MAX:
        faults.append(_fault("too_long"))
    if (new.contact is None) == ("{contact}" in new.words):
        faults.append(_fault("contact"))
    said = " ".join(_literal(new.words))
    if _LINK.search(said):
        faults.append(_fault("link"))
    if _NUMBER.search(said):
        faults.append(_fault("number"))
    if new.open_to is None:
        faults += discreet_faults(said, names=names)
    elif new.kind.startswith("person.appeal_"):
        faults.append(_fault("open_to"))
    return faults


def discreet_faults(said: str, *, names: Collection[str] = ()) -> list[TextFault]:
    """Return what somebody who reads along could learn from words."""
    bare = _bare(said)
    found = [_fault("revealing", word) for word, pattern in _revealing() if pattern.search(bare)]
    if any(re.search(rf"\b{re.escape(_bare(name))}\b", bare) for name in names if len(name) > 1):
        found.append(_fault("name"))
    if _AMOUNT.search(said):
        found.append(_fault("amount"))
    return found


def _fault(code: FaultCode, word: str | None = None) -> TextFault:
    es, en = _TOLD[code]
    return TextFault(fault=code, es=es, en=en, word=word)


def _is_plain(letter: str) -> bool:
    return letter.isprintable() and (letter <= _LAST_LETTER or letter in _MARKS)


def _literal(words: str) -> Iterator[str]:
    """Yield the parts of a text between what is filled in; all of it where it isn't whole."""
    try:
        parts = list(string.Formatter().parse(words))
    except ValueError:
        yield words
        return
    for literal, *_ in parts:
        yield literal


def _bare(words: str) -> str:
    """Return words without case and without marks over letters."""
    apart = unicodedata.normalize("NFKD", words)
    return "".join(each for each in apart if not unicodedata.combining(each)).casefold()


@cache
def _revealing() -> tuple[tuple[str, re.Pattern[str]], ...]:
    content = json.loads(files("cbi").joinpath("revealing.json").read_bytes())
    return tuple(
        (word, re.compile(r"\b" + re.escape(word.rstrip("*")) + ("" if "*" in word else r"\b")))
        for word in content["words"]
    )
