"""A household's registration: what every door delivers, its faults, and its records to match."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from cbi import consent, person
from cbi.account import Instrument, Role, instrument_fault
from cbi.consent import Consent
from cbi.document import NOT_UNIQUE, Document, compact, issuer
from cbi.fault import Fault, Finding, Path, has_errors, in_order
from cbi.form import read_form
from cbi.person import Person
from cbi.place import ubigeo_finding
from dedup.record import Document as RecordDocument
from dedup.record import Record

__all__ = [
    "Consent",
    "Document",
    "Fault",
    "Instrument",
    "Person",
    "Read",
    "Registration",
    "check",
    "persons_findings",
    "read",
    "records_of",
    "size",
    "to_record",
    "to_records",
    "who",
    "without_echoes",
]

PopulationType = Literal[
    "in_destination", "in_transit", "host_community", "pendular", "colombian_returnee"
]
Intention = Literal["stay", "move_on", "return", "undecided", "not_stated"]
Assistance = Literal[
    "mpca",
    "transit_grant",
    "food",
    "rent",
    "health",
    "protection",
    "education",
    "livelihood",
    "other",
]

PERSONS_MAX = 30
DOCUMENTS_OF_TYPE_MAX = 3
REGISTERED_YEAR_MIN = 2014

# dedup.record's codes.
_SEX_OF_RECORD = {"F": "F", "M": "M", "other": "O"}


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """One partner's registration of one household under the partner's own reference."""

    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    registered_on: date
    ubigeo: Annotated[str, msgspec.Meta(max_length=6)]  # district, INEI, leading zero kept
    population_type: PopulationType
    intention: Intention = "not_stated"
    assistance_wanted: Annotated[tuple[Assistance, ...], msgspec.Meta(max_length=9)] = ()
    instrument: Instrument | None = None
    consents: Annotated[tuple[Consent, ...], msgspec.Meta(min_length=1, max_length=10)]
    persons: Annotated[tuple[Person, ...], msgspec.Meta(min_length=1, max_length=PERSONS_MAX)]


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What was read: a registration unless a fault is an error, and all faults in any case."""

    registration: Registration | None
    faults: tuple[Fault, ...]


def read(raw: object, *, today: date) -> Read:
    """Read decoded JSON as a registration and find every fault at once.

    Never raises, whatever `raw` is made of. Faults come in the order of the input.
    """
    partial, findings = read_form(raw, Registration)
    registration = _settle(partial)
    findings += without_echoes(_across(registration, today), findings)
    faults = in_order(findings, raw)
    return Read(registration=None if has_errors(faults) else registration, faults=faults)


def check(registration: Registration, *, today: date) -> tuple[Fault, ...]:
    """The faults of a registration whose form is right, in its own order."""
    return in_order(list(_across(registration, today)), msgspec.to_builtins(registration))


def size(registration: Registration) -> int:
    """The number of persons living in the household."""
    return sum(each.lives_in_household for each in registration.persons)


def who(registration: Registration, role: Role) -> int | None:
    """The index of the person with that role, or None."""
    return next(
        (index for index, each in enumerate(registration.persons) if role in each.roles), None
    )


def to_records(
    registration: Registration, household_id: UUID, person_ids: Sequence[UUID]
) -> tuple[Record, ...]:
    """The persons as matching sees them; `person_ids` are those of all persons, in order."""
    return records_of(
        registration.persons,
        household_id=household_id,
        person_ids=person_ids,
        ubigeo=registration.ubigeo,
    )


def records_of(
    persons: Sequence[Person], *, household_id: UUID, person_ids: Sequence[UUID], ubigeo: str
) -> tuple[Record, ...]:
    """Make records of those who live in the household.

    An alternate collector who lives elsewhere may collect for several families. He is left out,
    or he would tie those families together as one.
    """
    return tuple(
        to_record(each, household_id=household_id, person_id=person_id, ubigeo=ubigeo)
        for each, person_id in zip(persons, person_ids, strict=True)
        if each.lives_in_household
    )


def to_record(
    each: Person,
    *,
    household_id: UUID,
    person_id: UUID,
    ubigeo: str,
    stands_for: UUID | None = None,
) -> Record:
    """One person as matching sees it."""
    return Record(
        person_id=person_id,
        household_id=household_id,
        given=tuple(each.given_names.split()),
        surnames=tuple(each.surnames.split()),
        birth_date=each.birth_date,
        birth_precision=each.birth_precision,
        sex=_SEX_OF_RECORD.get(each.sex, ""),
        documents=tuple(
            RecordDocument(type=doc.type, number=doc.number, country=issuer(doc))
            for doc in person.ever_shown(each)
        ),
        phones=each.phones,
        ubigeo=ubigeo,
        stands_for=stands_for,
    )


def persons_findings(persons: tuple[Person, ...], today: date) -> Iterator[Finding]:
    """What is wrong with who the persons are, each alone and together."""
    for index, each in enumerate(persons):
        yield from person.faults_of(each, ("persons", index), today)
        yield from _probe_faults(each, ("persons", index))
    yield from _repeated_documents(persons)


def as_head(each: Person) -> Person:
    """Say of a head, by relationship or by role, that it is both."""
    if each.relationship == "head" and "head" not in each.roles:
        return msgspec.structs.replace(each, roles=("head", *each.roles))
    if "head" in each.roles and each.relationship == "not_stated":
        return msgspec.structs.replace(each, relationship="head")
    return each


def together_findings(persons: tuple[Person, ...], today: date) -> Iterator[Finding]:
    """What is wrong with the persons of one household, with their roles."""
    yield from persons_findings(persons, today)
    yield from _role_faults(persons)


def without_echoes(found: Iterable[Finding], of_form: Sequence[Finding]) -> list[Finding]:
    """Leave out of the findings of the rules those that only echo a fault of form."""
    known = _Known(of_form)
    return [each for each in found if not _follows(each, known)]


def _settle(registration: Registration) -> Registration:
    """Say what is implied: the head is the head, and collects unless another does."""
    persons = [person.settle(as_head(each)) for each in registration.persons]
    heads = [index for index, each in enumerate(persons) if "head" in each.roles]
    if len(heads) == 1 and all("primary_collector" not in each.roles for each in persons):
        head = persons[heads[0]]
        persons[heads[0]] = msgspec.structs.replace(head, roles=(*head.roles, "primary_collector"))
    return msgspec.structs.replace(registration, persons=tuple(persons))


def _across(registration: Registration, today: date) -> Iterator[Finding]:
    if (district := ubigeo_finding(registration.ubigeo)) is not None:
        yield district
    if registration.registered_on > today:
        yield Finding(("registered_on",), "date_future")
    elif registration.registered_on.year < REGISTERED_YEAR_MIN:
        yield Finding(("registered_on",), "date_early", str(REGISTERED_YEAR_MIN))
    instrument = registration.instrument
    if instrument is not None:
        if code := instrument_fault(instrument):
            yield Finding(("instrument", "account"), code)
        if who(registration, instrument.holder) is None:
            yield Finding(("instrument", "holder"), "holder_missing")
    yield from consent.faults_of(registration.consents, today)
    yield from together_findings(registration.persons, today)


def _probe_faults(each: Person, path: Path) -> Iterator[Finding]:
    """What a registration looks like that only asks whose documents are in the system."""
    if not _has_letter(each.given_names):
        yield Finding((*path, "given_names"), "name_letters")
    # Who has no surname at all leaves it empty, which is only a warning.
    if each.surnames and not _has_letter(each.surnames):
        yield Finding((*path, "surnames"), "name_letters")
    seen: Counter[str] = Counter()
    for index, document in enumerate(each.documents):
        seen[document.type] += 1
        if document.type and seen[document.type] > DOCUMENTS_OF_TYPE_MAX:
            place = (*path, "documents", index)
            yield Finding(place, "document_type_many", str(DOCUMENTS_OF_TYPE_MAX))


def _has_letter(name: str) -> bool:
    return any(character.isalpha() for character in name)


def _role_faults(persons: tuple[Person, ...]) -> Iterator[Finding]:
    seen: Counter[str] = Counter()
    for index, each in enumerate(persons):
        path: Path = ("persons", index, "roles")
        seen.update(set(each.roles))
        if "head" in each.roles:
            if seen["head"] > 1:
                yield Finding(path, "head_twice")
            if each.relationship != "head":
                yield Finding((*path[:2], "relationship"), "head_relationship")
            if not each.lives_in_household:
                yield Finding((*path[:2], "lives_in_household"), "head_elsewhere")
        if "primary_collector" in each.roles and seen["primary_collector"] > 1:
            yield Finding(path, "collector_twice")
    if not seen["head"]:
        yield Finding(("persons",), "head_missing")


def _repeated_documents(persons: tuple[Person, ...]) -> Iterator[Finding]:
    seen: set[tuple[str, str, str]] = set()
    for index, each in enumerate(persons):
        for place, document in enumerate(each.documents):
            key = (document.type, issuer(document), compact(document.number))
            if document.type in NOT_UNIQUE or not key[0] or not key[2]:
                continue
            if key in seen:
                yield Finding(("persons", index, "documents", place, "number"), "document_repeated")
            seen.add(key)


# Findings about the whole household that a fault in one of these fields would only echo.
_ECHOES: dict[str, frozenset[str]] = {
    "head_missing": frozenset({"roles", "relationship", "persons"}),
    "holder_missing": frozenset({"roles", "relationship", "persons"}),
    "consent_registration": frozenset({"consents", "kind", "granted", "given_on", "withdrawn_on"}),
    "consent_absent": frozenset({"consents", "kind"}),
}


class _Known:
    """The faults of form by place and field: there may be as many of them as of the rules."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.paths = {each.path for each in findings if each.code != "field_unknown"}
        names = ([part for part in path if isinstance(part, str)] for path in self.paths)
        self.fields = {each[-1] for each in names if each}


def _follows(finding: Finding, known: _Known) -> bool:
    """Whether a finding only echoes a fault of form already known."""
    path = finding.path
    if any(path[:length] in known.paths for length in range(len(path) + 1)):
        return True
    return not known.fields.isdisjoint(_ECHOES.get(finding.code, frozenset()))
