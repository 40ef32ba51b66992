"""A household that somebody asks about without registering it: who its persons are, no more."""

import re
from datetime import date
from typing import Annotated

import msgspec

from cbi import consent, household, person
from cbi.consent import Consent
from cbi.fault import Fault, has_errors, in_order
from cbi.form import read_form
from cbi.household import PERSONS_MAX, Registration
from cbi.intake.source import Row
from cbi.person import Person
from cbi.place import ubigeo_finding


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a registration that a check reads; only the persons are needed.

    `reference` is given back with the answer and kept nowhere.
    """

    reference: Annotated[str, msgspec.Meta(max_length=60)] = ""
    ubigeo: Annotated[str, msgspec.Meta(max_length=6)] = ""
    consents: Annotated[tuple[Consent, ...], msgspec.Meta(max_length=10)] = ()
    persons: Annotated[tuple[Person, ...], msgspec.Meta(min_length=1, max_length=PERSONS_MAX)]


class ReadAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What was read: the household unless a fault is an error, and all faults in any case.

    `reference` is there also when the household is not, if it could be read.
    """

    asked: Asked | None
    reference: str
    faults: tuple[Fault, ...]


# What a registration has besides: passed over, so that the same JSON can be checked and then sent.
_ALSO = frozenset(Registration.__struct_fields__) - frozenset(Asked.__struct_fields__)


def read(raw: object, *, today: date) -> ReadAsked:
    """Read decoded JSON, a registration or less, and find every fault at once. Never raises."""
    if isinstance(raw, dict):
        raw = {name: value for name, value in raw.items() if name not in _ALSO}
    partial, findings = read_form(raw, Asked)
    asked = msgspec.structs.replace(
        partial, persons=tuple(person.settle(each) for each in partial.persons)
    )
    rules = list(household.persons_findings(asked.persons, today))
    if asked.ubigeo and (district := ubigeo_finding(asked.ubigeo)) is not None:
        rules.append(district)
    findings += household.without_echoes(rules, findings)
    faults = in_order(findings, raw)
    return ReadAsked(
        asked=None if has_errors(faults) else asked, reference=asked.reference, faults=faults
    )


def of_file(row: Row, *, today: date) -> ReadAsked:
    """Read one household of a file: what a registration has besides is passed over here as well."""
    if row.raw is None:
        return ReadAsked(asked=None, reference=row.reference, faults=row.faults)
    found = read(row.raw, today=today)
    known = {each.path for each in found.faults}
    own = tuple(
        each
        for each in row.faults
        if each.path not in known and re.split(r"[.\[]", each.path, maxsplit=1)[0] not in _ALSO
    )
    faults = (*own, *found.faults)
    return ReadAsked(
        asked=None if has_errors(faults) else found.asked,
        reference=row.reference,
        faults=faults,
    )


def declines(asked: Asked, on: date) -> bool:
    """Say whether the household is known not to agree to being checked."""
    answered = any(each.kind == "duplicate_check" for each in asked.consents)
    return answered and not consent.stands(asked.consents, "duplicate_check", on)
