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
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import consent, household, tables
from cbi.fault import Fault
from cbi.household import Read, Registration
from cbi.identities import SealedHousehold, open_candidates
from cbi.refusal import InvalidRegistration, NotFound, OutsideArea, ReferenceTaken
from cbi.vault import Vault, keyed_digest, keyed_int, seal
from dedup import cases, find, index, judge
from dedup.blocking import key_hasher
from dedup.case import CaseView, Reason, State, Verdict, Why
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
    why: Why | None
    verdict: Verdict | None
    ask: str


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
) -> Receipt:
    """Register one household as a door has read it.

    The same reference with the same content is the same registration: the receipt as it stands
    now. Raises InvalidRegistration, ReferenceTaken, OutsideArea.
    """
    if read.registration is None:
        raise InvalidRegistration(faults=read.faults)
    registration = read.registration
    if not registration.ubigeo.startswith(area):
        raise OutsideArea(area=area)
    reference_key = keyed_int(
        desk.matching_key, "reference", str(partner_id), registration.reference
    )
    content_key = keyed_digest(
        desk.matching_key, "content", msgspec.json.encode(registration, order="sorted").decode()
    )
    known = await _known(conn, partner_id, reference_key)
    if known is not None:
        return await _again(conn, known, content_key, read, desk)
    household_id = desk.new_id()
    person_ids = tuple(desk.new_id() for _ in registration.persons)
    is_new = await _store(
        conn,
        registration,
        desk=desk,
        household_id=household_id,
        person_ids=person_ids,
        keys=(reference_key, content_key),
        partner_id=partner_id,
        actor_id=actor_id,
        at=at,
    )
    if not is_new:
        # Somebody registered this reference since we looked.
        known = await _known(conn, partner_id, reference_key)
        if known is None:  # and it is outside our area
            raise OutsideArea(area=area)
        return await _again(conn, known, content_key, read, desk)
    if consent.stands(registration.consents, "duplicate_check", today):
        records = household.to_records(registration, household_id, person_ids)
        await _check(conn, records, desk=desk, partner_id=partner_id, actor_id=actor_id, at=at)
    else:
        # Saying no to the check must not mean no aid: the case goes to a person.
        await judge.open_unchecked(
            conn, household_id, why="declined", partner_id=partner_id, at=at, actor_id=actor_id
        )
    stored = await receipt(conn, household_id, model=desk.model)
    return msgspec.structs.replace(stored, warnings=read.faults)


async def receipt(conn: AsyncConnection, household_id: UUID, *, model: Model) -> Receipt:
    """Return the receipt of a household as it stands now; raises NotFound."""
    person, home = tables.person.c, tables.household.c
    # Through the household, whose rule also knows the area of a key.
    person_ids = (
        await conn.scalars(
            select(person.person_id)
            .join_from(tables.household, tables.person, home.household_id == person.household_id)
            .where(person.household_id == household_id)
            .order_by(person.ordinal)
        )
    ).all()
    if not person_ids:
        raise NotFound(what="household", wanted=household_id)
    flags = await flags_of(conn, household_id, model=model)
    waiting = any(flag.state != "decided" for flag in flags)
    return Receipt(
        household_id=household_id,
        person_ids=tuple(person_ids),
        status="review" if waiting else "clear",
        flags=flags,
    )


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
    return tuple(_flag(view, household_id, contacts, model) for view in views)


def _flag(view: CaseView, household_id: UUID, contacts: Mapping[UUID, str], model: Model) -> Flag:
    case = view.case
    other = case.partner_b if case.household_a == household_id else case.partner_a
    best = view.pairs[0] if view.pairs else None
    return Flag(
        case_id=case.case_id,
        reason=case.reason,
        state=view.state,
        strength=model.strength(best.weight_bits) if best else None,
        persons=len({pair.person_a for pair in view.pairs}),
        agreeing=agreeing_fields(best.evidence) if best else (),
        why=case.why,
        verdict=view.decision.verdict if view.decision else None,
        ask=contacts.get(other, "") if other else "",
    )


async def _check(
    conn: AsyncConnection,
    records: tuple[Record, ...],
    *,
    desk: Desk,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> None:
    hasher = key_hasher(desk.matching_key)
    # Indexing first: it locks the keys, so that of two registrations of one person at the same
    # moment the later sees the earlier.
    await index.add(conn, records, partner_id=partner_id, hasher=hasher)
    found = await find.find(
        conn,
        records,
        hasher=hasher,
        model=desk.model,
        open_records=lambda wanted: open_candidates(conn, wanted, vault=desk.vault),
    )
    household_id = records[0].household_id
    await judge.open_cases(
        conn,
        household_id,
        found,
        partner_id=partner_id,
        model=desk.model,
        at=at,
        actor_id=actor_id,
    )
    if found.unsearched:
        # "Could not search" is never "found nothing".
        await judge.open_unchecked(
            conn, household_id, why="unsearchable", partner_id=partner_id, at=at, actor_id=actor_id
        )


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    household_id: UUID
    content_key: bytes


async def _again(
    conn: AsyncConnection, known: _Known, content_key: bytes, read: Read, desk: Desk
) -> Receipt:
    if known.content_key != content_key:
        raise ReferenceTaken(household_id=known.household_id)
    stored = await receipt(conn, known.household_id, model=desk.model)
    return msgspec.structs.replace(stored, warnings=read.faults)


async def _known(conn: AsyncConnection, partner_id: UUID, reference_key: int) -> _Known | None:
    home = tables.household.c
    row = (
        await conn.execute(
            select(home.household_id, home.content_key).where(
                home.partner_id == partner_id, home.reference_key == reference_key
            )
        )
    ).one_or_none()
    return _Known(household_id=row.household_id, content_key=row.content_key) if row else None


async def _store(
    conn: AsyncConnection,
    registration: Registration,
    *,
    desk: Desk,
    household_id: UUID,
    person_ids: tuple[UUID, ...],
    keys: tuple[int, bytes],
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> bool:
    """Store a household whole; False, and nothing stored, when its reference is taken."""
    key, wrapped = desk.vault.new_key(household_id)
    sealed = SealedHousehold(
        reference=registration.reference,
        registered_on=registration.registered_on,
        intention=registration.intention,
        assistance_wanted=registration.assistance_wanted,
        instrument=registration.instrument,
    )
    ours = {"household_id": household_id, "partner_id": partner_id}
    stored = await conn.execute(
        insert(tables.household)
        .values(
            ours
            | {
                "reference_key": keys[0],
                "content_key": keys[1],
                "ubigeo": registration.ubigeo,
                "population_type": registration.population_type,
                "size": household.size(registration),
                "sealed": seal(key, sealed, kind="household", owner=household_id),
                "registered_at": at,
                "registered_by": actor_id,
            }
        )
        .on_conflict_do_nothing(constraint="household_reference_once")
    )
    if stored.rowcount == 0:
        return False
    await conn.execute(
        insert(tables.data_key).values(
            ours | {"kek_id": wrapped.kek_id, "wrapped": wrapped.wrapped}
        )
    )
    await _store_persons(conn, registration, key=key, person_ids=person_ids, ours=ours)
    await conn.execute(
        insert(tables.consent),
        [
            ours | {"recorded_at": at} | msgspec.structs.asdict(each)
            for each in registration.consents
        ],
    )
    # A new registration is a family of its own until people judge otherwise.
    await conn.execute(
        insert(tables.membership).values(ours | {"beneficiary_id": household_id, "since": at})
    )
    return True


async def _store_persons(
    conn: AsyncConnection,
    registration: Registration,
    *,
    key: bytes,
    person_ids: tuple[UUID, ...],
    ours: dict[str, UUID],
) -> None:
    people, needs = [], []
    for ordinal, (person, person_id) in enumerate(
        zip(registration.persons, person_ids, strict=True)
    ):
        plain = msgspec.structs.replace(person, specific_needs=())
        sealed = seal(key, plain, kind="person", owner=person_id)
        people.append(ours | {"person_id": person_id, "ordinal": ordinal, "sealed": sealed})
        if person.specific_needs:
            sealed = seal(key, person.specific_needs, kind="needs", owner=person_id)
            needs.append(
                {"person_id": person_id, "partner_id": ours["partner_id"], "sealed": sealed}
            )
    await conn.execute(insert(tables.person), people)
    if needs:
        await conn.execute(insert(tables.specific_need), needs)
