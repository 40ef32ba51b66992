"""What happens to a household after its registration: words, and who of a form is who of it."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from cbi.document import NOT_UNIQUE, Document, compact, issuer
from cbi.person import KnownPerson, Person, ever_shown

Kind = Literal[
    "corrected",
    "updated",
    "joined",
    "left",
    "deceased",
    "consent_withdrawn",
    "withdrawn",
    "erased",
    "offered",
    "transferred",
    "received",
    "split",
    "split_off",
    "merged",
    "merged_into",
]
Reason = Literal[
    "data_error",
    "changed",
    "born",
    "arrived",
    "moved_out",
    "separated",
    "died",
    "family_asked",
    "same_household",
    "referred",
    "other",
]
AmendReason = Literal["data_error", "changed"]
# Why a person is in the household no more; the first two stay findable.
Gone = Literal["left", "deceased", "error", "elsewhere", "moved", "replaced"]
FINDABLE: frozenset[Gone | None] = frozenset({None, "left", "deceased"})

EARLIER_DOCUMENTS_MAX = 100
_Rule = Callable[[Person], frozenset[tuple[str, ...]]]


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """An event: what, why, and on what day; `note` is sealed under the household's key."""

    kind: Kind
    reason: Reason
    on: date
    note: str = ""
    consent: str | None = None
    persons_in: int = 0
    persons_out: int = 0
    other_household_id: UUID | None = None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person of a household, also one who is in it no more."""

    person_id: UUID
    ordinal: int
    gone: Gone | None
    person: KnownPerson


def pair(known: Sequence[Person], told: Sequence[Person]) -> list[int | None]:
    """Return for each person told whom of the known it is, by place; None: somebody new.

    A document tells first, then names with the date of birth, then either part of them. Nobody is
    taken for two.
    """
    return _pair(known, told, (_documents, _name_and_birth, _given_and_birth, _names))


def pair_mistaken(known: Sequence[Person], told: Sequence[Person]) -> list[int | None]:
    """Pair as a form that mends errors means it: what is left over by relationship, in order."""
    return _pair(known, told, (_relationship, _anybody))


def _pair(
    known: Sequence[Person], told: Sequence[Person], rules: Sequence[_Rule]
) -> list[int | None]:
    places: list[int | None] = [None] * len(told)
    free = dict(enumerate(known))
    for rule in rules:
        for at, person in enumerate(told):
            if places[at] is not None:
                continue
            keys = rule(person)
            found = next(
                (place for place, one in free.items() if not keys.isdisjoint(rule(one))), None
            )
            if found is not None:
                places[at] = found
                del free[found]
    return places


def follow(known: KnownPerson, told: Person, *, is_error: bool) -> KnownPerson:
    """Return the person as told; what was shown before stays known, unless it was an error."""
    before = known.earlier_documents if is_error else (*known.documents, *known.earlier_documents)
    shown = {_key(each) for each in told.documents}
    earlier = {_key(each): each for each in reversed(before) if _key(each) not in shown}
    return keep(told, tuple(reversed(earlier.values()))[:EARLIER_DOCUMENTS_MAX])


def gather(kept: KnownPerson, other: KnownPerson) -> KnownPerson:
    """Return a person of two households as one of them has it, known by the documents of both."""
    known = {_key(each): each for each in ever_shown(kept)}
    more = [each for each in ever_shown(other) if _key(each) not in known]
    earlier = (*kept.earlier_documents, *more)[:EARLIER_DOCUMENTS_MAX]
    return msgspec.structs.replace(kept, earlier_documents=earlier)


def keep(told: Person, earlier: tuple[Document, ...] = ()) -> KnownPerson:
    """Return a person of a form as it is sealed: its needs are sealed apart."""
    fields = {name: getattr(told, name) for name in Person.__struct_fields__}
    return KnownPerson(**fields | {"specific_needs": ()}, earlier_documents=earlier)


def _documents(person: Person) -> frozenset[tuple[str, ...]]:
    return frozenset(_key(each) for each in ever_shown(person) if each.type not in NOT_UNIQUE)


def _name_and_birth(person: Person) -> frozenset[tuple[str, ...]]:
    return frozenset(
        (*name, born) for name in _names(person) for (_, born) in _given_and_birth(person)
    )


def _given_and_birth(person: Person) -> frozenset[tuple[str, ...]]:
    born = person.birth_date
    return frozenset() if born is None else frozenset({(_plain(person.given_names), str(born))})


def _names(person: Person) -> frozenset[tuple[str, ...]]:
    return frozenset({(_plain(person.given_names), _plain(person.surnames))})


def _relationship(person: Person) -> frozenset[tuple[str, ...]]:
    return frozenset({(person.relationship,)})


def _anybody(person: Person) -> frozenset[tuple[str, ...]]:
    del person
    return frozenset({()})


def _key(document: Document) -> tuple[str, ...]:
    return (document.type, issuer(document), compact(document.number))


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def findable(members: Sequence[Member]) -> Iterator[Member]:
    """Give who is searched for: also who left or died."""
    return (each for each in members if each.gone in FINDABLE)
