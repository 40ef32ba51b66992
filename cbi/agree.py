"""Rules of overlap: propose them, approve them, and load those in force."""

from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import Row, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.overlap import FLOOR, Rules, check, digest
from cbi.overlap_refusal import InvalidRules, OwnProposal, RulesApproved
from cbi.overlap_tables import overlap_approval, overlap_rules
from cbi.refusal import BadValue, NotFound
from cbi.who import Who
from ledger.violation import constraint_of

_VERSIONS = """
    SELECT r.version, r.document, r.sha256, r.effective_from, r.partner_id, r.proposed_at,
        s.since, ARRAY(SELECT a.partner_id FROM cbi.overlap_approval AS a
            WHERE a.version = r.version ORDER BY a.at, a.partner_id) AS approved_by
    FROM cbi.overlap_rules AS r LEFT JOIN cbi.overlap_rules_since AS s USING (version)"""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """Rules with who proposed and approved them; `since` is when they came into force, or will."""

    version: int
    rules: Rules
    sha256: str
    effective_from: date
    proposed_by: UUID  # an organisation, as are the next
    approved_by: list[UUID]
    proposed_at: datetime
    since: date | None


def read(raw: object) -> Rules:
    """Read a document; raises InvalidRules with every fault."""
    rules, faults = check(raw)
    if faults:
        raise InvalidRules(faults=faults)
    return rules


async def propose(
    conn: AsyncConnection, rules: Rules, *, effective_from: date, today: date, by: Who
) -> Version:
    """Add a version that waits for two organisations; raises BadValue for a day that is over."""
    if effective_from < today:
        raise BadValue(field="effective_from", reason="rules begin today or later")
    await conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('cbi.rules', 0))"))
    newest = await conn.scalar(select(func.max(overlap_rules.c.version)))
    version = (newest or 0) + 1
    await conn.execute(
        insert(overlap_rules).values(
            version=version,
            document=msgspec.to_builtins(rules),
            sha256=digest(rules),
            effective_from=effective_from,
            partner_id=by.partner_id,
            proposed_by=by.actor_id,
            proposed_at=by.at,
        )
    )
    return await load_version(conn, version)


async def approve(conn: AsyncConnection, *, version: int, by: Who) -> Version:
    """Approve rules for one's organisation; with the second they are in force from their day.

    Raises NotFound, OwnProposal, RulesApproved.
    """
    proposed_by = await conn.scalar(
        select(overlap_rules.c.proposed_by).where(overlap_rules.c.version == version)
    )
    if proposed_by is None:
        raise NotFound(what="rules", wanted=version)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(overlap_approval).values(
                    version=version,
                    partner_id=by.partner_id,
                    actor_id=by.actor_id,
                    proposed_by=proposed_by,
                    at=by.at,
                )
            )
    except IntegrityError as error:
        match constraint_of(error):
            case "overlap_approval_not_proposer":
                raise OwnProposal(version=version) from error
            case "overlap_approval_once_per_partner" | "overlap_approval_once_per_person":
                raise RulesApproved(version=version) from error
        raise
    return await load_version(conn, version)


async def load_version(conn: AsyncConnection, version: int) -> Version:
    """Load rules as they stand; raises NotFound."""
    rows = await conn.execute(text(f"{_VERSIONS} WHERE r.version = :version"), {"version": version})
    row = rows.one_or_none()
    if row is None:
        raise NotFound(what="rules", wanted=version)
    return _version(row)


async def list_versions(conn: AsyncConnection, *, after: int, limit: int) -> list[Version]:
    """List every version, proposed or in force, oldest first."""
    rows = await conn.execute(
        text(f"{_VERSIONS} WHERE r.version > :after ORDER BY r.version LIMIT :limit"),
        {"after": after, "limit": limit},
    )
    return [_version(row) for row in rows]


async def in_force(conn: AsyncConnection, on: date) -> tuple[int, Rules]:
    """Return the rules in force on a day with their version; 0 when none were agreed by then."""
    row = (await conn.execute(text("SELECT * FROM cbi.overlap_rules_on(:day)"), {"day": on})).one()
    if row.version == 0:
        return 0, FLOOR
    return row.version, msgspec.convert(row.document, Rules)


def _version(row: Row[tuple[object, ...]]) -> Version:
    facts = row._asdict()
    return Version(
        version=facts["version"],
        rules=msgspec.convert(facts["document"], Rules),
        sha256=facts["sha256"].hex(),
        effective_from=facts["effective_from"],
        proposed_by=facts["partner_id"],
        approved_by=facts["approved_by"],
        proposed_at=facts["proposed_at"],
        since=facts["since"],
    )
