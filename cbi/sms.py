"""How long a text is as a text message: GSM 03.38's alphabet, or UCS-2 for everything else.

One message holds 160 characters of GSM-7 or 70 of UCS-2; of several, each holds 153 or 67. A few
characters of GSM-7 count twice, and nothing that counts twice is parted. Spanish "á", "í", "ó" and
"ú" are not in GSM-7: one of them and the whole text is UCS-2.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

SEGMENTS_MAX = 3
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """A text's length in `units` of its encoding, in how many messages, and what makes it UCS-2."""

    encoding: Literal["gsm-7", "ucs-2"]
    units: int
    segments: int
    not_in_gsm: tuple[str, ...]


def count(text: str) -> Count:
    """Count a text as it would be sent; an empty one takes no message."""
    others = tuple(sorted(set(text) - _BASIC - _EXTENDED))
    if others:
        widths = [2 if ord(each) > 0xFFFF else 1 for each in text]
        return _count("ucs-2", widths, others, alone=70, joined=67)
    widths = [2 if each in _EXTENDED else 1 for each in text]
    return _count("gsm-7", widths, others, alone=160, joined=153)


def _count(
    encoding: Literal["gsm-7", "ucs-2"],
    widths: Sequence[int],
    others: tuple[str, ...],
    *,
    alone: int,
    joined: int,
) -> Count:
    units = sum(widths)
    segments = min(units, 1) if units <= alone else sum(1 for _ in _parted(widths, joined))
    return Count(encoding=encoding, units=units, segments=segments, not_in_gsm=others)


def _parted(widths: Sequence[int], most: int) -> Iterator[int]:
    """Yield how full each part is."""
    full = 0
    for width in widths:
        if full + width > most:
            yield full
            full = 0
        full += width
    if full:
        yield full
