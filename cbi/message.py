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
# All that a text may say of somebody.
PLACEHOLDERS = frozenset({"reference", "due_on"})
CHARACTERS_MAX = 320


class TemplateFault(ValueError):
    """A template asks for something that no text may say, or that it isn't given."""


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a text."""

    version: int
    es: str
    en: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A text to hand on to somebody, and which version of which template it is."""

    template: str
    version: int
    language: Language
    text: str


def message_of(kind: str, data: Mapping[str, Any]) -> Message | None:
    """Return the words of a notice for a person; None for one that is for an organisation."""
    versions = templates().get(kind)
    if versions is None:
        return None
    newest = versions[-1]
    language: Language = "en" if data.get("language") == "en" else "es"
    text = newest.en if language == "en" else newest.es
    return Message(
        template=kind, version=newest.version, language=language, text=render(text, data)
    )


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
