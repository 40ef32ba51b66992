"""Figures on appeals: of quarters that are over, over all organisations, and never small."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import db
from cbi.appeal_counts import count
from cbi.figures import (
    GROUPS,
    MINIMUM,
    MINIMUM_BY_DOCUMENTS,
    Count,
    check_quarter,
    figures,
)
from cbi.refusal import BadValue
from cbi.slip import NewSlip
from tests.cbi.appealing import decided, forget, lodged, slip_of, taken
from tests.cbi.world import AT, BETA, TODAY, family, registered

FIRST, NEXT, AFTER = date(2026, 4, 1), date(2026, 7, 1), date(2026, 7, 1)


@pytest.mark.parametrize(
    ("first", "following", "today", "field"),
    [
        (date(2026, 4, 2), NEXT, AFTER, "from"),
        (date(2026, 5, 1), date(2026, 8, 1), AFTER, "from"),
        (date(1, 1, 1), date(1, 4, 1), AFTER, "from"),
        (FIRST, date(2026, 6, 30), AFTER, "until"),
        (FIRST, date(2027, 4, 1), AFTER, "until"),
        (FIRST, NEXT, date(2026, 6, 30), "until"),
        (date(9999, 10, 1), date(9999, 12, 31), AFTER, "from"),
    ],
)
def test_only_a_whole_quarter_that_is_over_has_figures(first, following, today, field):
    with pytest.raises(BadValue) as refused:
        check_quarter(first, following, today=today)
    assert refused.value.field == field


def test_a_quarter_may_end_with_the_year():
    check_quarter(date(2025, 10, 1), date(2026, 1, 1), today=date(2026, 1, 1))


def counted(by: str, values: list[tuple[str, int, int, int]], kind="block") -> list[Count]:
    return [
        Count(
            kind=kind,
            by=by,
            value=value,
            slips=slips,
            decided=turned + kept,
            reversed=turned,
            median_days=3,
            ninth_days=9,
        )
        for value, slips, turned, kept in values
    ]


numbers = st.one_of(st.integers(0, 12), st.integers(0, 200))


@given(
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6),
    st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=5),
)
def test_no_small_count_is_published_and_no_share_without_its_counts(languages, groups):
    in_languages = [(name, 0, *pair) for name, pair in zip("abcdef", languages, strict=False)]
    in_groups = [(name, *three) for name, three in zip(GROUPS, groups, strict=False)]
    whole = [("", sum(g[0] for g in groups), *map(sum, zip(*languages, strict=True)))]
    made = figures(
        [
            *counted("all", whole),
            *counted("language", in_languages),
            *counted("document_group", in_groups),
        ],
        first_day=FIRST,
        next_day=NEXT,
    ).blocks
    rows = [(made.all, MINIMUM), *((row, MINIMUM) for row in made.by_language)]
    rows += [(row, MINIMUM_BY_DOCUMENTS) for row in made.by_document_group]
    for row, minimum in rows:
        told = [row.slips, row.decided, row.reversed, row.upheld]
        assert all(value is None or value >= minimum for value in told)
        assert (row.reversed_share is None) == (None in (row.reversed, row.decided))
        assert row.decided is not None or (row.median_days, row.ninth_days) == (None, None)
        # Of three that add up, one alone is never left out.
        assert [row.decided, row.reversed, row.upheld].count(None) != 1
    # What is broken down adds up to what is published as the whole, or nothing is.
    if made.by_language:
        assert None not in (made.all.decided, made.all.reversed)
    assert made.reversed_rate is None or None not in (made.all.reversed, made.all.slips)


def test_where_nothing_happened_nothing_is_published():
    made = figures([], first_day=FIRST, next_day=NEXT)
    assert made.blocks == made.others
    assert (made.blocks.all.slips, made.blocks.by_language) == (None, ())


async def test_refusals_are_counted_over_all_organisations_when_they_happen(conn):
    story = [
        *[("overlap", "es", "venezuelan", True, 4)] * 6,
        *[("overlap", "es", "venezuelan", False, 8)] * 6,
        *[("overlap", "qu", None, False, 2)] * 1,
        *[("no_funds", "es", None, True, 1)] * 2,
    ]
    for number, (reason, language, group, reverses, days) in enumerate(story):
        household_id = (await registered(conn, family(number, size=1))).household_id
        asked = NewSlip(reason=reason, document_group=group)
        printed = await slip_of(conn, household_id, asked)
        done = await lodged(conn, printed.token, language=language)
        await forget(conn)
        await taken(conn, done.appeal_id)
        outcome = "reversed" if reverses else "upheld"
        await decided(conn, done.appeal_id, outcome, at=AT + timedelta(days=days))
    # Given in the quarter, but never appealed; one of the next quarter; and the first one again.
    late = datetime(2026, 7, 1, 5, tzinfo=UTC)
    for seed, on, at in ((90, TODAY, AT), (91, NEXT, late), (90, TODAY + timedelta(days=1), AT)):
        household_id = (await registered(conn, family(seed, size=1))).household_id
        await slip_of(conn, household_id, NewSlip(reason="overlap"), on=on, at=at)
    await db.set_facts(conn, BETA)
    made = await count(conn, first_day=FIRST, next_day=NEXT, today=AFTER)
    blocks = made.blocks
    assert (blocks.all.slips, blocks.all.decided, blocks.all.reversed) == (14, 13, 6)
    assert (blocks.all.median_days, blocks.all.ninth_days) == (4, 8)
    assert blocks.reversed_rate == round(6 / 14, 3)
    # The one in Quechua is not told, nor is it what is left of the total.
    assert {(row.value, row.decided) for row in blocks.by_language} == {("es", None), ("qu", None)}
    assert (made.others.all.slips, made.others.all.decided) == (None, None)
    # By documents there are too few decided to tell them apart; slips are told where they are many.
    assert {row.decided for row in blocks.by_document_group} == {None}
    await db.set_facts(conn, None)
    nobody = await count(conn, first_day=FIRST, next_day=NEXT, today=AFTER)
    assert nobody.blocks.all.slips is None
