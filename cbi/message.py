"""Texts for people, in Spanish and English: data with versions, and no names in them.

A telephone is often shared, so a text says that there is an answer and never which.
"""

import string
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

Language = Literal["es", "en"]
# All that a text may say of somebody, and whom its organisation says to call.
PLACEHOLDERS = frozenset({"reference", "due_on", "contact"})
CHARACTERS_MAX = 320


class TemplateFault(ValueError):
    """A template asks for something that no text may say, or that it isn't given."""


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a text."""

    version: int
    es: str
    en: str


class OwnWords(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation's own words for a message, and its telephone if they name it."""

    version: int
    words: str
    contact: str | None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A text to hand on to somebody, and which version of which template it is.

    `is_own` tells that the words are the organisation's, not the program's.
    """

    template: str
    version: int
    language: Language
    text: str
    is_own: bool = False


def message_of(kind: str, data: Mapping[str, Any], own: OwnWords | None = None) -> Message | None:
    """Return the words of a notice for a person; None for one that is for an organisation."""
    if kind not in templates():
        return None
    language: Language = "en" if data.get("language") == "en" else "es"
    if own is not None:
        facts = dict(data) if own.contact is None else {**data, "contact": own.contact}
        text, version = render(own.words, facts), own.version
    else:
        text = render(words_of_program(kind, language), data)
        version = templates()[kind][-1].version
    return Message(
        template=kind, version=version, language=language, text=text, is_own=own is not None
    )


def words_of_program(kind: str, language: Language) -> str:
    """Return the words that came with the program, as they are now."""
    newest = templates()[kind][-1]
    return newest.en if language == "en" else newest.es


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Fill in a template; raises TemplateFault for a placeholder that is unknown or not given."""
    names = frozenset(placeholders(template))
    if not names <= PLACEHOLDERS or not names <= facts.keys():
        raise TemplateFault
    return template.format_map({name: _told(facts[name]) for name in names})


def placeholders(template: str) -> Iterator[str]:
    """Yield the names a template asks for; raises TemplateFault for anything but plain names."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        raise TemplateFault from None
    for _, name, form, conversion in parts:
        if name is None:
            continue
        # `{reference.__class__}` and `{reference!r:>99}` are no plain names.
        if not name.isidentifier() or form or conversion:
            raise TemplateFault
        yield name


@cache
def templates() -> Mapping[str, tuple[Template, ...]]:
    """Return every version of every text, oldest first."""
    content = files("cbi").joinpath("messages.json").read_bytes()
    return msgspec.json.decode(content, type=dict[str, tuple[Template, ...]])


def _told(value: object) -> str:
    try:
        day = date.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return f"{day.day:02}/{day.month:02}/{day.year}"
