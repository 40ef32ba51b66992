"""Terms of a programme: add a version, let another person approve it, load what counts."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.entitlement import ValueTable
from cbi.refusal import NotFound
from cbi.term import Kind, Term
from cbi.term_refusal import ApprovedByAuthor, InvalidTerm, TermApproved
from cbi.term_tables import term, term_approval
from cbi.who import Who
from ledger.violation import constraint_of

# All of a programme's terms are read at once.
VERSIONS_MAX = 500


async def add(
    conn: AsyncConnection,
    *,
    programme_id: UUID,
    kind: Kind,
    effective_from: date,
    content: Mapping[str, Any],
    who: Who,
) -> Term:
    """Add the next version of a kind; it counts when another person approves it.

    Raises NotFound, InvalidTerm.
    """
    # Two who add at once get two numbers.
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 41))"),
        {"what": f"{programme_id} {kind}"},
    )
    newest = await conn.scalar(
        select(func.max(term.c.version)).where(
            term.c.programme_id == programme_id, term.c.kind == kind
        )
    )
    if newest == VERSIONS_MAX:
        raise InvalidTerm(path=("kind",), reason=f"a kind has {VERSIONS_MAX} versions at most")
    added = Term(
        kind=kind,
        version=(newest or 0) + 1,
        effective_from=effective_from,
        content=dict(content),
        entered_by=who.actor_id,
        added_at=who.at,
        approved_by=None,
        approved_at=None,
    )
    row = msgspec.structs.asdict(added)
    del row["approved_by"], row["approved_at"]
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(term).values(programme_id=programme_id, partner_id=who.partner_id, **row)
            )
    except IntegrityError as error:
        if constraint_of(error) == "term_of_programme":
            raise NotFound(what="programme", wanted=programme_id) from error
        if constraint_of(error) == "term_grants_known":
            reason = "a grant that the organisation doesn't have"
            raise InvalidTerm(path=("grants",), reason=reason) from error
        raise
    return added


async def approve(
    conn: AsyncConnection, *, programme_id: UUID, kind: Kind, version: int, who: Who
) -> Term:
    """Let a term count; raises NotFound, ApprovedByAuthor, TermApproved."""
    found = await load_term(conn, programme_id, kind, version)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(term_approval).values(
                    programme_id=programme_id,
                    kind=kind,
                    version=version,
                    partner_id=who.partner_id,
                    entered_by=found.entered_by,
                    approved_by=who.actor_id,
                    approved_at=who.at,
                )
            )
    except IntegrityError as error:
        match constraint_of(error):
            case "term_approval_two_people":
                raise ApprovedByAuthor(kind=kind, version=version) from error
            case "term_approval_once":
                raise TermApproved(kind=kind, version=version) from error
        raise
    return msgspec.structs.replace(found, approved_by=who.actor_id, approved_at=who.at)


async def load_term(conn: AsyncConnection, programme_id: UUID, kind: Kind, version: int) -> Term:
    """Load one version; raises NotFound."""
    for found in await load_terms(conn, programme_id, kind=kind):
        if found.version == version:
            return found
    raise NotFound(what="term", wanted=programme_id)


async def load_terms(
    conn: AsyncConnection, programme_id: UUID, *, kind: Kind | None = None
) -> list[Term]:
    """Load every version, of one kind or of all, by kind and version."""
    approval = term_approval.c
    query = (
        select(
            term.c.kind,
            term.c.version,
            term.c.effective_from,
            term.c.content,
            term.c.entered_by,
            term.c.added_at,
            approval.approved_by,
            approval.approved_at,
        )
        .join_from(
            term,
            term_approval,
            (approval.programme_id == term.c.programme_id)
            & (approval.kind == term.c.kind)
            & (approval.version == term.c.version),
            isouter=True,
        )
        .where(term.c.programme_id == programme_id)
        .order_by(term.c.kind, term.c.version)
    )
    if kind is not None:
        query = query.where(term.c.kind == kind)
    rows = await conn.execute(query)
    return [msgspec.convert(row._mapping, Term) for row in rows]  # noqa: SLF001 -- public by its docs


async def set_values(
    conn: AsyncConnection,
    *,
    programme_id: UUID,
    currency: str,
    by_size: Mapping[int, int],
    effective_from: date,
    who: Who,
    area: str = "",
) -> ValueTable:
    """Add the next version of a value table (minor units per month by size); raises NotFound."""
    amounts = [by_size[size] for size in sorted(by_size)]
    added = await add(
        conn,
        programme_id=programme_id,
        kind="values",
        effective_from=effective_from,
        content={"area": area, "amounts_minor": amounts},
        who=who,
    )
    return as_table(added, currency)


def as_table(found: Term, currency: str) -> ValueTable:
    return ValueTable(
        version=found.version,
        area=found.content["area"],
        effective_from=found.effective_from,
        currency=currency,
        by_size=dict(enumerate(found.content["amounts_minor"], start=1)),
    )
