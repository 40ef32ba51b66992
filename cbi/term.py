"""Terms of a programme: what a version of each kind says, read from JSON, and which one counts."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec

from cbi import eligibility
from cbi.entitlement import Schedule
from cbi.term_refusal import InvalidTerm
from cbi.top_up import NewTopUp
from ledger import money

Kind = Literal["values", "scope", "schedule", "top_up", "eligibility", "grants"]
GrantCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9-]{1,19}\Z", max_length=20)]
Prefix = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{2}){1,3}\Z", max_length=6)]

# Peru keeps UTC−5 the whole year; a term counts from its day in Peru.
PERU = timezone(timedelta(hours=-5))
AREAS_MAX = 200
GRANTS_MAX = 20
RULE_BYTES_MAX = 20_000
_PLACE = re.compile(r"`\$([^`]*)`$")


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one kind; it counts from `effective_from` on when somebody approved it."""

    kind: Kind
    version: int
    effective_from: date
    content: dict[str, Any]
    entered_by: UUID
    added_at: datetime
    approved_by: UUID | None
    approved_at: datetime | None


class Values(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts per month for sizes 1, 2, 3 …, in an area (an INEI prefix) or everywhere."""

    area: str = ""
    amounts_minor: tuple[int, ...]


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a programme enrols (INEI prefixes; none means everywhere) and which months it pays."""

    areas: Annotated[tuple[Prefix, ...], msgspec.Meta(max_length=AREAS_MAX)] = ()
    first_month: date | None = None
    last_month: date | None = None

    def holds(self, ubigeo: str) -> bool:
        """Say whether a household there may be enrolled."""
        return not self.areas or ubigeo.startswith(self.areas)


class Grants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The codes of the grants that the programme draws on; none means its money names none."""

    grants: Annotated[tuple[GrantCode, ...], msgspec.Meta(max_length=GRANTS_MAX)]


class Eligibility(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may be enrolled: a rule of `cbi/eligibility.py`, as it was written."""

    rule: Any


Content = Scope | Schedule | Grants
_SHAPES: Mapping[str, type[Content]] = {"scope": Scope, "schedule": Schedule, "grants": Grants}
T = TypeVar("T")


def day_of(at: datetime) -> date:
    """The day it is in Peru."""
    return at.astimezone(PERU).date()


def read(kind: str, raw: object, *, currency: str) -> dict[str, Any]:
    """Read what a term says as it is kept; raises InvalidTerm with the place of the fault.

    Amounts come as decimals in `currency` and are kept in minor units.
    """
    if kind == "top_up":
        return _read_top_up(raw, currency)
    if kind == "eligibility":
        rules = convert(raw, Eligibility)
        eligibility.read(rules.rule)
        if len(msgspec.json.encode(rules.rule)) > RULE_BYTES_MAX:
            raise InvalidTerm(path=("rule",), reason=f"more than {RULE_BYTES_MAX} bytes")
        return {"rule": rules.rule}
    shape = _SHAPES.get(kind)
    if shape is None:
        raise InvalidTerm(path=("kind",), reason="there is no such kind of term")
    found = convert(raw, shape)
    _check(found)
    kept: dict[str, Any] = msgspec.to_builtins(found)
    return kept


def convert(raw: object, shape: type[T]) -> T:
    """Read JSON as a shape; raises InvalidTerm, which says where and not what."""
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        found = re.findall(r"[^.\[\]]+", place.group(1)) if place else []
        path = tuple(part if part.isascii() and len(part) <= 40 else "?" for part in found)
        reason = "the form is not right: see docs/programmes.md"
        raise InvalidTerm(path=path, reason=reason) from error


def in_force(terms: Iterable[Term], on: date) -> Term | None:
    """Return the approved term that counts on that day: of those effective the newest."""
    effective = [
        term for term in terms if term.approved_by is not None and term.effective_from <= on
    ]
    return max(effective, key=lambda term: (term.effective_from, term.version), default=None)


def parse_amount(text: str, currency: str, *, path: tuple[str | int, ...]) -> int:
    """Read a positive decimal in a currency as minor units; raises InvalidTerm."""
    try:
        amount = money.parse(text, currency)
    except ValueError as error:
        raise InvalidTerm(path=path, reason=str(error)) from error
    if amount.amount_minor <= 0:
        raise InvalidTerm(path=path, reason="an amount is more than nothing")
    return amount.amount_minor


def _read_top_up(raw: object, currency: str) -> dict[str, Any]:
    found = convert(raw, NewTopUp)
    lines: list[dict[str, Any]] = []
    for place, line in enumerate(found.lines):
        path = ("lines", place)
        if line.age_min is not None and line.age_max is not None and line.age_max < line.age_min:
            raise InvalidTerm(path=(*path, "age_max"), reason="it is below age_min")
        if line.code in {each["code"] for each in lines}:
            raise InvalidTerm(path=(*path, "code"), reason="another line has this code")
        kept: dict[str, Any] = msgspec.to_builtins(line)
        kept["amount_minor"] = parse_amount(kept.pop("amount"), currency, path=(*path, "amount"))
        lines.append(kept)
    return {"lines": lines}


def _check(found: Content) -> None:
    match found:
        case Scope(first_month=first, last_month=last):
            for name, month in (("first_month", first), ("last_month", last)):
                if month is not None and month.day != 1:
                    raise InvalidTerm(path=(name,), reason="a month is written as its first day")
            if first is not None and last is not None and last < first:
                raise InvalidTerm(path=("last_month",), reason="it is before the first month")
        case Grants(grants=codes):
            if len(set(codes)) < len(codes):
                raise InvalidTerm(path=("grants",), reason="a grant is named once")
        case _:
            return
