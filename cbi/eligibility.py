"""Rules of eligibility as data: read from JSON with limits, and answered with reasons.

A rule is a condition on a named fact, or all, any or not of rules. It is answered yes, no or
unknown: a fact that is missing never makes a no.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from typing import get_args as values_of

import msgspec

from cbi.eligibility_words import FACTS_ES_EN, OPERATORS_ES_EN
from cbi.household import Intention, PopulationType
from cbi.person import SpecificNeed
from cbi.term_refusal import InvalidTerm

Verdict = Literal["yes", "no", "unknown"]
Path = tuple[str | int, ...]

_MODEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
DEPTH_MAX = 8
CONDITIONS_MAX = 60
VALUES_MAX = 50
NUMBER_MAX = 10**9

# What the code for survivors says is nobody's criterion: rules can't ask for it.
NEEDS = frozenset(values_of(SpecificNeed)) - {"gbv_survivor"}
TEXTS: Mapping[str, frozenset[str]] = {
    "population_type": frozenset(values_of(PopulationType)),
    "intention": frozenset(values_of(Intention)) - {"not_stated"},
}
NUMBERS = (
    "size",
    "children_under_5",
    "children_under_18",
    "age_of_head",
    "months_since_registration",
    "score",
)
OPERATORS: Mapping[str, tuple[str, ...]] = {
    "text": ("=", "!=", "in", "not_in"),
    "number": ("=", "!=", "<", "<=", ">", ">="),
    "flag": ("=", "!="),
    "needs": ("has", "has_not"),
    "area": ("within", "not_within"),
}
_OPPOSITE = {"=": "!=", "<": ">=", ">": "<=", "in": "not_in", "has": "has_not"}
_OPPOSITE["within"] = "not_within"
OPPOSITE = _OPPOSITE | {there: here for here, there in _OPPOSITE.items()}


class Span(msgspec.Struct, frozen=True):
    """A number that is known to lie between two, both included."""

    low: float
    high: float


Fact = Span | str | bool | frozenset[str] | None
# By the fact's name; a score by (its model, its version).
Facts = Mapping[str | tuple[str, str], Fact]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What one fact must be."""

    fact: str
    operator: str
    value: float | str | bool | tuple[str, ...]
    model: str = ""
    model_version: str = ""

    @property
    def name(self) -> str | tuple[str, str]:
        return (self.model, self.model_version) if self.fact == "score" else self.fact


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """All or any of some rules."""

    needs_all: bool
    rules: tuple["Group | Condition", ...]


Rule = Group | Condition


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that is not met, or of which nobody knows; it says nothing of the family."""

    fact: str
    operator: str
    value: float | str | bool | tuple[str, ...]
    is_known: bool
    es: str
    en: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a household is eligible, and what keeps it from a yes."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()


def read(raw: object) -> Rule:
    """Read a rule; raises InvalidTerm with the place of its first fault."""
    seen: list[Condition] = []
    return _read(raw, ("rule",), seen, is_not=False)


def answer(rule: Rule, facts: Facts) -> Answer:
    """Answer a rule: no when it fails whatever is missing, unknown when what is missing matters."""
    holds, reasons = _weigh(rule, facts)
    verdict: Verdict = "unknown" if holds is None else "yes" if holds else "no"
    told = dict.fromkeys(reasons)
    return Answer(verdict=verdict, reasons=tuple(told))


def facts_asked(rule: Rule) -> frozenset[str]:
    """The names of the facts that a rule asks for."""
    return frozenset(each.fact for each in _conditions(rule))


def _conditions(rule: Rule) -> Iterator[Condition]:
    if isinstance(rule, Condition):
        yield rule
        return
    for each in rule.rules:
        yield from _conditions(each)


def _read(raw: object, path: Path, seen: list[Condition], *, is_not: bool) -> Rule:
    # Each level of a rule is two of its JSON.
    if len(path) > 2 * DEPTH_MAX:
        raise InvalidTerm(path=path[: 2 * DEPTH_MAX], reason=f"more than {DEPTH_MAX} levels")
    if isinstance(raw, dict):
        if set(raw) >= {"fact", "is", "value"}:
            return _read_condition(raw, path, seen, is_not=is_not)
        if len(raw) == 1:
            ((word, inner),) = raw.items()
            if word == "not":
                return _read(inner, (*path, "not", 0), seen, is_not=not is_not)
            if word in ("all", "any") and isinstance(inner, list) and inner:
                parts = tuple(
                    _read(each, (*path, word, place), seen, is_not=is_not)
                    for place, each in enumerate(inner)
                )
                return Group(needs_all=(word == "all") is not is_not, rules=parts)
    raise InvalidTerm(path=path, reason="a rule is all, any, not, or a fact, is and value")


def _read_condition(
    raw: Mapping[str, Any], path: Path, seen: list[Condition], *, is_not: bool
) -> Condition:
    fact, operator, value = raw["fact"], raw["is"], raw["value"]
    kind = _kind_of(fact) if isinstance(fact, str) else None
    if kind is None:
        raise InvalidTerm(path=(*path, "fact"), reason="there is no such fact")
    more = {"model", "version"} if fact == "score" else set()
    if set(raw) != {"fact", "is", "value"} | more:
        raise InvalidTerm(path=path, reason="a score has a model and a version, no other fact has")
    if not isinstance(operator, str) or operator not in OPERATORS[kind]:
        known = " ".join(OPERATORS[kind])
        raise InvalidTerm(path=(*path, "is"), reason=f"this fact is asked by: {known}")
    for name in more:
        if not isinstance(raw[name], str) or _MODEL.fullmatch(raw[name]) is None:
            raise InvalidTerm(path=(*path, name), reason="1 to 40 of a-z, 0-9, point and dashes")
    found = Condition(
        fact=fact,
        operator=OPPOSITE[operator] if is_not else operator,
        value=_read_value(kind, fact, operator, value, (*path, "value")),
        model=raw.get("model", ""),
        model_version=raw.get("version", ""),
    )
    seen.append(found)
    if len(seen) > CONDITIONS_MAX:
        raise InvalidTerm(path=path, reason=f"more than {CONDITIONS_MAX} conditions")
    return found


def _kind_of(fact: str) -> str | None:
    if fact in TEXTS:
        return "text"
    if fact in NUMBERS:
        return "number"
    return {"single_parent": "flag", "specific_needs": "needs", "area": "area"}.get(fact)


def _read_value(
    kind: str, fact: str, operator: str, value: object, path: Path
) -> float | str | bool | tuple[str, ...]:
    match kind, value:
        case "number", int() | float() if not isinstance(value, bool) and (
            -NUMBER_MAX <= value <= NUMBER_MAX
        ):
            return value
        case "flag", bool():
            return value
        case "needs", str() if value in NEEDS:
            return value
        case "text", str() if operator in ("=", "!=") and value in TEXTS[fact]:
            return value
        case "text" | "area", list() if 1 <= len(value) <= VALUES_MAX and (
            operator not in ("=", "!=")
        ):
            if all(isinstance(each, str) and _may_be(fact, each) for each in value):
                return tuple(value)
    raise InvalidTerm(path=path, reason="this fact can't have this value")


def _may_be(fact: str, value: str) -> bool:
    if fact == "area":
        return value.isascii() and value.isdigit() and len(value) in (2, 4, 6)
    return value in TEXTS[fact]


def _weigh(rule: Rule, facts: Facts) -> tuple[bool | None, list[Reason]]:
    if isinstance(rule, Condition):
        holds = _holds(rule, facts.get(rule.name))
        return holds, [] if holds else [_reason(rule, is_known=holds is not None)]
    weighed = [_weigh(each, facts) for each in rule.rules]
    decides = not rule.needs_all
    if any(holds is decides for holds, _ in weighed):
        told = [] if decides else [each for holds, each in weighed if holds is False]
        return decides, [reason for each in told for reason in each]
    if any(holds is None for holds, _ in weighed):
        return None, [reason for holds, each in weighed if holds is None for reason in each]
    told = [] if rule.needs_all else [each for _, each in weighed]
    return rule.needs_all, [reason for each in told for reason in each]


def _holds(condition: Condition, fact: Fact) -> bool | None:
    value = condition.value
    match fact:
        case None:
            return None
        case Span():
            assert isinstance(value, int | float)
            return _compare(condition.operator, fact, value)
        case frozenset():
            return (value in fact) is (condition.operator == "has")
        case bool():
            return (fact is value) is (condition.operator == "=")
        case str() if condition.fact == "area":
            assert isinstance(value, tuple)
            return fact.startswith(value) is (condition.operator == "within")
        case str():
            is_one = fact in value if isinstance(value, tuple) else fact == value
            return is_one is (condition.operator in ("=", "in"))


def _compare(operator: str, fact: Span, value: float) -> bool | None:
    match operator:
        case "<":
            return True if fact.high < value else None if fact.low < value else False
        case ">":
            return True if fact.low > value else None if fact.high > value else False
        case "<=" | ">=" | "!=":
            opposite = _compare(OPPOSITE[operator], fact, value)
            return None if opposite is None else not opposite
        case _:
            if not fact.low <= value <= fact.high:
                return False
            return True if fact.low == fact.high else None


def _reason(condition: Condition, *, is_known: bool) -> Reason:
    value = condition.value
    shown = ", ".join(value) if isinstance(value, tuple) else str(value).lower()
    model = f" {condition.model} {condition.model_version}" if condition.model else ""
    fact_es, fact_en = (word + model for word in FACTS_ES_EN[condition.fact])
    operator_es, operator_en = OPERATORS_ES_EN[condition.operator]
    return Reason(
        fact=condition.fact,
        operator=condition.operator,
        value=value,
        is_known=is_known,
        es=f"{'No cumple' if is_known else 'Falta saber'}: {fact_es} {operator_es} {shown}",
        en=f"{'Not met' if is_known else 'Not known'}: {fact_en} {operator_en} {shown}",
    )
