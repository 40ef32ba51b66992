"""What is wrong with a form: where, how badly, and in words a registrar understands.

A text never contains a value of the form, so faults may be logged, mailed and shown.
"""

import re
from importlib import resources
from typing import Literal, NamedTuple

import msgspec

Level = Literal["error", "warning"]
Path = tuple[str | int, ...]
Places = dict[int, dict[object, int]]  # the order of a dict's keys, by the dict's id

FAULTS_MAX = 500

# A field's name may be shown only when it looks like one: a stranger's key may hold a value.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. A warning never refuses the form."""

    path: str  # persons[2].documents[0].number; "" is the whole form
    code: str
    level: Level
    es: str
    en: str
    # What to do about it.
    remedy_es: str
    remedy_en: str


class Finding(NamedTuple):
    """A fault before it is put into words. `limit` is ours (a bound, the allowed codes)."""

    path: Path
    code: str
    limit: str = ""
    level: Level | None = None


class Text(msgspec.Struct, frozen=True, kw_only=True):
    level: Level
    es: str
    en: str
    remedy_es: str
    remedy_en: str


# Levels and texts by code, in a file of their own so that a translator can mend them.
TEXTS = msgspec.json.decode(
    resources.files("cbi").joinpath("fault.json").read_bytes(), type=dict[str, Text]
)


def fault(finding: Finding) -> Fault:
    """Put a finding into words."""
    text = TEXTS[finding.code]
    return Fault(
        path=render(finding.path),
        code=finding.code,
        level=finding.level or text.level,
        es=text.es.format(limit=finding.limit),
        en=text.en.format(limit=finding.limit),
        remedy_es=text.remedy_es,
        remedy_en=text.remedy_en,
    )


def render(path: Path) -> str:
    """Write a path as persons[2].documents[0].number; a key that is no name becomes "?"."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _NAME.fullmatch(part) else "?")
    return text


def has_errors(faults: tuple[Fault, ...]) -> bool:
    return any(each.level == "error" for each in faults)


def in_order(findings: list[Finding], raw: object) -> tuple[Fault, ...]:
    """Findings as faults in the order of the input; what is missing comes last in its object."""
    places: Places = {}
    ordered = sorted(findings, key=lambda each: _position(each.path, raw, places))
    unique = list(dict.fromkeys(fault(each) for each in ordered[: FAULTS_MAX + 1]))
    if len(ordered) <= FAULTS_MAX:
        return tuple(unique)
    return (*unique[:FAULTS_MAX], fault(Finding((), "too_many_faults", str(FAULTS_MAX))))


def _position(path: Path, raw: object, places: Places) -> tuple[int, ...]:
    position: list[int] = []
    for part in path:
        if isinstance(part, int):
            position.append(part)
            raw = raw[part] if isinstance(raw, list | tuple) and part < len(raw) else None
        elif isinstance(raw, dict) and part in raw:
            position.append(_place(part, raw, places))
            raw = raw[part]
        else:
            position.append(len(raw) if isinstance(raw, dict) else 0)
            raw = None
    return tuple(position)


def _place(key: str, raw: dict[object, object], places: Places) -> int:
    """Where `key` stands among the keys of `raw`; each dict is counted through only once."""
    if id(raw) not in places:
        places[id(raw)] = {each: place for place, each in enumerate(raw)}
    return places[id(raw)][key]
