"""What is answered about a household that somebody asks about, as far as it may be told."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal, get_args
from uuid import UUID

import msgspec

from cbi.asked import ReadAsked
from cbi.fault import Fault
from dedup.explain import Told, told_match
from dedup.find import Found, Pair
from dedup.model import Strength
from dedup.record import Record
from dedup.score import agreeing_fields

Status = Literal["clear", "review", "blocked", "unsearchable"]
# Why somebody was not searched, or not among everybody: the form has faults; the household said no
# to the check; nothing to search by; lost in a crowd that shares a document's number; the record
# of somebody who may be the same person can't be opened.
Why = Literal["faulty", "declined", "no_keys", "crowded", "unopened"]
# The family holds this assistance in these months; somebody may be registered elsewhere; somebody
# stands twice in the list.
Reason = Literal["assisted", "possible_match", "twice_in_list", Why]

# Who matches more households than this needs a person to look, not a longer list.
MATCHES_TOLD_MAX = 20
TWICE_TOLD_MAX = 20
SAYS: Mapping[Reason, Told] = {
    "assisted": Told(
        es="La familia ya tiene esta asistencia en estos meses.",
        en="The family has this assistance in these months already.",
    ),
    "possible_match": Told(
        es="Puede estar registrada ya: que lo vea una persona.",
        en="May be registered already: let a person look.",
    ),
    "twice_in_list": Told(
        es="Alguien está dos veces en su lista.", en="Somebody stands twice in your list."
    ),
    "faulty": Told(es="La fila tiene errores.", en="The row has faults."),
    "declined": Told(
        es="La familia no aceptó la consulta de duplicados.",
        en="The family did not agree to the duplicate check.",
    ),
    "no_keys": Told(
        es="Faltan datos para buscar a alguien.", en="Too little is known to search for somebody."
    ),
    "crowded": Told(
        es="Demasiadas personas comparten un documento.", en="Too many persons share a document."
    ),
    "unopened": Told(
        es="Un registro parecido no se puede abrir.", en="A record that is like it can't be opened."
    ),
}


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Another registration of somebody of the household, as far as it may be told.

    That there is one, how many persons match, how strong, which fields agree (`says` puts it in
    words), and whom to ask.
    """

    strength: Strength
    persons: int
    agreeing: tuple[str, ...]
    says: Told
    ask: str


class Unsearched(msgspec.Struct, frozen=True, kw_only=True):
    """Persons, by their places in the household, about whom "clear" can't be said, and why."""

    persons: tuple[int, ...]
    why: Why


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Another household of the same list: its place, from 1, and its reference."""

    row: int
    reference: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one household: matches strongest first; clear only if all were searched.

    `reason` is the weightiest one, none when it is clear; `contact` whom to ask about it, where it
    is somebody else. `until` is the first day on which what blocks it has ended, none if that is
    not known.
    """

    reference: str
    status: Status
    reason: Reason | None = None
    says: Told | None = None
    until: date | None = None
    contact: str = ""
    matches: tuple[Match, ...] = ()
    matches_left_out: int = 0
    twice: tuple[Place, ...] = ()
    unsearched: tuple[Unsearched, ...] = ()
    faults: tuple[Fault, ...] = ()


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A household as it will be searched, under ids of this moment, or why it will not be."""

    household_id: UUID
    read: ReadAsked
    places: Mapping[UUID, int] = {}
    records: tuple[Record, ...] = ()
    why: Why | None = None


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """The asker's own registration of a household, found by its reference.

    `apart` are households that people have judged to be others. `is_held`: its family holds what is
    asked about, and not from the asker; `until` says until when, if that is known.
    """

    household_id: UUID
    apart: frozenset[UUID] = frozenset()
    is_held: bool = False
    until: date | None = None


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What is known besides the search: by household asked about, and whom to ask."""

    own: Mapping[UUID, Own] = {}
    twice: Mapping[UUID, Sequence[Place]] = {}
    contacts: Mapping[UUID, str] = {}
    coordination: str = ""


def answer(question: Question, found: Found | Why, around: Around) -> Answer:
    """Answer about one household.

    Only what people have decided blocks it: a match alone, however strong, tells that there may be
    another registration, never that somebody is assisted.
    """
    pairs = found.pairs if isinstance(found, Found) else ()
    own = around.own.get(question.household_id)
    # A reference alone is no proof: somebody of the registration must stand in the question.
    if own is not None and all(pair.other_household_id != own.household_id for pair in pairs):
        own = None
    passed = {own.household_id, *own.apart} if own is not None else frozenset[UUID]()
    by_household: dict[UUID, list[Pair]] = {}
    for pair in pairs:
        if pair.other_household_id not in passed:
            by_household.setdefault(pair.other_household_id, []).append(pair)
    matches = tuple(_match(these, around.contacts) for these in by_household.values())
    twice = tuple(around.twice.get(question.household_id, ()))
    unsearched = _unsearched(question, found)
    status: Status
    reason: Reason | None
    if own is not None and own.is_held:
        status, reason, contact = "blocked", "assisted", around.coordination
    else:
        status, reason, contact = _weightiest(matches, twice, unsearched)
    return Answer(
        reference=question.read.reference,
        status=status,
        reason=reason,
        says=SAYS[reason] if reason is not None else None,
        until=own.until if own is not None else None,
        contact=contact,
        matches=matches[:MATCHES_TOLD_MAX],
        matches_left_out=max(len(matches) - MATCHES_TOLD_MAX, 0),
        twice=twice[:TWICE_TOLD_MAX],
        unsearched=unsearched,
        faults=question.read.faults,
    )


def _weightiest(
    matches: Sequence[Match], twice: Sequence[Place], unsearched: Sequence[Unsearched]
) -> tuple[Status, Reason | None, str]:
    if matches:
        return "review", "possible_match", matches[0].ask
    if twice:
        return "review", "twice_in_list", ""
    if unsearched:
        return "unsearchable", unsearched[0].why, ""
    return "clear", None, ""


def _unsearched(question: Question, found: Found | Why) -> tuple[Unsearched, ...]:
    if not isinstance(found, Found):
        return (Unsearched(persons=tuple(question.places.values()), why=found),)
    reasons: tuple[tuple[Why, tuple[UUID, ...]], ...] = (
        ("no_keys", found.unsearched),
        ("crowded", found.crowded),
    )
    return tuple(
        Unsearched(persons=tuple(sorted(question.places[one] for one in ids)), why=why)
        for why, ids in reasons
        if ids
    )


def _match(pairs: Sequence[Pair], contacts: Mapping[UUID, str]) -> Match:
    best = pairs[0]
    return Match(
        strength=best.score.strength,
        persons=len({pair.person_id for pair in pairs}),
        agreeing=agreeing_fields(best.score.fields),
        says=told_match(best.score.strength, best.score.fields),
        ask=contacts[best.other_partner_id],
    )


assert set(SAYS) == {*get_args(Reason)}, "each reason has its words"
