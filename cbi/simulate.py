"""Try rules on the promises of the last months, beside the rules in force; each try is kept."""

from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import agree, holds
from cbi.overlap import Promise, Rules, Span, digest, months_after
from cbi.overlap_refusal import SimulationQuotaSpent
from cbi.refusal import BadValue
from cbi.replay import Fact, Outcome, rounded, simulate, suppressed, total
from cbi.simulation_tables import simulation
from dedup.deadline import PERU
from ledger.money import Money

MONTHS_MAX = 24
PROMISES_MAX = 500_000
_FACTS = text("""
    SELECT family, partner_id, assistance, lower(months) AS first, upper(months) AS after, held_on,
        held_at, stands_until, amount_minor, currency, is_promise, is_counted
    FROM cbi.promises_since(:since, :until, :most, :key)""")


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would have refused in some months, by organisation, beside those in force.

    To coordination exactly, but for cells of fewer than five families (null), and then without the
    total. To an organisation its own, in fives and without what few families would tell.
    """

    since: datetime
    until: datetime
    in_force_version: int
    outcomes: list[Outcome]
    total: Outcome | None


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """How many simulations an organisation has on this day, and when the next one begins."""

    simulations_per_day: int
    day: date
    opens_again_at: datetime


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """Who tried rules, when and which: by their number where they were stored, and their digest."""

    simulation_no: int
    at: datetime
    actor_id: UUID
    partner_id: UUID
    request_id: str
    rules_version: int | None
    sha256: str
    months: int
    is_exact: bool


async def try_rules(
    conn: AsyncConnection,
    rules: Rules,
    *,
    months: int,
    own: UUID | None,
    attempt_key: bytes,
    at: datetime,
    version: int | None = None,
) -> Simulation:
    """Replay the last months' promises of all organisations, as coordination.

    `own` is told of its own promises also where they are few; `version` is for what is kept of the
    try. Raises BadValue when they are more than one simulation takes.
    """
    await _keep(conn, rules, version=version, months=months, is_exact=True, at=at)
    since = _months_before(at, months)
    in_force_version, outcomes = await _outcomes(
        conn, rules, since=since, until=at, attempt_key=attempt_key
    )
    shown = suppressed(outcomes, own=own)
    return Simulation(
        since=since,
        until=at,
        in_force_version=in_force_version,
        outcomes=shown,
        total=total(shown),
    )


async def try_proposed(
    conn: AsyncConnection,
    version: int,
    *,
    months: int,
    own: UUID,
    quota: Quota,
    attempt_key: bytes,
    at: datetime,
) -> Simulation:
    """Replay an organisation's own promises of months that are over, under rules somebody proposed.

    What it promises meanwhile changes nothing before the next month, so that no two simulations
    differ by one family. Raises NotFound, SimulationQuotaSpent, BadValue.
    """
    await _claim(conn, quota, own)
    rules = (await agree.load_version(conn, version)).rules
    await _keep(conn, rules, version=version, months=months, is_exact=False, at=at)
    until = _begin_of_month(at)
    since = _months_before(until, months)
    in_force_version, outcomes = await _outcomes(
        conn, rules, since=since, until=until, attempt_key=attempt_key
    )
    return Simulation(
        since=since,
        until=until,
        in_force_version=in_force_version,
        outcomes=[rounded(each) for each in outcomes if each.partner_id == own],
        total=None,
    )


async def list_tried(conn: AsyncConnection, *, after: int, limit: int) -> list[Tried]:
    """List who tried which rules, oldest first."""
    row = simulation.c
    rows = await conn.execute(
        select(simulation).where(row.simulation_no > after).order_by(row.simulation_no).limit(limit)
    )
    return [
        Tried(
            simulation_no=each.simulation_no,
            at=each.at,
            actor_id=each.actor_id,
            partner_id=each.partner_id,
            request_id=each.request_id,
            rules_version=each.rules_version,
            sha256=each.sha256.hex(),
            months=each.months,
            is_exact=each.is_exact,
        )
        for each in rows
    ]


async def _claim(conn: AsyncConnection, quota: Quota, partner_id: UUID) -> None:
    # One at a time of an organisation, or two at once would both find room for themselves.
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"),
        {"what": f"cbi.simulation {partner_id}"},
    )
    row = simulation.c
    tried = await conn.scalar(
        select(func.count()).where(
            row.partner_id == partner_id, row.day == quota.day, ~row.is_exact
        )
    )
    if (tried or 0) >= quota.simulations_per_day:
        raise SimulationQuotaSpent(
            simulations_per_day=quota.simulations_per_day, opens_again_at=quota.opens_again_at
        )


async def _keep(
    conn: AsyncConnection,
    rules: Rules,
    *,
    version: int | None,
    months: int,
    is_exact: bool,
    at: datetime,
) -> None:
    await conn.execute(
        insert(simulation).values(
            at=at,
            day=holds.day_of(at),
            rules_version=version,
            sha256=digest(rules),
            months=months,
            is_exact=is_exact,
        )
    )


async def _outcomes(
    conn: AsyncConnection, rules: Rules, *, since: datetime, until: datetime, attempt_key: bytes
) -> tuple[int, list[Outcome]]:
    rows = await conn.execute(
        _FACTS, {"since": since, "until": until, "most": PROMISES_MAX + 1, "key": attempt_key}
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
            is_counted=row.is_counted,
            is_promise=row.is_promise,
        )
        for row in rows
    ]
    if len(facts) > PROMISES_MAX:
        raise BadValue(field="months", reason=f"over {PROMISES_MAX} promises: fewer months")
    version, in_force = await agree.in_force(conn, holds.day_of(until))
    return version, simulate(facts, in_force=in_force, proposed=rules)


def _begin_of_month(at: datetime) -> datetime:
    day = holds.day_of(at).replace(day=1)
    return datetime(day.year, day.month, 1, tzinfo=PERU)


def _months_before(at: datetime, months: int) -> datetime:
    day = holds.day_of(at)
    return at - timedelta(days=(day - months_after(day, -months)).days)
