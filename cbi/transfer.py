"""Hand a household over to another organisation, which it agreed to: offer, answer, acceptance."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Row, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import household, partners, tables
from cbi.consent import Consent
from cbi.event import Happened, Member
from cbi.event_tables import household_event, transfer_answer, transfer_offer
from cbi.fault import in_order
from cbi.form import read_form
from cbi.household import PopulationType, Registration
from cbi.identities import SealedHousehold, note_access
from cbi.person import KnownPerson
from cbi.refusal import (
    BadValue,
    ConsentMissing,
    InvalidRegistration,
    NotFound,
    OfferClosed,
    OfferStands,
    OutsideArea,
    ReferenceTaken,
)
from cbi.register import (
    Desk,
    Receipt,
    content_key_of,
    must_be_free,
    receipt,
    reference_key_of,
)
from cbi.store import store
from cbi.turn import Held, forget, lock, lock_families, recheck, rewrite, succeed, turn
from cbi.vault import Vault, WrappedKey, open_as
from cbi.who import Who
from ledger.violation import constraint_of

OFFER_DAYS = 14
State = Literal["open", "expired", "accepted", "refused", "taken_back"]


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What a household is called at who takes it over, read as in a form."""

    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer as either side sees it; `household_id` only where it is one's own."""

    offer_id: UUID
    from_partner: str
    to_partner: str
    ubigeo: str
    size: int
    offered_at: datetime
    expires_at: datetime
    state: State
    household_id: UUID | None


async def offer(
    conn: AsyncConnection,
    household_id: UUID,
    *,
    to_partner: str,
    desk: Desk,
    who: Who,
    today: date,
) -> Offer:
    """Offer a household to the organisation of that code, for 14 days.

    It sees the district and how many they are. Raises BadValue, NotFound, HouseholdEnded,
    ConsentMissing without a standing consent to `referral`, and OfferStands.
    """
    to_partner_id = await partners.find(conn, to_partner)
    if to_partner_id is None or to_partner_id == who.partner_id:
        raise BadValue(field="partner", reason="unknown, or one's own")
    row = await lock(conn, household_id)
    offer_id = desk.new_id()
    try:
        async with conn.begin_nested():
            await turn(
                conn,
                household_id,
                Happened(kind="offered", reason="referred", on=today),
                event_id=offer_id,
                who=who,
                version=row.version,
            )
            await conn.execute(
                insert(transfer_offer).values(
                    offer_id=offer_id,
                    partner_id=who.partner_id,
                    to_partner_id=to_partner_id,
                    # The database says these three itself.
                    ubigeo="",
                    size=0,
                    text_version="",
                    offered_at=who.at,
                    expires_at=who.at + timedelta(days=OFFER_DAYS),
                )
            )
    except IntegrityError as error:
        match constraint_of(error):
            case "transfer_by_consent":
                raise ConsentMissing(household_id=household_id, kinds=["referral"]) from error
            case "transfer_offer_alone":
                raise OfferStands(household_id=household_id) from error
        raise
    return (await list_offers(conn, at=who.at, wanted=offer_id))[0]


async def list_offers(
    conn: AsyncConnection,
    *,
    at: datetime,
    after: UUID | None = None,
    limit: int = 1,
    wanted: UUID | None = None,
) -> list[Offer]:
    """List offers made by one's organisation or to it, oldest first."""
    made, answer, event = transfer_offer.c, transfer_answer.c, household_event.c
    holder, receiver = tables.partner.alias(), tables.partner.alias()
    query = (
        select(
            made.offer_id,
            holder.c.code.label("from_partner"),
            receiver.c.code.label("to_partner"),
            made.ubigeo,
            made.size,
            made.offered_at,
            made.expires_at,
            answer.answer,
            event.household_id,
        )
        .join_from(transfer_offer, holder, holder.c.partner_id == made.partner_id)
        .join(receiver, receiver.c.partner_id == made.to_partner_id)
        .outerjoin(transfer_answer, answer.offer_id == made.offer_id)
        # Another organisation's events are not there to be read.
        .outerjoin(household_event, event.event_id == made.offer_id)
        .order_by(made.offer_id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(made.offer_id > after)
    if wanted is not None:
        query = query.where(made.offer_id == wanted)
    return [_offer(row, at) for row in await conn.execute(query)]


async def refuse(conn: AsyncConnection, offer_id: UUID, *, who: Who) -> Offer:
    """Refuse an offer to one's organisation, or take back its own. Raises NotFound, OfferClosed."""
    made = transfer_offer.c
    found = await conn.execute(select(transfer_offer).where(made.offer_id == offer_id))
    row = found.one_or_none()
    if row is None:
        raise NotFound(what="offer", wanted=offer_id)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(transfer_answer).values(
                    offer_id=offer_id,
                    partner_id=row.partner_id,
                    to_partner_id=row.to_partner_id,
                    answer="taken_back" if row.partner_id == who.partner_id else "refused",
                    actor_id=who.actor_id,
                    at=who.at,
                    # The database tells the transaction itself.
                    transaction_no=0,
                )
            )
    except IntegrityError as error:
        if constraint_of(error) in {"transfer_answer_pkey", "transfer_answer_in_time"}:
            raise OfferClosed(offer_id=offer_id) from error
        raise
    return (await list_offers(conn, at=who.at, wanted=offer_id))[0]


async def accept(
    conn: AsyncConnection,
    offer_id: UUID,
    *,
    reference: str,
    desk: Desk,
    who: Who,
    area: str,
    today: date,
) -> Receipt:
    """Take a household over under a reference of one's own, sealed anew under a key of its own.

    It is the same family; what it was promised before stays promised, and blocks those months. Its
    answers about registration, the duplicate check and referrals go along; whoever pays it asks
    for the others. Raises NotFound, OfferClosed, OutsideArea, ReferenceTaken, FamiliesApart,
    InvalidRegistration.
    """
    named, findings = read_form({"reference": reference}, Reference)
    if findings:
        raise InvalidRegistration(faults=in_order(findings, None))
    await lock_families(conn)
    await _accept(conn, offer_id, who=who)
    before = await _offered(conn, offer_id, named.reference, desk=desk, who=who)
    if not before.ubigeo.startswith(area):
        raise OutsideArea(area=area)
    await must_be_free(conn, before.reference_key, partner_id=who.partner_id)
    consents = await _consents(conn, offer_id)
    ending = desk.new_id()
    await conn.execute(
        text(
            "SELECT cbi.hand_over(:offer_id ::uuid, :ending ::uuid, :on ::date, :at ::timestamptz)"
        ),
        {"offer_id": offer_id, "ending": ending, "on": today, "at": who.at},
    )
    # Before the check, or the household would be found as its own duplicate.
    await forget(conn, before, desk=desk)
    after = await _store(conn, before, consents, desk=desk, who=who)
    await succeed(conn, before.household_id, after.household_id, ending=ending, at=who.at)
    await turn(
        conn,
        after.household_id,
        Happened(kind="received", reason="referred", on=today, persons_in=len(after.present)),
        event_id=desk.new_id(),
        who=who,
        version=1,
    )
    fresh = msgspec.structs.replace(
        after,
        members=tuple(msgspec.structs.replace(each, gone=None) for each in after.members),
    )
    await rewrite(conn, fresh, after)
    nobody = msgspec.structs.replace(after, members=())
    await recheck(conn, nobody, after, desk=desk, who=who)
    return await receipt(conn, after.household_id, model=desk.model)


def _offer(row: Row[*tuple[Any, ...]], at: datetime) -> Offer:
    state: State = "open" if at < row.expires_at else "expired"
    fields = {name: getattr(row, name) for name in Offer.__struct_fields__ if name != "state"}
    return Offer(**fields, state=row.answer or state)


async def _accept(conn: AsyncConnection, offer_id: UUID, *, who: Who) -> None:
    """Accept an offer while it stands; raises NotFound, OfferClosed."""
    try:
        async with conn.begin_nested():
            await conn.execute(
                text("SELECT cbi.accept_offer(:offer_id ::uuid, :at ::timestamptz)"),
                {"offer_id": offer_id, "at": who.at},
            )
    except IntegrityError as error:
        if constraint_of(error) not in {"transfer_offer_stands", "transfer_answer_pkey"}:
            raise
        made = transfer_offer.c
        known = select(made.size).where(
            made.offer_id == offer_id, made.to_partner_id == who.partner_id
        )
        if await conn.scalar(known):
            raise OfferClosed(offer_id=offer_id) from error
        raise NotFound(what="offer", wanted=offer_id) from error


async def _offered(
    conn: AsyncConnection, offer_id: UUID, reference: str, *, desk: Desk, who: Who
) -> Held:
    """Open what was accepted, which is written down."""
    found = await conn.execute(
        text("SELECT * FROM cbi.offered(:offer_id ::uuid)"), {"offer_id": offer_id}
    )
    row = found.one()
    await note_access(conn, [row.household_id], purpose="transfer")
    return _open(row, reference, desk=desk, who=who)


def _open(row: Row[Any], reference: str, *, desk: Desk, who: Who) -> Held:
    vault: Vault = desk.vault
    wrapped = WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped)
    key = vault.unwrap(wrapped, row.household_id)
    # Who is there comes first, if more ever were than one household may have.
    listed = sorted(
        zip(row.person_ids, row.gone, row.persons, strict=True), key=lambda one: one[1] is not None
    )
    members = tuple(
        Member(
            person_id=person_id,
            ordinal=ordinal,
            gone=gone,
            person=open_as(key, sealed, KnownPerson, kind="person", owner=person_id),
        )
        for ordinal, (person_id, gone, sealed) in enumerate(listed[: household.PERSONS_MAX])
    )
    home = open_as(key, row.sealed, SealedHousehold, kind="household", owner=row.household_id)
    held = Held(
        household_id=row.household_id,
        partner_id=who.partner_id,
        reference_key=0,
        version=1,
        content_key=b"",
        ubigeo=row.ubigeo,
        population_type=row.population_type,
        size=0,
        ended_at=None,
        home=msgspec.structs.replace(home, reference=reference),
        key=key,
        members=members,
        last_ordinal=len(members) - 1,
    )
    reference_key = reference_key_of(_registration(held, ()), desk, who.partner_id)
    return msgspec.structs.replace(held, reference_key=reference_key)


def _registration(held: Held, consents: Sequence[Consent]) -> Registration:
    return Registration(
        **msgspec.structs.asdict(held.home),
        ubigeo=held.ubigeo,
        population_type=msgspec.convert(held.population_type, PopulationType),
        consents=tuple(consents),
        persons=tuple(each.person for each in held.members),
    )


async def _consents(conn: AsyncConnection, offer_id: UUID) -> list[Consent]:
    rows = await conn.execute(
        text("SELECT * FROM cbi.offered_consents(:offer_id ::uuid)"), {"offer_id": offer_id}
    )
    return [
        msgspec.convert(row._mapping, Consent)  # noqa: SLF001 -- public by its docs
        for row in rows
    ]


async def _store(
    conn: AsyncConnection, before: Held, consents: Sequence[Consent], *, desk: Desk, who: Who
) -> Held:
    """Store what was opened as a household of the caller's organisation, under fresh ids."""
    registration = _registration(before, consents)
    members = tuple(
        msgspec.structs.replace(each, person_id=desk.new_id()) for each in before.members
    )
    household_id = desk.new_id()
    content_key = content_key_of(registration, desk)
    is_new = await store(
        conn,
        registration,
        vault=desk.vault,
        household_id=household_id,
        person_ids=tuple(each.person_id for each in members),
        keys=(before.reference_key, content_key),
        **msgspec.structs.asdict(who),
    )
    if not is_new:
        raise ReferenceTaken(household_id=household_id)
    found = await conn.execute(
        select(tables.data_key).where(tables.data_key.c.household_id == household_id)
    )
    wrapped = found.one()
    key = desk.vault.unwrap(
        WrappedKey(kek_id=wrapped.kek_id, wrapped=wrapped.wrapped), household_id
    )
    return msgspec.structs.replace(
        before,
        household_id=household_id,
        content_key=content_key,
        size=household.size(registration),
        key=key,
        members=members,
    )
