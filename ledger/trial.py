"""Balances at any moment and as of any day, summed up from what each batch did."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.account import Account, TrialRow

# Three days and times: when it counts, in which period it was booked, and when we knew.
_TRIAL = text("""
    SELECT a.code, a.currency, a.normal,
        CAST(coalesce(sum(d.debit_minor), 0) AS bigint) AS debit_minor,
        CAST(coalesce(sum(d.credit_minor), 0) AS bigint) AS credit_minor
    FROM ledger.account AS a LEFT JOIN ledger.delta AS d ON d.account_id = a.account_id
        AND (CAST(:as_of AS date) IS NULL OR d.effective_on <= :as_of)
        AND (CAST(:booked_until AS date) IS NULL OR d.booked_on <= :booked_until)
        AND (CAST(:known_at AS timestamptz) IS NULL OR d.posted_at <= :known_at)
    WHERE (CAST(:account_ids AS uuid[]) IS NULL OR a.account_id = ANY (:account_ids))
        AND (CAST(:partner_id AS uuid) IS NULL OR a.partner_id = :partner_id)
    GROUP BY a.account_id, a.code, a.currency, a.normal
    ORDER BY a.code COLLATE "C", a.currency COLLATE "C" """)


async def trial_balance(
    conn: AsyncConnection,
    *,
    accounts: Sequence[Account] | None = None,
    as_of: date | None = None,
    booked_until: date | None = None,
    known_at: datetime | None = None,
    partner_id: UUID | None = None,
) -> list[TrialRow]:
    """Return the sums of accounts that the actor may see, by code and currency.

    `as_of` counts what has its value date by that day, `booked_until` what stands in the periods
    up to it, `known_at` what had been posted by then; together, what has all of them. Of all
    organisations that the actor may see, unless `partner_id` names one.
    """
    facts = {"as_of": as_of, "booked_until": booked_until, "known_at": known_at}
    ids = None if accounts is None else [account.account_id for account in accounts]
    found = await conn.execute(_TRIAL, {**facts, "account_ids": ids, "partner_id": partner_id})
    return [msgspec.convert(dict(row), TrialRow) for row in found.mappings()]
