"""Load what the report by grant stands on: grants, their accounts, and those of their rounds."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.grant import Grant, Version
from cbi.grants import list_grants
from cbi.reports.asked import LINES_MAX, all_of
from cbi.reports.grant_use import Use, Used
from cbi.reports.load_books import movements
from cbi.reports.movement import what_is
from cbi.term import day_of
from ledger.account import TrialRow
from ledger.trial import trial_balance

PROMISED = ("committed", "payable")
# A grant's accounts in its programmes, and the rounds that name it.
_ROUNDS = text("""
    SELECT r.grant_id, r.round_id FROM (
        SELECT DISTINCT ON (g.round_id) g.round_id, g.grant_id FROM cbi.round_grant AS g
        WHERE g.partner_id = :partner_id ORDER BY g.round_id, g.naming_no DESC) AS r
    ORDER BY r.grant_id, r.round_id""")


async def grants_used(conn: AsyncConnection, *, partner_id: UUID, as_of: date) -> list[Used]:
    """Return an organisation's grants as of a day by code, and what became of each."""
    found = all_of(await list_grants(conn, partner_id=partner_id, after=None, limit=LINES_MAX + 1))
    rows = await trial_balance(conn, as_of=as_of, partner_id=partner_id)
    rounds: dict[UUID, set[str]] = {}
    for grant_id, round_id in await conn.execute(_ROUNDS, {"partner_id": partner_id}):
        rounds.setdefault(grant_id, set()).add(f"round:{round_id}")
    returned = await _returned(conn, rows, rounds, as_of)
    return [
        Used(
            grant=_as_of(each, as_of),
            as_of=as_of,
            funded_minor=_funded(rows, each),
            uses=_uses(rows, rounds.get(each.grant_id, set()), returned),
        )
        for each in sorted(found, key=lambda each: each.code)
    ]


def _as_of(grant: Grant, as_of: date) -> Grant:
    """Leave out what was approved later: it did not count yet."""

    def then(version: Version) -> Version:
        if version.approved_at is None or day_of(version.approved_at) <= as_of:
            return version
        return msgspec.structs.replace(version, approved_by=None, approved_at=None)

    return msgspec.structs.replace(grant, versions=tuple(map(then, grant.versions)))


def _funded(rows: Sequence[TrialRow], grant: Grant) -> int:
    return sum(
        row.credit_minor
        for row in rows
        if row.currency == grant.currency
        and what_is(row.code) == "grant"
        and row.code.split(":")[3] == grant.code
    )


def _uses(
    rows: Sequence[TrialRow], owners: set[str], returned: dict[tuple[str, str], int]
) -> dict[str, Use]:
    uses: dict[str, Use] = {}
    for row in rows:
        owner, _, what = row.code.rpartition(":")
        if owner not in owners:
            continue
        use = Use(
            promised_minor=row.balance_minor if what in PROMISED else 0,
            delivered_minor=row.balance_minor if what == "delivered" else 0,
            returned_minor=returned.get((row.code, row.currency), 0),
        )
        uses[row.currency] = uses.get(row.currency, Use()) + use
    return uses


async def _returned(
    conn: AsyncConnection, rows: Sequence[TrialRow], rounds: dict[UUID, set[str]], as_of: date
) -> dict[tuple[str, str], int]:
    """Return what came back of what rounds delivered, by account and currency."""
    owners = set().union(*rounds.values())
    codes = sorted({row.code for row in rows if row.code.rpartition(":")[0] in owners})
    delivered = [code for code in codes if code.endswith(":delivered")]
    moved = await movements(conn, delivered, since=None, until=as_of)
    found: dict[tuple[str, str], int] = {}
    for each in moved:
        if each.kind == "reverse" and each.side == "debit":
            place = each.code, each.currency
            found[place] = found.get(place, 0) + each.amount_minor
    return found
