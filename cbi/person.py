"""A person of a household, as the person said it; matching normalises its own copy."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

import msgspec
import phonenumbers

from cbi.account import Role
from cbi.document import Document, issuer, number_fault
from cbi.fault import Finding, Path
from cbi.place import COUNTRIES

Sex = Literal["F", "M", "other", "not_stated"]
BirthPrecision = Literal["day", "month", "year", "age"]
Relationship = Literal[
    "head",
    "partner",
    "child",
    "parent",
    "sibling",
    "grandchild",
    "grandparent",
    "other_relative",
    "not_related",
    "not_stated",
]
# `gbv_survivor` never leaves the owning partner.
SpecificNeed = Literal[
    "disability",
    "chronic_illness",
    "pregnant_or_nursing",
    "single_parent",
    "older_person_alone",
    "child_unaccompanied",
    "child_at_risk",
    "legal_protection",
    "gbv_survivor",
    "other",
]

YEAR_MIN = 1900

Name = Annotated[str, msgspec.Meta(max_length=200)]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One person. Names as on the document; the alternate collector may live elsewhere."""

    given_names: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    surnames: Name
    preferred_name: Name = ""
    birth_date: date | None = None
    # What of birth_date is known; with "age" it is the middle of the possible year.
    birth_precision: BirthPrecision = "day"
    sex: Sex = "not_stated"
    relationship: Relationship = "not_stated"  # to the head
    roles: Annotated[tuple[Role, ...], msgspec.Meta(max_length=3)] = ()
    lives_in_household: bool = True
    nationality: Annotated[str, msgspec.Meta(max_length=3)] = ""  # ISO 3166-1 alpha-3, XXA
    documents: Annotated[tuple[Document, ...], msgspec.Meta(max_length=10)] = ()
    phones: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=40)], ...],
        msgspec.Meta(max_length=5),
    ] = ()
    specific_needs: Annotated[tuple[SpecificNeed, ...], msgspec.Meta(max_length=10)] = ()


class KnownPerson(Person, frozen=True, kw_only=True):
    """A person as kept: with what was shown before and stands in the form no more."""

    earlier_documents: Annotated[tuple[Document, ...], msgspec.Meta(max_length=100)] = ()


def ever_shown(person: Person) -> tuple[Document, ...]:
    """All documents the person is known by, today's first."""
    earlier = person.earlier_documents if isinstance(person, KnownPerson) else ()
    return (*person.documents, *earlier)


def settle(person: Person) -> Person:
    """The person with phones in E.164 where valid and documents under their issuer."""
    return msgspec.structs.replace(
        person,
        phones=tuple(dict.fromkeys(e164(phone) or phone for phone in person.phones)),
        documents=tuple(
            msgspec.structs.replace(document, country=issuer(document))
            for document in person.documents
        ),
    )


def faults_of(person: Person, path: Path, today: date) -> Iterator[Finding]:
    """What is wrong with one person, taken alone."""
    if not person.surnames:
        yield Finding((*path, "surnames"), "surname_missing")
    if person.birth_date is None:
        yield Finding((*path, "birth_date"), "birth_missing")
    elif person.birth_date > today:
        yield Finding((*path, "birth_date"), "date_future")
    elif person.birth_date.year < YEAR_MIN:
        yield Finding((*path, "birth_date"), "date_early", str(YEAR_MIN))
    if person.nationality and person.nationality not in COUNTRIES:
        yield Finding((*path, "nationality"), "country_unknown")
    for index, document in enumerate(person.documents):
        yield from _document_faults(document, (*path, "documents", index))
    for index, phone in enumerate(person.phones):
        if re.search(r"[0-9]", phone) is None:
            yield Finding((*path, "phones", index), "phone_digits")
        elif e164(phone) is None:
            yield Finding((*path, "phones", index), "phone_form")


def _document_faults(document: Document, path: Path) -> Iterator[Finding]:
    if (wrong := number_fault(document)) is not None:
        code, form, level = wrong
        yield Finding((*path, "number"), code, form, level)
    if document.country and document.country not in COUNTRIES:
        yield Finding((*path, "country"), "country_unknown")
    if document.type == "passport" and not document.country:
        yield Finding((*path, "country"), "document_country")


def e164(phone: str) -> str | None:
    try:
        number = phonenumbers.parse(phone, "PE")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
