"""Grants: enter one, amend it, approve a version, say of which one a round is paid."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, Select, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import grant_refusal as refusal
from cbi.disburse import load_round
from cbi.grant import Agreed, Grant, Kind, Version, adds
from cbi.grant_tables import grant_agreement, grant_approval, grant_version, round_grant
from cbi.refusal import BadValue, CbiRefusal, NotFound
from cbi.term_refusal import ApprovedByAuthor, TermApproved
from cbi.who import Who
from ledger.money import Money
from ledger.refusal import TransferRefused
from ledger.violation import constraint_of

VERSIONS_MAX = 100
_VERSIONS = """
    SELECT v.grant_id, v.version, v.kind, v.amount_minor, g.currency, v.first_day, v.last_day,
        v.entered_by, v.entered_at, a.approved_by, a.approved_at
    FROM cbi.grant_version AS v JOIN cbi.grant_agreement AS g USING (grant_id)
    LEFT JOIN cbi.grant_approval AS a USING (grant_id, version)
    WHERE v.grant_id = ANY (:grant_ids) ORDER BY v.grant_id, v.version"""


async def enter(
    conn: AsyncConnection,
    *,
    grant_id: UUID,
    code: str,
    donor: str,
    reference: str,
    agreed: Agreed,
    who: Who,
) -> Grant:
    """Enter a grant; it counts when another person approves its first version.

    Raises BadValue for days that are none of a grant, or a code that another grant has.
    """
    _must_be_days(agreed)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(grant_agreement).values(
                    grant_id=grant_id,
                    partner_id=who.partner_id,
                    code=code,
                    donor=donor,
                    reference=reference,
                    currency=agreed.money.currency,
                    entered_by=who.actor_id,
                    entered_at=who.at,
                )
            )
    except IntegrityError as error:
        if constraint_of(error) == "grant_agreement_code_once":
            raise BadValue(field="code", reason="another grant has this code") from error
        raise
    await _add(conn, grant_id, 1, kind="agreement", agreed=agreed, who=who)
    return await load_grant(conn, grant_id)


async def amend(
    conn: AsyncConnection, *, grant_id: UUID, kind: Kind, agreed: Agreed, who: Who
) -> Grant:
    """Enter an amendment, which another person approves.

    Raises NotFound, BadValue, and AmendmentUnfit for one that takes something away.
    """
    _must_be_days(agreed)
    # Two who amend at once get two numbers.
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 55))"),
        {"what": str(grant_id)},
    )
    found = await load_grant(conn, grant_id)
    if agreed.money.currency != found.currency:
        raise BadValue(field="currency", reason="a grant keeps its currency")
    if len(found.versions) == VERSIONS_MAX:
        raise BadValue(field="grant_id", reason=f"a grant has {VERSIONS_MAX} versions at most")
    counts = found.in_force
    if kind == "agreement" or not adds(kind, None if counts is None else counts.agreed, agreed):
        raise refusal.AmendmentUnfit(grant_id=grant_id)
    await _add(conn, grant_id, len(found.versions) + 1, kind=kind, agreed=agreed, who=who)
    return await load_grant(conn, grant_id)


async def approve(conn: AsyncConnection, *, grant_id: UUID, version: int, who: Who) -> Grant:
    """Let a version count; raises NotFound, ApprovedByAuthor, TermApproved, AmendmentUnfit."""
    found = await load_grant(conn, grant_id)
    made = next((each for each in found.versions if each.version == version), None)
    if made is None:
        raise NotFound(what="version", wanted=version)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(grant_approval).values(
                    grant_id=grant_id,
                    version=version,
                    partner_id=who.partner_id,
                    entered_by=made.entered_by,
                    approved_by=who.actor_id,
                    approved_at=who.at,
                )
            )
    except IntegrityError as error:
        match constraint_of(error):
            case "grant_approval_two_people":
                raise ApprovedByAuthor(kind="grant", version=version) from error
            case "grant_approval_once":
                raise TermApproved(kind="grant", version=version) from error
            case "grant_amendment_adds":
                raise refusal.AmendmentUnfit(grant_id=grant_id) from error
        raise
    return await load_grant(conn, grant_id)


async def name_round(conn: AsyncConnection, *, round_id: UUID, code: str, who: Who) -> Grant:
    """Say of which grant a round is paid, before it is funded; the last word counts.

    Raises NotFound, GrantNotDrawn, RoundFunded.
    """
    opened = await load_round(conn, round_id)
    grant_id = await conn.scalar(
        select(grant_agreement.c.grant_id).where(
            grant_agreement.c.code == code, grant_agreement.c.partner_id == who.partner_id
        )
    )
    if grant_id is None:
        raise refusal.GrantNotDrawn(programme_id=opened.programme_id, grant=code)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(round_grant).values(
                    round_id=round_id, grant_id=grant_id, **msgspec.structs.asdict(who)
                )
            )
    except IntegrityError as error:
        raise_unfit(error, opened.programme_id, code)
        match constraint_of(error):
            case "round_grant_before_funding":
                raise refusal.RoundFunded(round_id=round_id) from error
            case "round_grant_of_round":
                raise NotFound(what="round", wanted=round_id) from error
        raise
    return await load_grant(conn, grant_id)


def raise_unfit(
    error: IntegrityError | TransferRefused, programme_id: UUID, code: str | None
) -> None:
    """Raise what the database says of the grant that money is to come from; else return."""
    made: CbiRefusal | None = None
    rule = error.constraint if isinstance(error, TransferRefused) else constraint_of(error)
    match rule:
        case "funding_names_grant" | "round_names_grant":
            made = refusal.GrantUnnamed(programme_id=programme_id)
        case "funding_of_drawn_grant" | "round_of_drawn_grant":
            made = refusal.GrantNotDrawn(programme_id=programme_id, grant=code)
        case "funding_in_grant_currency":
            made = refusal.GrantInOtherCurrency(grant=code)
        case "funding_within_days" | "round_within_days":
            made = refusal.OutsideGrantDays(grant=code)
        case "funding_within_grant" | "rounds_within_grant":
            made = refusal.GrantSpent(grant=code)
    if made is not None:
        raise made from error


async def grant_of_round(conn: AsyncConnection, round_id: UUID) -> str | None:
    """Return the code of the grant that a round names."""
    found: str | None = await conn.scalar(
        text(
            "SELECT g.code FROM cbi.grant_agreement AS g"
            " WHERE g.grant_id = cbi.grant_of_round(:round_id)"
        ),
        {"round_id": round_id},
    )
    return found


async def load_grant(conn: AsyncConnection, grant_id: UUID) -> Grant:
    """Load one with its versions; raises NotFound."""
    found = await _load(conn, select(grant_agreement).where(grant_agreement.c.grant_id == grant_id))
    if not found:
        raise NotFound(what="grant", wanted=grant_id)
    return found[0]


async def list_grants(
    conn: AsyncConnection, *, partner_id: UUID, after: UUID | None, limit: int
) -> list[Grant]:
    """List an organisation's, by id."""
    row = grant_agreement.c
    query = select(grant_agreement).where(row.partner_id == partner_id)
    if after is not None:
        query = query.where(row.grant_id > after)
    return await _load(conn, query.order_by(row.grant_id).limit(limit))


async def _load(conn: AsyncConnection, query: Select[tuple[Any, ...]]) -> list[Grant]:
    rows = (await conn.execute(query)).all()
    found = await conn.execute(text(_VERSIONS), {"grant_ids": [each.grant_id for each in rows]})
    versions: dict[UUID, list[Version]] = {}
    for each in found:
        versions.setdefault(each.grant_id, []).append(_version(each))
    return [
        Grant(
            grant_id=each.grant_id,
            code=each.code,
            donor=each.donor,
            reference=each.reference,
            currency=each.currency,
            versions=tuple(versions[each.grant_id]),
        )
        for each in rows
    ]


def _version(row: Row[tuple[Any, ...]]) -> Version:
    return Version(
        version=row.version,
        kind=row.kind,
        agreed=Agreed(
            money=Money(amount_minor=row.amount_minor, currency=row.currency),
            first_day=row.first_day,
            last_day=row.last_day,
        ),
        entered_by=row.entered_by,
        entered_at=row.entered_at,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
    )


def _must_be_days(agreed: Agreed) -> None:
    for name in ("first_day", "last_day"):
        if not 2000 <= getattr(agreed, name).year < 2200:
            raise BadValue(field=name, reason="a day between 2000 and 2199")
    if agreed.last_day < agreed.first_day:
        raise BadValue(field="last_day", reason="before the first day")


async def _add(
    conn: AsyncConnection, grant_id: UUID, version: int, *, kind: Kind, agreed: Agreed, who: Who
) -> None:
    await conn.execute(
        insert(grant_version).values(
            grant_id=grant_id,
            version=version,
            partner_id=who.partner_id,
            kind=kind,
            amount_minor=agreed.money.amount_minor,
            first_day=agreed.first_day,
            last_day=agreed.last_day,
            entered_by=who.actor_id,
            entered_at=who.at,
        )
    )
