"""Turn a page of a household: hold it as it stands, record an event, write what is so now."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import event_tables, household, tables
from cbi.consent import Consent
from cbi.event import Gone, Happened, Member, findable
from cbi.identities import SealedHousehold, note_access
from cbi.person import KnownPerson, SpecificNeed
from cbi.refusal import BadValue, FamiliesApart, HouseholdEnded, IdentityErased, NotFound
from cbi.register import Desk, check_records
from cbi.vault import Vault, WrappedKey, open_as, seal
from cbi.who import Who
from dedup import index, judge
from dedup.blocking import key_hasher
from dedup.record import Record
from ledger.violation import constraint_of

Needs = Mapping[UUID, tuple[SpecificNeed, ...]]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A household as it stands, opened, and locked until the transaction ends."""

    household_id: UUID
    partner_id: UUID
    reference_key: int
    version: int
    content_key: bytes
    ubigeo: str
    population_type: str
    size: int
    ended_at: datetime | None
    home: SealedHousehold
    key: bytes
    members: tuple[Member, ...]
    # Of all who ever were in it, also those who are erased.
    last_ordinal: int

    @property
    def present(self) -> tuple[Member, ...]:
        return tuple(each for each in self.members if each.gone is None)

    def __repr__(self) -> str:
        """Tell nothing of the people, wherever this is printed."""
        return f"Held(household_id={self.household_id!r}, version={self.version})"


async def lock(
    conn: AsyncConnection, household_id: UUID, *, has_ended: bool = False
) -> Row[tuple[object, ...]]:
    """Lock a household of one's own; raises NotFound, and HouseholdEnded unless it may have."""
    home = tables.household.c
    row = (
        await conn.execute(
            select(tables.household)
            .where(home.household_id == household_id)
            .with_for_update(key_share=True)
        )
    ).one_or_none()
    if row is None:
        raise NotFound(what="household", wanted=household_id)
    if row.ended_at is not None and not has_ended:
        raise HouseholdEnded(household_id=household_id)
    return row


async def hold(
    conn: AsyncConnection,
    household_id: UUID,
    *,
    vault: Vault,
    purpose: str,
    has_ended: bool = False,
) -> Held:
    """Lock a household and open it; raises IdentityErased, and as `lock`."""
    row = await lock(conn, household_id, has_ended=has_ended)
    await note_access(conn, [household_id], purpose=purpose)
    found = await conn.execute(
        select(tables.data_key).where(tables.data_key.c.household_id == household_id)
    )
    wrapped = found.one_or_none()
    if wrapped is None:
        raise IdentityErased(household_id=household_id)
    key = vault.unwrap(WrappedKey(kek_id=wrapped.kek_id, wrapped=wrapped.wrapped), household_id)
    person = tables.person.c
    found = await conn.execute(
        select(person.person_id, person.ordinal, person.gone, person.sealed)
        .where(person.household_id == household_id)
        .order_by(person.ordinal)
    )
    rows = found.all()
    members = tuple(
        Member(
            person_id=one.person_id,
            ordinal=one.ordinal,
            gone=one.gone,
            person=open_as(key, one.sealed, KnownPerson, kind="person", owner=one.person_id),
        )
        for one in rows
        # Who parted and was erased since is empty.
        if one.sealed
    )
    facts = {name: getattr(row, name) for name in _PLAIN}
    home = open_as(key, row.sealed, SealedHousehold, kind="household", owner=household_id)
    return Held(
        **facts,
        home=home,
        key=key,
        members=members,
        last_ordinal=max(one.ordinal for one in rows),
    )


_OPENED = {"home", "key", "members", "last_ordinal"}
_PLAIN = tuple(name for name in Held.__struct_fields__ if name not in _OPENED)


async def turn(
    conn: AsyncConnection,
    household_id: UUID,
    happened: Happened,
    *,
    event_id: UUID,
    who: Who,
    version: int,
    key: bytes | None = None,
) -> None:
    """Record an event, which makes the household's next version; `key` seals its note."""
    facts = msgspec.structs.asdict(happened)
    note, on = facts.pop("note"), facts.pop("on")
    sealed = None
    if note and key is not None:
        sealed = seal(key, note, kind="event", owner=event_id)
    await conn.execute(
        insert(event_tables.household_event).values(
            event_id=event_id,
            household_id=household_id,
            version=version + 1,
            happened_on=on,
            note=sealed,
            # The database tells the transaction itself.
            transaction_no=0,
            **facts,
            **msgspec.structs.asdict(who),
        )
    )


async def rewrite(conn: AsyncConnection, before: Held, after: Held, *, needs: Needs = {}) -> None:  # noqa: B006 -- a Mapping
    """Write a household as it is after the event that was just recorded."""
    known = {each.person_id: each for each in before.members}
    version = before.version + 1
    for each in after.members:
        if known.get(each.person_id) == each:
            continue
        row: dict[str, object] = {
            "sealed": seal(after.key, each.person, kind="person", owner=each.person_id),
            "gone": each.gone,
            "version": version,
        }
        if each.person_id in known:
            person = tables.person
            await conn.execute(
                update(person).where(person.c.person_id == each.person_id).values(row)
            )
        else:
            row |= {"household_id": after.household_id, "partner_id": after.partner_id}
            row |= {"person_id": each.person_id, "ordinal": each.ordinal}
            await conn.execute(insert(tables.person).values(row))
    await _write_needs(conn, after, needs, version=version)
    home = tables.household
    await conn.execute(
        update(home)
        .where(home.c.household_id == after.household_id)
        .values(
            content_key=after.content_key,
            ubigeo=after.ubigeo,
            population_type=after.population_type,
            size=size_of(after.members) or before.size,
            sealed=seal(after.key, after.home, kind="household", owner=after.household_id),
            ended_at=after.ended_at,
        )
    )


def size_of(members: Sequence[Member]) -> int:
    """Return how many live in the household now."""
    return sum(each.person.lives_in_household for each in members if each.gone is None)


async def recheck(
    conn: AsyncConnection, before: Held, after: Held, *, desk: Desk, who: Who
) -> None:
    """Let matching follow: new keys, a check against everybody as at registration, old keys gone.

    A household that declines the check has no keys; a person looks at it.
    """
    facts = msgspec.structs.asdict(who)
    if await consents(conn, after.household_id, "duplicate_check"):
        if records := records_of(after):
            await check_records(conn, records, desk=desk, is_fresh=False, **facts)
        await forget(conn, before, desk=desk, but=after)
    else:
        await judge.open_unchecked(conn, after.household_id, why="declined", **facts)
        await forget(conn, before, desk=desk)


async def forget(
    conn: AsyncConnection, before: Held, *, desk: Desk, but: Held | None = None
) -> None:
    """Let nobody find the household's persons by the keys they had, `but` those they have now."""
    hasher = key_hasher(desk.matching_key)
    kept = index.keyed(records_of(but), hasher) if but is not None else {}
    had = index.keyed(records_of(before), hasher)
    await index.drop(conn, {one: set(keys) - set(kept.get(one, {})) for one, keys in had.items()})


async def note_succession(
    conn: AsyncConnection, successors: Mapping[UUID, UUID], *, partner_id: UUID
) -> None:
    """Note who is registered as whom now, so that an erasure reaches who they were before."""
    rows = [
        {"person_id": person_id, "partner_id": partner_id, "successor_id": successor_id}
        for person_id, successor_id in successors.items()
    ]
    if rows:
        await conn.execute(insert(event_tables.person_succession), rows)


async def lock_families(conn: AsyncConnection) -> None:
    """Let no family be placed or promised anything meanwhile; before any household is locked."""
    await conn.execute(text("SELECT cbi.lock_families()"))


async def succeed(
    conn: AsyncConnection, ended: UUID, successor: UUID, *, ending: UUID, at: datetime
) -> None:
    """Let the household that the event `ending` ended go on as another; raises FamiliesApart."""
    try:
        async with conn.begin_nested():
            await conn.execute(
                text("SELECT cbi.succeed(:ending ::uuid, :successor ::uuid, :at ::timestamptz)"),
                {"ending": ending, "successor": successor, "at": at},
            )
    except IntegrityError as error:
        if constraint_of(error) == "families_of_decisions":
            raise FamiliesApart(household_id=successor, other_household_id=ended) from error
        raise


async def close_enrolments(conn: AsyncConnection, household_id: UUID, *, at: datetime) -> None:
    """Close the open enrolments of a household that has ended."""
    row = tables.enrolment.c
    await conn.execute(
        update(tables.enrolment)
        .where(row.household_id == household_id, row.closed_at.is_(None))
        .values(closed_at=at)
    )


def records_of(held: Held) -> tuple[Record, ...]:
    """Everybody of the household who is searched for, as matching sees them."""
    members = tuple(findable(held.members))
    return household.records_of(
        [each.person for each in members],
        household_id=held.household_id,
        person_ids=[each.person_id for each in members],
        ubigeo=held.ubigeo,
    )


async def in_force(conn: AsyncConnection, household_id: UUID) -> dict[str, Consent]:
    """Return the household's newest answer of each kind."""
    answer = tables.consent.c
    rows = await conn.execute(
        select(tables.consent)
        .where(answer.household_id == household_id)
        .order_by(answer.recorded_at)
    )
    return {
        row.kind: msgspec.convert(row._mapping, Consent)  # noqa: SLF001 -- public by its docs
        for row in rows
    }


async def consents(conn: AsyncConnection, household_id: UUID, kind: str) -> bool:
    """Say whether the household's newest answer to this question is yes."""
    answer = tables.consent.c
    return bool(
        await conn.scalar(
            select(answer.granted & answer.withdrawn_on.is_(None))
            .where(answer.household_id == household_id, answer.kind == kind)
            .order_by(answer.recorded_at.desc())
            .limit(1)
        )
    )


async def load_needs(conn: AsyncConnection, held: Held, person_ids: Sequence[UUID]) -> Needs:
    """Open the specific needs of persons who have any; only a registrar sees them."""
    need = tables.specific_need.c
    found = await conn.execute(
        select(need.person_id, need.sealed)
        .where(need.person_id.in_(person_ids))
        .order_by(need.version)  # the newest of each counts
    )
    newest = {row.person_id: row.sealed for row in found}
    kind: type[tuple[SpecificNeed, ...]] = tuple[SpecificNeed, ...]
    return {
        person_id: open_as(held.key, sealed, kind, kind="needs", owner=person_id)
        for person_id, sealed in newest.items()
    }


async def _write_needs(conn: AsyncConnection, after: Held, needs: Needs, *, version: int) -> None:
    if not needs:
        return
    stored = await load_needs(conn, after, list(needs))
    rows = [
        {
            "person_id": person_id,
            "partner_id": after.partner_id,
            "version": version,
            "sealed": seal(after.key, told, kind="needs", owner=person_id),
        }
        for person_id, told in needs.items()
        if tuple(told) != stored.get(person_id, ())
    ]
    if rows:
        await conn.execute(insert(tables.specific_need), rows)


def gone(member: Member, why: Gone) -> Member:
    """Return a member who is in the household no more."""
    return msgspec.structs.replace(member, gone=why)


def counted(happened: Happened, before: Held, after: Held) -> Happened:
    """Say with an event how many persons came into the household and went out of it."""
    staying = {each.person_id for each in before.present}
    there = {each.person_id for each in after.present}
    return msgspec.structs.replace(
        happened, persons_in=len(there - staying), persons_out=len(staying - there)
    )


def must_be_past(on: date, today: date) -> None:
    """Raise BadValue for a day to come."""
    if on > today:
        raise BadValue(field="on", reason="in the future")
