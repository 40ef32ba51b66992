"""Figures on appeals that may be published: of whole quarters that are over, without small counts.

A quarter that is over changes no more, and quarters don't overlap. Of other periods one could be
subtracted from another, and a small count would be what is left. Refusals that come of comparing
registrations ("blocks") and others are counted apart and never together, for the same reason.
"""

import contextlib
from collections.abc import Sequence
from datetime import date
from typing import Literal

import msgspec

from cbi.refusal import BadValue
from cbi.slip import DocumentGroup
from cbi.suppress import TooSmall, suppress

Kind = Literal["block", "other"]
By = Literal["all", "language", "document_group"]

MINIMUM = 5
# What documents somebody shows may be what they are persecuted for.
MINIMUM_BY_DOCUMENTS = 10
QUARTER_MONTHS = 3
GROUPS: tuple[DocumentGroup | Literal["unknown"], ...] = (
    "peruvian",
    "venezuelan",
    "other",
    "none",
    "unknown",
)
FIRST_YEAR, LAST_YEAR = 2014, 2199


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted of one kind of refusals, by one property; not to be published as it is."""

    kind: Kind
    by: By
    value: str
    slips: int
    decided: int
    reversed: int
    median_days: int | None
    ninth_days: int | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one language or group; null is not published.

    `median_days` and `ninth_days` are what half, and nine of ten, waited at most for a decision.
    """

    value: str
    slips: int | None = None
    decided: int | None = None
    reversed: int | None = None
    upheld: int | None = None
    reversed_share: float | None = None
    median_days: int | None = None
    ninth_days: int | None = None


class OfKind(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one kind of refusals; the rate is what was reversed, of what slips were given.

    A breakdown is empty when its totals are too small to say anything of it.
    """

    all: Row
    reversed_rate: float | None
    by_language: tuple[Row, ...]
    by_document_group: tuple[Row, ...]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What may be published of a quarter."""

    first_day: date
    next_day: date
    blocks: OfKind
    others: OfKind


def check_quarter(first_day: date, next_day: date, *, today: date) -> None:
    """Raise BadValue unless these days bound one calendar quarter that is over."""
    begins = first_day.day == 1 and first_day.month % QUARTER_MONTHS == 1
    if not begins or not FIRST_YEAR <= first_day.year <= LAST_YEAR:
        raise BadValue(field="from", reason="the first day of a calendar quarter")
    months = first_day.year * 12 + first_day.month - 1 + QUARTER_MONTHS
    if next_day != date(months // 12, months % 12 + 1, 1):
        raise BadValue(field="until", reason="the first day of the quarter after it")
    if next_day > today:
        raise BadValue(field="until", reason="the quarter is not over")


def figures(counts: Sequence[Count], *, first_day: date, next_day: date) -> Figures:
    """Return what may be published of these counts."""
    return Figures(
        first_day=first_day,
        next_day=next_day,
        blocks=_of_kind([one for one in counts if one.kind == "block"]),
        others=_of_kind([one for one in counts if one.kind == "other"]),
    )


def _of_kind(counts: Sequence[Count]) -> OfKind:
    total = next((one for one in counts if one.by == "all"), None)
    if total is None:
        return OfKind(all=Row(value=""), reversed_rate=None, by_language=(), by_document_group=())
    whole = _whole(total)
    by_language = _decided([one for one in counts if one.by == "language"], MINIMUM)
    # Slips are given in every language or none, so they are not told by language.
    grouped = _grouped([one for one in counts if one.by == "document_group"])
    return OfKind(
        all=whole,
        reversed_rate=share(whole.reversed, whole.slips),
        by_language=by_language,
        by_document_group=grouped,
    )


def _whole(total: Count) -> Row:
    """Return the totals that may be published: a small part takes the other part with it."""
    kept = total.decided - total.reversed
    told = min(total.reversed, kept) >= MINIMUM
    decided = total.decided if total.decided >= MINIMUM else None
    return Row(
        value="",
        slips=total.slips if total.slips >= MINIMUM else None,
        decided=decided,
        reversed=total.reversed if told else None,
        upheld=kept if told else None,
        reversed_share=share(total.reversed, total.decided) if told else None,
        median_days=None if decided is None else total.median_days,
        ninth_days=None if decided is None else total.ninth_days,
    )


def _decided(counts: Sequence[Count], minimum: int) -> tuple[Row, ...]:
    found = [one for one in counts if one.decided]
    if not found:
        return ()
    table = [[one.reversed, one.decided - one.reversed] for one in found]
    try:
        told = suppress(table, minimum=minimum)
    except TooSmall:
        return ()
    rows = []
    for one, (turned, kept), decided in zip(found, told.cells, told.row_totals, strict=True):
        rows.append(
            Row(
                value=one.value,
                decided=decided,
                reversed=turned,
                upheld=kept,
                reversed_share=share(turned, decided),
                median_days=None if decided is None else one.median_days,
                ninth_days=None if decided is None else one.ninth_days,
            )
        )
    return tuple(rows)


def _grouped(counts: Sequence[Count]) -> tuple[Row, ...]:
    rows = {row.value: row for row in _decided(counts, MINIMUM_BY_DOCUMENTS)}
    given = [one for one in counts if one.slips]
    slips: dict[str, int | None] = {}
    if given:
        with contextlib.suppress(TooSmall):
            told = suppress([[one.slips] for one in given], minimum=MINIMUM_BY_DOCUMENTS)
            slips = {one.value: cells[0] for one, cells in zip(given, told.cells, strict=True)}
    values = sorted(set(rows) | set(slips), key=[str(each) for each in GROUPS].index)
    return tuple(
        msgspec.structs.replace(rows.get(value, Row(value=value)), slips=slips.get(value))
        for value in values
    )


def share(part: int | None, whole: int | None) -> float | None:
    """Return a share of two published counts, to a thousandth."""
    return None if part is None or not whole else round(part / whole, 3)
