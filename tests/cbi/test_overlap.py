"""Rules as data: every fault at once, and the same windows as the database's."""

from datetime import date

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from api import db
from cbi import agree
from cbi.fault import has_errors
from cbi.overlap import (
    FLOOR,
    Promise,
    Rules,
    Span,
    against,
    check,
    digest,
    example,
    months_after,
    months_of,
    windows,
)
from cbi.overlap_refusal import InvalidRules, OwnProposal, RulesApproved
from cbi.refusal import BadValue, NotFound
from tests.cbi.overlapping import JUDGE, OCTOBER, agreed, who
from tests.cbi.world import AT, TODAY, staff
from tests.conftest import PARTNER_A, PARTNER_B

JULY = date(2026, 7, 1)
KINDS = ("mpca", "transit_grant", "food", "rent")
EDGES = st.sampled_from(
    [None, True, -1, 0, 10**30, 0.5, "", "mpca", "\x00", "\ud800", [], {}, [[]], {"first": "mpca"}]
)
ANYTHING = st.recursive(
    EDGES | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from((*Rules.__struct_fields__, "x")), inner, max_size=4)
    ),
    max_leaves=9,
)


def promise(assistance="mpca", first=JULY, months=3, held_on=TODAY) -> Promise:
    span = months_of(first, months) if months else Span(first=first, end=None)
    return Promise(assistance=assistance, months=span, held_on=held_on)


def test_the_example_is_whole_and_says_that_it_is_one():
    rules, faults = check(example())
    assert faults == ()
    assert "EXAMPLE" in rules.name


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"contact": ""}, "contact", "text_empty"),
        ({"default_months": 0}, "default_months", "number_wanted"),
        ({"default_months": 37}, "default_months", "number_wanted"),
        ({"blocks": [{"first": "mpca"}]}, "blocks[0].then", "field_missing"),
        ({"blocks": [{"first": "cash", "then": "mpca"}]}, "blocks[0].first", "code_unknown"),
        ({"blocks": [{"first": "food", "then": "mpca"}] * 2}, "blocks[1]", "overlap_twice"),
        (
            {"blocks": [{"first": "transit_grant", "then": "transit_grant"}]},
            "blocks[0]",
            "overlap_one_off",
        ),
        ({"blocks": [{}] * 65}, "blocks", "list_long"),
        (
            {"one_off": [{"type": "food", "window_days": 14}] * 2, "blocks": []},
            "one_off[1].type",
            "overlap_twice",
        ),
        (
            {"one_off": [{"type": "food", "window_days": 0}], "blocks": []},
            "one_off[0].window_days",
            "number_wanted",
        ),
        ({"reserving": {"open_max": -1}}, "reserving.open_max", "number_wanted"),
        ({"policy": "x"}, "policy", "field_unknown"),
    ],
)
def test_a_fault_is_told_with_its_place(change, path, code):
    _, faults = check({**example(), **change})
    assert (path, code) in {(fault.path, fault.code) for fault in faults}
    assert all(fault.es and fault.en for fault in faults)
    with pytest.raises(InvalidRules):
        agree.read({**example(), **change})


@given(ANYTHING)
def test_anything_is_read_or_refused(raw):
    rules, faults = check(raw)
    assert faults or agree.read(raw) == rules
    if not has_errors(faults):
        assert check(msgspec.to_builtins(rules)) == (rules, ())


def test_a_document_is_known_by_its_content():
    turned = dict(reversed(example().items()))
    assert digest(check(example())[0]) == digest(check(turned)[0])
    assert digest(FLOOR) != digest(check(example())[0])


@pytest.mark.parametrize(
    ("one", "other", "is_against"),
    [
        # The floor, with or without rules: never two of one kind in one month.
        (promise("rent"), promise("rent", date(2026, 9, 1)), True),
        (promise("rent"), promise("rent", OCTOBER), False),
        # Three months after the last one of cash.
        (promise(), promise(first=date(2026, 12, 1)), True),
        (promise(), promise(first=date(2027, 1, 1)), False),
        # Cash keeps food away in its months, food keeps cash away for a month more.
        (promise("food"), promise(first=OCTOBER), True),
        (promise(), promise("food", OCTOBER), False),
        # Top-ups, and a grant in transit.
        (promise(), promise("rent"), False),
        (promise(), promise("transit_grant"), False),
        (promise("transit_grant"), promise("transit_grant", date(2026, 7, 15)), False),
        (promise("transit_grant"), promise("transit_grant", date(2026, 7, 14)), True),
        (promise(months=0), promise(first=date(2040, 1, 1)), True),
    ],
)
def test_what_is_against_what(one, other, is_against):
    if other.assistance == "transit_grant":
        other = msgspec.structs.replace(other, held_on=other.months.first)
        later = date(2026, 7, 14) if is_against else date(2026, 7, 15)
        other = msgspec.structs.replace(other, held_on=later)
    rules, _ = check(example())
    assert against(one, other, rules) is is_against
    assert against(other, one, rules) is is_against


@pytest.mark.parametrize(
    ("block", "granted_on", "others", "is_against"),
    [
        # Granted on 20 August: August itself, and so many months after it.
        (("transit_grant", "mpca", 2), date(2026, 8, 20), promise(first=date(2026, 11, 1)), False),
        (("transit_grant", "mpca", 2), date(2026, 8, 20), promise(first=OCTOBER), True),
        (("transit_grant", "mpca", 0), date(2026, 8, 20), promise(first=OCTOBER), False),
        (("transit_grant", "mpca", 0), date(2026, 8, 20), promise(months=1), False),
        (("transit_grant", "mpca", 0), date(2026, 8, 20), promise(months=2), True),
        # Named the other way round, the cool-down is that of cash.
        (("mpca", "transit_grant", 2), date(2026, 11, 30), promise(), True),
        (("mpca", "transit_grant", 2), date(2026, 12, 1), promise(), False),
        (("transit_grant", "rent", 2), date(2026, 8, 20), promise(), False),
    ],
)
def test_a_one_off_grant_keeps_other_kinds_away_as_its_pair_says(
    block, granted_on, others, is_against
):
    first, then, months = block
    blocks = [{"first": first, "then": then, "cooldown_months": months}]
    rules = agree.read({**example(), "blocks": blocks})
    grant = promise("transit_grant", months=12, held_on=granted_on)
    assert against(grant, others, rules) is is_against
    assert against(others, grant, rules) is is_against


def test_months_are_counted_to_the_calendars_end():
    assert months_after(date(2026, 11, 30), 3) == date(2027, 2, 28)
    assert months_after(date(9999, 11, 1), 1) == date(9999, 12, 1)
    with pytest.raises(ValueError, match="calendar"):
        months_after(date(9999, 12, 1), 1)


COOLDOWNS = st.integers(0, 5)


@st.composite
def rule_sets(draw):
    one_off = draw(st.booleans())
    pairs = draw(st.sets(st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)), max_size=6))
    if one_off:
        pairs.discard(("transit_grant", "transit_grant"))
    blocks = [{"first": a, "then": b, "cooldown_months": draw(COOLDOWNS)} for a, b in sorted(pairs)]
    grants = [{"type": "transit_grant", "window_days": draw(st.integers(1, 40))}]
    return check({**example(), "blocks": blocks, "one_off": grants if one_off else []})[0]


PROMISES = st.builds(
    promise,
    assistance=st.sampled_from(KINDS),
    first=st.sampled_from([JULY, OCTOBER, date(2026, 11, 1)]),
    months=st.integers(0, 4),
    held_on=st.dates(date(2026, 6, 1), date(2026, 12, 1)),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rule_sets(), PROMISES, PROMISES)
async def test_the_database_says_the_same(conn, rules, one, other):
    rows = await conn.execute(
        text(
            "SELECT blocked, lower(months) AS first, upper(months) AS after"
            " FROM cbi.overlap_windows(:held, daterange(:first, :after), :on, :rules ::jsonb)"
        ),
        {
            "held": one.assistance,
            "first": one.months.first,
            "after": one.months.end,
            "on": one.held_on,
            "rules": msgspec.json.encode(rules).decode(),
        },
    )
    found = {row.blocked: Span(first=row.first, end=row.after) for row in rows}
    assert found == windows(one, rules)
    assert against(one, other, rules) == against(other, one, rules)


async def test_rules_are_in_force_when_two_organisations_have_approved(conn):
    for approved_by, version in (((), 0), ((PARTNER_A,), 0), ((PARTNER_A, PARTNER_B), 3)):
        made = await agreed(conn, approved_by=approved_by)
        assert (made.since is not None) is bool(version)
        assert (await agree.in_force(conn, TODAY))[0] == version
    assert (await agree.in_force(conn, date(2026, 5, 31))) == (0, FLOOR)
    assert (await agree.in_force(conn, TODAY))[1].contact == "coordination@cbi.example"


async def test_the_newest_in_force_counts_and_the_past_does_not_change(conn):
    await agreed(conn)
    await agreed(conn, effective=JULY, default_months=6)
    # Approved after its day: from the approval on.
    late = await agreed(conn, effective=date(2026, 6, 2), at=AT.replace(month=9), default_months=9)
    assert late.since == date(2026, 9, 1)
    in_force = {
        day: (await agree.in_force(conn, day))[0] for day in (TODAY, JULY, date(2026, 9, 1))
    }
    assert list(in_force.values()) == [1, 2, 3]
    listed = await agree.list_versions(conn, after=1, limit=10)
    assert [each.version for each in listed] == [2, 3]


async def test_nobody_approves_twice_nor_their_own(conn):
    made = await agreed(conn, approved_by=(PARTNER_A,))
    for actor, refusal in (
        (staff(8, PARTNER_A, JUDGE), OwnProposal),
        (staff(7, PARTNER_A, JUDGE), RulesApproved),
    ):
        await db.set_facts(conn, actor)
        with pytest.raises(refusal):
            await agree.approve(conn, version=made.version, by=who(actor))
    # The same person for another organisation is the same person.
    again = msgspec.structs.replace(
        staff(7, PARTNER_B, JUDGE), actor_id=staff(9, PARTNER_A).actor_id
    )
    await db.set_facts(conn, again)
    with pytest.raises(RulesApproved):
        await agree.approve(conn, version=made.version, by=who(again))
    with pytest.raises(NotFound):
        await agree.approve(conn, version=99, by=who(again))
    with pytest.raises(BadValue):
        await agree.propose(
            conn,
            agree.read(example()),
            effective_from=date(2026, 5, 1),
            today=TODAY,
            by=who(again),
        )
