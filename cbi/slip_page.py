"""A slip as a PDF: plain words, its reference, and the token as a square that a camera reads.

Whoever finds it learns that somebody asked for something: no name, organisation, kind of help or
reason stands on it, and the square holds the token alone, which opens nothing by itself.
"""

from datetime import date
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Literal

import msgspec
import segno
import typst

from cbi.slip import Printed, Said, in_fours, said

Language = Literal["es", "en"]


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    said: dict[Said, str]
    may: str
    where: str
    until: str
    free: str
    keep: str
    reference: str
    code: str


def write(printed: Printed, language: Language) -> bytes:
    """Set the slip on half a sheet; nothing is fetched, and its fonts are inside."""
    shown = msgspec.json.encode(facts(printed, language)).decode()
    made: bytes | list[bytes] = typst.compile(
        files("cbi").joinpath("slip.typ").read_bytes(),
        format="pdf",
        ignore_system_fonts=True,
        sys_inputs={"slip": shown},
        timestamp=0,
    )
    return made[0] if isinstance(made, list) else made


def facts(printed: Printed, language: Language) -> dict[str, object]:
    """Return everything that the page shows, as plain texts."""
    words = _words()[language]
    return {
        "language": language,
        "title": words.title,
        "lines": [
            words.said[said(printed.slip.reason)],
            words.may,
            words.where,
            words.until.format(until=_day(printed.slip.appeal_until)),
            words.free,
            words.keep,
        ],
        "reference_label": words.reference,
        "reference": printed.slip.reference,
        "code_label": words.code,
        "code": in_fours(printed.token),
        "square": square(printed.token),
    }


def square(token: str) -> str:
    """Return the QR code of a token as SVG."""
    out = BytesIO()
    # A quarter of it may be dirty or folded.
    segno.make_qr(token, error="q").save(out, kind="svg", border=2, xmldecl=False)
    return out.getvalue().decode()


def _day(day: date) -> str:
    return f"{day.day:02}/{day.month:02}/{day.year}"


@cache
def _words() -> dict[Language, _Words]:
    content = files("cbi").joinpath("slip_words.json").read_bytes()
    return msgspec.json.decode(content, type=dict[Language, _Words])
