"""Try rules on the promises of the last months, beside the rules in force."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import agree, holds
from cbi.overlap import Promise, Rules, Span, months_after
from cbi.refusal import BadValue
from cbi.replay import Fact, Outcome, simulate, suppressed, total
from ledger.money import Money

MONTHS_MAX = 24
PROMISES_MAX = 500_000


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would have refused since a moment, by organisation, beside those in force.

    Cells of fewer than five families are left out (null), but for what one promised oneself; and
    then the total is too.
    """

    since: datetime
    in_force_version: int
    outcomes: list[Outcome]
    total: Outcome | None


async def try_rules(
    conn: AsyncConnection, rules: Rules, *, months: int, own: UUID | None, at: datetime
) -> Simulation:
    """Replay the last months' promises: all of them for a coordinator, else one's own.

    Raises BadValue when they are more than one simulation takes.
    """
    since = _months_before(at, months)
    rows = await conn.execute(
        text(
            "SELECT family, partner_id, assistance, lower(months) AS first, upper(months) AS after,"
            " held_on, held_at, stands_until, amount_minor, currency"
            " FROM cbi.promises_since(:since, :most)"
        ),
        {"since": since, "most": PROMISES_MAX + 1},
    )
    facts = [
        Fact(
            family=row.family,
            partner_id=row.partner_id,
            promise=Promise(
                assistance=row.assistance,
                months=Span(first=row.first, end=row.after),
                held_on=row.held_on,
            ),
            held_at=row.held_at,
            stands_until=row.stands_until,
            money=None
            if row.currency is None
            else Money(amount_minor=row.amount_minor, currency=row.currency),
            is_counted=row.partner_id is not None and row.held_at >= since,
        )
        for row in rows
    ]
    if len(facts) > PROMISES_MAX:
        raise BadValue(field="months", reason=f"over {PROMISES_MAX} promises: fewer months")
    version, in_force = await agree.in_force(conn, holds.day_of(at))
    outcomes = suppressed(simulate(facts, in_force=in_force, proposed=rules), own=own)
    return Simulation(
        since=since, in_force_version=version, outcomes=outcomes, total=total(outcomes)
    )


def _months_before(at: datetime, months: int) -> datetime:
    day = holds.day_of(at)
    return at - timedelta(days=(day - months_after(day, -months)).days)
