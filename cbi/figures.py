"""Figures on refusals that may be published: of quarters that are over, without small counts.

A quarter that is over changes no more, and quarters don't overlap. Of other periods one could be
subtracted from another, and a small count would be what is left. Refusals that come of comparing
registrations ("blocks") and others are counted apart and never together, for the same reason.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal, get_args

import msgspec

from cbi.refusal import BadValue
from cbi.slip import DocumentGroup, Language
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
LANGUAGES: tuple[Language | Literal["unknown"], ...] = (*get_args(Language), "unknown")
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

    `reversed_rate` is what was reversed, of what slips were given for; `reversed_share` of what was
    decided. `median_days` and `ninth_days` are what half, and nine of ten, waited at most for a
    decision.
    """

    value: str
    slips: int | None = None
    decided: int | None = None
    reversed: int | None = None
    upheld: int | None = None
    reversed_share: float | None = None
    reversed_rate: float | None = None
    median_days: int | None = None
    ninth_days: int | None = None


class OfKind(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one kind of refusals; of blocks, `reversed_rate` is the rate of wrongful ones.

    A breakdown is empty when its totals are too small to say anything of it.
    """

    all: Row
    reversed_rate: float | None
    by_language: tuple[Row, ...]
    by_document_group: tuple[Row, ...]


class Stops(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted of all refusals that are known; not to be published as it is."""

    by: Literal["all", "language"]
    value: str
    stopped: int
    lifted: int


class Lifted(msgspec.Struct, frozen=True, kw_only=True):
    """How many were stopped and how many went on, with a slip or without; null is not published."""

    value: str
    stopped: int | None = None
    lifted: int | None = None
    lifted_rate: float | None = None


class OfAll(msgspec.Struct, frozen=True, kw_only=True):
    """All refusals that are known: lifted by a decision on a case, by a person, or on appeal."""

    all: Lifted
    by_language: tuple[Lifted, ...]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What may be published of a quarter."""

    first_day: date
    next_day: date
    blocks: OfKind
    others: OfKind
    all_refusals: OfAll


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


def figures(
    counts: Sequence[Count], stops: Sequence[Stops], *, first_day: date, next_day: date
) -> Figures:
    """Return what may be published of these counts."""
    return Figures(
        first_day=first_day,
        next_day=next_day,
        blocks=_of_kind([one for one in counts if one.kind == "block"]),
        others=_of_kind([one for one in counts if one.kind == "other"]),
        all_refusals=_of_all(stops),
    )


def _of_all(stops: Sequence[Stops]) -> OfAll:
    total = next((one for one in stops if one.by == "all"), None)
    by_language = [one for one in stops if one.by == "language"]
    stopped = _listed({one.value: one.stopped for one in by_language}, MINIMUM)
    lifted = _listed({one.value: one.lifted for one in by_language}, MINIMUM)
    whole = Lifted(value="") if total is None else _lifted("", total.stopped, total.lifted)
    return OfAll(
        all=whole,
        by_language=tuple(
            _lifted(value, stopped.get(value), lifted.get(value))
            for value in _in_order(stopped | lifted, LANGUAGES)
        ),
    )


def _lifted(value: str, stopped: int | None, lifted: int | None) -> Lifted:
    stopped = stopped if stopped is not None and stopped >= MINIMUM else None
    lifted = lifted if lifted is not None and lifted >= MINIMUM else None
    return Lifted(value=value, stopped=stopped, lifted=lifted, lifted_rate=share(lifted, stopped))


def _of_kind(counts: Sequence[Count]) -> OfKind:
    total = next((one for one in counts if one.by == "all"), None)
    if total is None:
        return OfKind(all=Row(value=""), reversed_rate=None, by_language=(), by_document_group=())
    whole = _whole(total)
    rate = share(whole.reversed, whole.slips)
    of_language = [one for one in counts if one.by == "language"]
    of_group = [one for one in counts if one.by == "document_group"]
    by_language = _broken_down(of_language, LANGUAGES, MINIMUM)
    grouped = _broken_down(of_group, GROUPS, MINIMUM_BY_DOCUMENTS)
    return OfKind(
        all=msgspec.structs.replace(whole, reversed_rate=rate),
        reversed_rate=rate,
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


def _broken_down(counts: Sequence[Count], order: Sequence[str], minimum: int) -> tuple[Row, ...]:
    rows = {row.value: row for row in _decided(counts, minimum)}
    slips = _listed({one.value: one.slips for one in counts}, minimum)
    return tuple(
        msgspec.structs.replace(
            rows.get(value, Row(value=value)),
            slips=slips.get(value),
            reversed_rate=share(rows[value].reversed if value in rows else None, slips.get(value)),
        )
        for value in _in_order(rows | slips, order)
    )


def _listed(counts: Mapping[str, int], minimum: int) -> dict[str, int | None]:
    """Return what may be told of a list of counts; nothing where their sum is too small."""
    found = {value: count for value, count in counts.items() if count}
    if not found:
        return {}
    try:
        told = suppress([[count] for count in found.values()], minimum=minimum)
    except TooSmall:
        return {}
    return {value: cells[0] for value, cells in zip(found, told.cells, strict=True)}


def _in_order(values: Iterable[str], order: Sequence[str]) -> list[str]:
    return sorted(values, key=list(order).index)


def share(part: int | None, whole: int | None) -> float | None:
    """Return a share of two published counts, to a thousandth."""
    return None if part is None or not whole else round(part / whole, 3)
