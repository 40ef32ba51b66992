"""Take in what a door delivers: a registration, or what is so of a household since."""

from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import exists, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.amend import amend
from cbi.event_tables import household_version
from cbi.household import Read
from cbi.import_tables import submission
from cbi.intake.source import Submission
from cbi.refusal import InvalidRegistration, ReferenceTaken
from cbi.register import Desk, Receipt, content_key_of, receipt, register, warnings_of
from cbi.row_refusal import fault_of
from cbi.tables import household
from cbi.turn import lock
from cbi.vault import keyed_int


class Taken(Receipt, frozen=True, kw_only=True):
    """A receipt, with the version that the household has now, and how it came to be.

    `is_known` when nothing is new; `is_changed` when this is the household's next version.
    """

    version: int
    is_known: bool
    is_changed: bool


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    desk: Desk
    partner_id: UUID
    actor_id: UUID
    area: str
    at: datetime
    today: date


class _Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A submission by its keys, and the household that it is of, if it or its original is known."""

    instance_key: int
    replaces_key: int | None
    household_id: UUID | None
    is_replaced: bool
    has_code: bool


async def take_in(
    conn: AsyncConnection,
    read: Read,
    *,
    desk: Desk,
    partner_id: UUID,
    actor_id: UUID,
    area: str,
    at: datetime,
    today: date,
    submitted: Submission | None = None,
) -> Taken:
    """Register a household; one that is registered under its reference gets its next version.

    The same content again changes nothing, nor does what the household was before and is no more:
    then a file comes late. An edited submission is the next version of the household that the one
    it replaces was of, and one that was replaced is late. Raises as `register` and `amend` do.
    """
    facts = _Facts(
        desk=desk, partner_id=partner_id, actor_id=actor_id, area=area, at=at, today=today
    )
    sent = None if submitted is None else await _sent(conn, submitted, facts)
    taken = await _taken(conn, read, facts, sent)
    if sent is not None:
        await conn.execute(
            postgresql.insert(submission)
            .values(
                partner_id=partner_id,
                instance_key=sent.instance_key,
                household_id=taken.household_id,
                replaces_key=sent.replaces_key,
                at=at,
            )
            .on_conflict_do_nothing(constraint="submission_once")
        )
    return taken


async def _taken(conn: AsyncConnection, read: Read, facts: _Facts, sent: _Sent | None) -> Taken:
    if sent is not None and sent.household_id is not None:
        if sent.is_replaced:
            return await _late(conn, sent.household_id, read, facts)
        return await _next(conn, sent.household_id, read, facts, sent)
    household_id = facts.desk.new_id()
    try:
        made = await register(
            conn, read, household_id=household_id, **msgspec.structs.asdict(facts)
        )
    except ReferenceTaken as taken:
        return await _next(conn, taken.household_id, read, facts, sent)
    is_new = made.household_id == household_id
    version = 1 if is_new else await _version(conn, made.household_id)
    return _as_taken(made, version=version, is_known=not is_new)


async def _next(
    conn: AsyncConnection, household_id: UUID, read: Read, facts: _Facts, sent: _Sent | None
) -> Taken:
    if read.registration is None:
        raise InvalidRegistration(faults=read.faults)
    before = await lock(conn, household_id)
    # Who says what his submission replaces may well go back to what was so before.
    is_newer = sent is not None and sent.replaces_key is not None
    content_key = content_key_of(read.registration, facts.desk)
    if content_key == before.content_key:
        stands = await receipt(conn, household_id, model=facts.desk.model)
        known = msgspec.structs.replace(stands, warnings=warnings_of(read, facts.desk))
        return _as_taken(known, version=before.version, is_known=True)
    if not is_newer and await _was_so(conn, household_id, content_key):
        return await _late(conn, household_id, read, facts)
    made = await amend(
        conn,
        household_id,
        read,
        reason="changed",
        by_reference=True,
        keeps_reference=sent is not None and not sent.has_code,
        **msgspec.structs.asdict(facts),
    )
    version = await _version(conn, household_id)
    return _as_taken(made, version=version, is_known=version == before.version)


async def _late(conn: AsyncConnection, household_id: UUID, read: Read, facts: _Facts) -> Taken:
    stands = await receipt(conn, household_id, model=facts.desk.model)
    warnings = (*warnings_of(read, facts.desk), fault_of("earlier_version"))
    version = await _version(conn, household_id)
    return _as_taken(
        msgspec.structs.replace(stands, warnings=warnings), version=version, is_known=True
    )


def _as_taken(made: Receipt, *, version: int, is_known: bool) -> Taken:
    return Taken(
        **{name: getattr(made, name) for name in Receipt.__struct_fields__},
        version=version,
        is_known=is_known,
        is_changed=not is_known and version > 1,
    )


async def _version(conn: AsyncConnection, household_id: UUID) -> int:
    home = household.c
    found = await conn.scalar(select(home.version).where(home.household_id == household_id))
    assert found is not None
    return int(found)


async def _was_so(conn: AsyncConnection, household_id: UUID, content_key: bytes) -> bool:
    """Say whether an earlier version of the household had this content."""
    kept = household_version.c
    return bool(
        await conn.scalar(
            select(
                exists().where(kept.household_id == household_id, kept.content_key == content_key)
            )
        )
    )


async def _sent(conn: AsyncConnection, submitted: Submission, facts: _Facts) -> _Sent:
    partner = str(facts.partner_id)
    matching_key = facts.desk.matching_key
    instance_key = keyed_int(matching_key, "submission", partner, submitted.instance)
    replaces_key = None
    if submitted.replaces:
        replaces_key = keyed_int(matching_key, "submission", partner, submitted.replaces)
    known = submission.c
    rows = (
        await conn.execute(
            select(known.household_id, known.replaces_key)
            .where(
                known.partner_id == facts.partner_id,
                or_(
                    known.instance_key.in_([instance_key, replaces_key]),
                    known.replaces_key.in_([instance_key, replaces_key]),
                ),
            )
            .order_by(known.at, known.instance_key)
        )
    ).all()
    return _Sent(
        instance_key=instance_key,
        replaces_key=replaces_key,
        household_id=rows[-1].household_id if rows else None,
        is_replaced=any(row.replaces_key == instance_key for row in rows),
        has_code=submitted.has_code,
    )
