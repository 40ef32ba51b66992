"""The words of reports in Spanish and English, from one file."""

from functools import cache
from importlib.resources import files
from typing import Literal, get_args

import msgspec

from cbi.reports.sheet import Column, Section, written
from cbi.reports.spool import Cell

Language = Literal["es", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
Group = Literal["report", "section", "column", "parameter", "word", "phrase"]


@cache
def every_word() -> dict[str, dict[str, dict[str, str]]]:
    """Return all words: group → key → language → word."""
    content = files("cbi.reports").joinpath("words.json").read_bytes()
    return msgspec.json.decode(content, type=dict[str, dict[str, dict[str, str]]])


def say(group: Group, key: str, language: Language) -> str:
    """Return the word for a key; KeyError where there is none."""
    return every_word()[group][key][language]


def title_of(section: Section, language: Language) -> str:
    title = say("section", section.key, language)
    return f"{title} · {section.about}" if section.about else title


def label_of(column: Column, language: Language) -> str:
    label = say("column", column.key, language)
    return f"{label} ({column.currency})" if column.currency else label


def told(cell: Cell, column: Column, language: Language) -> str:
    """Write a cell for a reader: as `written`, our own words in the language."""
    if column.kind == "word" and isinstance(cell, str):
        # A word that a newer part of the program made is shown as it is.
        found = every_word()["word"].get(cell)
        return cell if found is None else found[language]
    return written(cell, column)
