"""What the database lets through, against a list in Python: random promises, rules and expiry."""

from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from api import clock, db
from cbi.holds import OVERLAPS, day_of
from cbi.overlap import FLOOR, Promise, against, example, months_of
from ledger.violation import constraint_of
from tests.cbi.deciding import join
from tests.cbi.overlapping import agreed, one
from tests.cbi.test_enrol import one_family
from tests.cbi.world import ALFA, AT, BETA, GAMA, PARTNERS, family, rolled_back
from tests.conftest import PARTNER_A

KINDS = ("mpca", "food", "transit_grant", "rent")
FIRSTS = [date(2026, 6, 1), date(2026, 7, 1), date(2026, 9, 1), date(2026, 10, 1)]
RULES = [
    {},
    {"blocks": []},
    {"blocks": [{"first": "food", "then": "rent", "cooldown_months": 2}], "one_off": []},
    {"blocks": [{"first": "mpca", "then": "mpca", "cooldown_months": 1}]},
    {
        "blocks": [
            {"first": "transit_grant", "then": "mpca", "cooldown_months": 2},
            {"first": "rent", "then": "transit_grant", "cooldown_months": 1},
        ]
    },
    {
        "blocks": [{"first": "food", "then": "transit_grant", "cooldown_months": 1}],
        "one_off": [
            {"type": "transit_grant", "window_days": 14},
            {"type": "food", "window_days": 20},
        ],
    },
]
PROMISE = st.tuples(
    st.just("promise"),
    st.sampled_from(KINDS),
    st.sampled_from(FIRSTS),
    st.integers(1, 3),  # months
    st.integers(1, 40),  # days until it expires
    st.integers(0, 2),  # whose
    st.integers(0, 9),  # days since the step before
)
CHANGE = st.tuples(st.just("rules"), st.integers(0, len(RULES) - 1), st.integers(1, 9))
STEPS = st.lists(st.one_of(PROMISE, PROMISE, PROMISE, CHANGE), min_size=3, max_size=12)
INSERT = text(
    "INSERT INTO cbi.reservation (reservation_id, partner_id, household_id, assistance, months,"
    " reserved_at, reserved_by, expires_at) VALUES (:id, :partner, :household, :assistance,"
    " daterange(:first, :after), :at, :actor, :expires)"
)


async def reserved(conn, actor, household_id, promise, at, expires) -> bool:
    """Promise past the program; say whether the database let it through."""
    await db.set_facts(conn, actor)
    try:
        async with conn.begin_nested():
            await conn.execute(
                INSERT,
                {
                    "id": clock.new_id(),
                    "partner": actor.partner_id,
                    "household": household_id,
                    "assistance": promise.assistance,
                    "first": promise.months.first,
                    "after": promise.months.end,
                    "at": at,
                    "actor": actor.actor_id,
                    "expires": expires,
                },
            )
    except IntegrityError as error:
        if constraint_of(error) not in OVERLAPS:
            raise
        return False
    return True


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(STEPS)
async def test_exactly_what_the_rules_of_the_day_allow_gets_through(conn, steps):
    async with rolled_back(conn):
        mine, theirs = await one_family(conn)
        third = await one(conn, family(3), GAMA)
        await join(conn, mine, third, partners=(PARTNER_A, PARTNERS["GAMA"]))
        sides = [(ALFA, mine), (BETA, theirs), (GAMA, third)]
        at, rules, standing = AT, FLOOR, []
        for step in steps:
            if step[0] == "rules":
                _, which, days = step
                at += timedelta(days=days)
                made = await agreed(
                    conn, effective=day_of(at), at=at, **{**example(), **RULES[which]}
                )
                rules = made.rules
                continue
            _, kind, first, months, lasts, whose, days = step
            at += timedelta(days=days, minutes=1)
            promise = Promise(assistance=kind, months=months_of(first, months), held_on=day_of(at))
            expires = at + timedelta(days=lasts)
            is_free = not any(
                ends > at and against(other, promise, rules) for other, ends in standing
            )
            assert await reserved(conn, *sides[whose], promise, at, expires) is is_free
            if is_free:
                standing.append((promise, expires))
