"""Register a household: store it sealed, index it, check it against everybody, answer a receipt.

All of it in one transaction: there is no household without its check, and no check without its
household.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import consent, household, tables
from cbi.fault import Fault, Finding, fault
from cbi.history import gone_of
from cbi.household import Read, Registration
from cbi.identities import Candidates
from cbi.person import KnownPerson, Person
from cbi.refusal import (
    HouseholdEnded,
    InvalidRegistration,
    NotFound,
    OutsideArea,
    ReferenceTaken,
)
from cbi.store import store
from cbi.vault import Vault, keyed_digest, keyed_int
from dedup import cases, find, index, judge, within
from dedup.blocking import key_hasher
from dedup.case import CasePair, CaseView, Reason, State, Verdict, Why, persons_matching
from dedup.explain import Told, told_match
from dedup.model import Model, Strength
from dedup.record import Record
from dedup.score import agreeing_fields


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """A case the household is part of, as far as its own partner may know.

    Of the other side: that there is a match, how strong, which fields agree, and whom to ask.
    """

    case_id: UUID
    reason: Reason
    state: State
    strength: Strength | None
    persons: int
    agreeing: tuple[str, ...]
    says: Told | None
    why: Why | None
    verdict: Verdict | None
    ask: str
    # Persons of the match who are recorded as deceased, or as having left their household.
    deceased: int = 0
    left: int = 0


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a registration: clear, or review with what may be known of the match."""

    household_id: UUID
    person_ids: tuple[UUID, ...]
    status: Literal["clear", "review"]
    flags: tuple[Flag, ...]
    warnings: tuple[Fault, ...] = ()


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What registering needs besides the database: keys, the model, and fresh ids."""

    vault: Vault
    matching_key: bytes
    model: Model
    new_id: Callable[[], UUID]

    def __repr__(self) -> str:
        """Tell no key, wherever this is printed."""
        return f"Desk(model={self.model.model_id!r})"


def admitted(read: Read, area: str) -> Registration:
    """Return what a form says, if it has no errors and is of the area; raises what refuses it."""
    if read.registration is None:
        raise InvalidRegistration(faults=read.faults)
    if not read.registration.ubigeo.startswith(area):
        raise OutsideArea(area=area)
    return read.registration


async def register(
    conn: AsyncConnection,
    read: Read,
    *,
    desk: Desk,
    partner_id: UUID,
    actor_id: UUID,
    area: str,
    at: datetime,
    today: date,
    household_id: UUID | None = None,
) -> Receipt:
    """Register one household as a door has read it.

    The same reference with the same content is the same registration: the receipt as it stands
    now. Raises InvalidRegistration, ReferenceTaken, OutsideArea, HouseholdEnded.
    """
    registration = admitted(read, area)
    warnings = warnings_of(read, desk)
    reference_key = reference_key_of(registration, desk, partner_id)
    content_key = content_key_of(registration, desk)
    household_id = household_id or desk.new_id()
    person_ids = tuple(desk.new_id() for _ in registration.persons)
    is_new = await store(
        conn,
        registration,
        vault=desk.vault,
        household_id=household_id,
        person_ids=person_ids,
        keys=(reference_key, content_key),
        partner_id=partner_id,
        actor_id=actor_id,
        at=at,
    )
    if not is_new:
        known = await _known(conn, partner_id, reference_key)
        if known is None:  # and it is outside our area
            raise OutsideArea(area=area)
        return await _again(conn, known, content_key, warnings, desk)
    if consent.stands(registration.consents, "duplicate_check", today):
        records = household.to_records(registration, household_id, person_ids)
        is_flagged = await check_records(
            conn, records, desk=desk, partner_id=partner_id, actor_id=actor_id, at=at
        )
    else:
        # Saying no to the check must not mean no aid: the case goes to a person.
        await judge.open_unchecked(
            conn, household_id, why="declined", partner_id=partner_id, at=at, actor_id=actor_id
        )
        is_flagged = True
    flags = await flags_of(conn, household_id, model=desk.model) if is_flagged else ()
    return _receipt(household_id, person_ids, flags, warnings=warnings)


def reference_key_of(registration: Registration, desk: Desk, partner_id: UUID) -> int:
    """Hash a partner's reference, as households are told apart by."""
    return keyed_int(desk.matching_key, "reference", str(partner_id), registration.reference)


def content_key_of(registration: Registration, desk: Desk) -> bytes:
    """Hash what a form says: the same again is known by it."""
    content = msgspec.json.encode(_as_told(registration), order="sorted").decode()
    return keyed_digest(desk.matching_key, "content", content)


def _as_told(registration: Registration) -> Registration:
    """Leave out what is known of the persons besides the form."""
    names = Person.__struct_fields__
    persons = tuple(
        Person(**{name: getattr(each, name) for name in names})
        if isinstance(each, KnownPerson)
        else each
        for each in registration.persons
    )
    return msgspec.structs.replace(registration, persons=persons)


def warnings_of(read: Read, desk: Desk) -> tuple[Fault, ...]:
    """Return what a form that can be stored should be asked about."""
    twice = _entered_twice(read.registration, desk.model) if read.registration else ()
    return (*read.faults, *twice)


async def must_be_free(conn: AsyncConnection, reference_key: int, *, partner_id: UUID) -> None:
    """Raise ReferenceTaken for a reference that the organisation has given already."""
    known = await _known(conn, partner_id, reference_key)
    if known is not None:
        raise ReferenceTaken(household_id=known.household_id)


async def receipt(conn: AsyncConnection, household_id: UUID, *, model: Model) -> Receipt:
    """Return the receipt of a household as it stands now; raises NotFound."""
    person, home = tables.person.c, tables.household.c
    # The household's rule also knows the area of a key.
    if not await conn.scalar(select(home.size).where(home.household_id == household_id)):
        raise NotFound(what="household", wanted=household_id)
    person_ids = await conn.scalars(
        select(person.person_id)
        .where(person.household_id == household_id, person.gone.is_(None))
        .order_by(person.ordinal)
    )
    flags = await flags_of(conn, household_id, model=model)
    return _receipt(household_id, tuple(person_ids), flags)


async def flags_of(conn: AsyncConnection, household_id: UUID, *, model: Model) -> tuple[Flag, ...]:
    """Return the flags of one's own household, strongest first."""
    views = await cases.cases_of(conn, household_id)
    partner = tables.partner.c
    others = {
        (view.case.partner_b if view.case.household_a == household_id else view.case.partner_a)
        for view in views
    }
    rows = await conn.execute(
        select(partner.partner_id, partner.code, partner.contact).where(
            partner.partner_id.in_(others)
        )
    )
    contacts = {row.partner_id: f"{row.code}: {row.contact}" for row in rows}
    gone = await gone_of(conn, [view.case.case_id for view in views])
    return tuple(
        msgspec.structs.replace(
            _flag(view, household_id, contacts, model),
            deceased=gone[view.case.case_id]["deceased"],
            left=gone[view.case.case_id]["left"],
        )
        for view in views
    )


def _receipt(
    household_id: UUID,
    person_ids: tuple[UUID, ...],
    flags: tuple[Flag, ...],
    warnings: tuple[Fault, ...] = (),
) -> Receipt:
    # A decision stays in force while it is disputed.
    waiting = any(flag.verdict is None for flag in flags)
    return Receipt(
        household_id=household_id,
        person_ids=person_ids,
        status="review" if waiting else "clear",
        flags=flags,
        warnings=warnings,
    )


def _flag(view: CaseView, household_id: UUID, contacts: Mapping[UUID, str], model: Model) -> Flag:
    case = view.case
    other = case.partner_b if case.household_a == household_id else case.partner_a
    best = view.pairs[0] if view.pairs else None
    return Flag(
        case_id=case.case_id,
        reason=case.reason,
        state=view.state,
        strength=model.strength(best.weight_bits) if best else None,
        persons=persons_matching(view.pairs),
        agreeing=agreeing_fields(best.evidence) if best else (),
        says=_says(best, model) if best else None,
        why=case.why,
        verdict=view.decision.verdict if view.decision else None,
        ask=contacts.get(other, "") if other else "",
    )


def _says(pair: CasePair, model: Model) -> Told:
    return told_match(model.strength(pair.weight_bits), pair.evidence)


async def check_records(
    conn: AsyncConnection,
    records: tuple[Record, ...],
    *,
    desk: Desk,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    is_fresh: bool = True,
) -> bool:
    """Search for the household's persons; True when cases were opened."""
    keys = index.keyed(records, key_hasher(desk.matching_key))
    # Indexing first: it locks the keys, so that of two registrations of one person at the same
    # moment the later sees the earlier.
    await index.add(conn, records, keys)
    found = await find.find(
        conn, records, keys, model=desk.model, opener=Candidates(conn, desk.vault)
    )
    household_id = records[0].household_id
    if not (found.pairs or found.unsearched or found.crowded):
        return False
    await judge.open_cases(
        conn,
        household_id,
        found,
        partner_id=partner_id,
        model=desk.model,
        at=at,
        actor_id=actor_id,
        is_fresh=is_fresh,
    )
    if found.unsearched or found.crowded:
        # "Could not search" is never "found nothing".
        why: Why = "unsearchable" if found.unsearched else "crowded"
        await judge.open_unchecked(
            conn, household_id, why=why, partner_id=partner_id, at=at, actor_id=actor_id
        )
    return True


def _entered_twice(registration: Registration, model: Model) -> tuple[Fault, ...]:
    """Warn of persons of one form who seem to be the same; numbered from 1, as a form has them."""
    places = [UUID(int=place) for place in range(len(registration.persons))]
    records = household.to_records(registration, UUID(int=0), places)
    found = []
    for each in within.twice(records, model):
        one, other = (records[at].person_id.int for at in (each.one, each.other))
        found.append(fault(Finding(("persons", other), "person_twice", str(one + 1))))
    return tuple(found)


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    household_id: UUID
    content_key: bytes
    has_ended: bool


async def _again(
    conn: AsyncConnection,
    known: _Known,
    content_key: bytes,
    warnings: tuple[Fault, ...],
    desk: Desk,
) -> Receipt:
    if known.has_ended:
        raise HouseholdEnded(household_id=known.household_id)
    if known.content_key != content_key:
        raise ReferenceTaken(household_id=known.household_id)
    stored = await receipt(conn, known.household_id, model=desk.model)
    return msgspec.structs.replace(stored, warnings=warnings)


async def _known(conn: AsyncConnection, partner_id: UUID, reference_key: int) -> _Known | None:
    home = tables.household.c
    row = (
        await conn.execute(
            select(
                home.household_id, home.content_key, home.ended_at.is_not(None).label("has_ended")
            ).where(home.partner_id == partner_id, home.reference_key == reference_key)
        )
    ).one_or_none()
    return msgspec.convert(row._mapping, _Known) if row else None  # noqa: SLF001 -- public
