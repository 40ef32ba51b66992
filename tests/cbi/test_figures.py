"""Figures on appeals: of quarters that are over, over all organisations, and never small."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from api import db
from cbi.appeal_counts import count
from cbi.figures import (
    GROUPS,
    LANGUAGES,
    MINIMUM,
    MINIMUM_BY_DOCUMENTS,
    Count,
    Lifted,
    Stops,
    check_quarter,
    figures,
)
from cbi.refusal import BadValue
from cbi.slip import NewSlip
from tests.cbi.appealing import case_of, decided, forget, lodged, slip_of, taken
from tests.cbi.test_eligible import SCORED, ruled
from tests.cbi.test_eligible import decided as overridden
from tests.cbi.world import ALFA, AT, BETA, TODAY, family, judged, registered

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
    in_languages = [(name, 0, *pair) for name, pair in zip(LANGUAGES, languages, strict=False)]
    in_groups = [(name, *three) for name, three in zip(GROUPS, groups, strict=False)]
    whole = [("", sum(g[0] for g in groups), *map(sum, zip(*languages, strict=True)))]
    made = figures(
        [
            *counted("all", whole),
            *counted("language", in_languages),
            *counted("document_group", in_groups),
        ],
        (),
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
    made = figures([], [], first_day=FIRST, next_day=NEXT)
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
    # Of slips nobody said the language.
    told = {(row.value, row.slips, row.decided) for row in blocks.by_language}
    assert told == {("es", None, None), ("qu", None, None), ("unknown", 14, None)}
    assert (made.others.all.slips, made.others.all.decided) == (None, None)
    # By documents there are too few decided to tell them apart; slips are told where they are many.
    assert {row.decided for row in blocks.by_document_group} == {None}
    # They are public: who asks has no key.
    await db.set_facts(conn, None)
    nobody = await count(conn, first_day=FIRST, next_day=NEXT, today=AFTER)
    assert nobody == made


async def test_the_rate_of_wrongful_blocks_is_told_by_language_and_documents(conn):
    for number in range(40):
        reverses, language = number % 2 == 0, "es" if number < 22 else "qu"
        household_id = (await registered(conn, family(number, size=1))).household_id
        asked = NewSlip(
            reason="overlap",
            document_group="none" if number < 22 else "venezuelan",
            language=language,
        )
        printed = await slip_of(conn, household_id, asked)
        done = await lodged(conn, printed.token, language=language)
        await forget(conn)
        await taken(conn, done.appeal_id)
        await decided(conn, done.appeal_id, "reversed" if reverses else "upheld")
    made = await count(conn, first_day=FIRST, next_day=NEXT, today=AFTER)
    told = [
        {row.value: (row.slips, row.reversed, row.reversed_rate) for row in rows}
        for rows in (made.blocks.by_language, made.blocks.by_document_group)
    ]
    assert told[0] == {"es": (22, 11, 0.5), "qu": (18, 9, 0.5)}
    # Nine of a group are under the minimum, and so nothing of either is told but its slips.
    assert told[1] == {"venezuelan": (18, None, None), "none": (22, None, None)}
    assert (made.blocks.reversed_rate, made.all_refusals.all.lifted_rate) == (0.5, 0.5)


async def test_whatever_lifts_a_refusal_is_counted_and_no_refusal_twice(conn):
    for seed in range(6):
        _, case_id = await case_of(conn, seed + 1)
        await judged(conn, case_id, "different" if seed < 5 else "same_household")
    programme = await ruled(conn, SCORED)
    for seed in range(20, 23):
        household_id = (await registered(conn, family(seed))).household_id
        if seed == 20:
            await slip_of(conn, household_id, NewSlip(reason="not_eligible"))
        await overridden(conn, programme, household_id, ALFA)
    printed = await slip_of(conn, None, NewSlip(reason="check_blocked", language="qu"))
    done = await lodged(conn, printed.token)
    await forget(conn)
    await taken(conn, done.appeal_id)
    await decided(conn, done.appeal_id)
    rows = await conn.execute(
        text("SELECT by, value, stopped, lifted FROM cbi.stop_counts(:first, :next)"),
        {"first": FIRST, "next": NEXT},
    )
    found = {(by, value): counts for by, value, *counts in rows}
    # Six cases, three asked about by rules, one not registered; of the cases one is one family.
    assert found == {("all", ""): [10, 9], ("language", "es"): [9, 8], ("language", "qu"): [1, 1]}
    made = await count(conn, first_day=FIRST, next_day=NEXT, today=AFTER)
    assert made.all_refusals.all == Lifted(value="", stopped=10, lifted=9, lifted_rate=0.9)
    # One of a language is not told, nor what would tell it.
    assert {(row.stopped, row.lifted) for row in made.all_refusals.by_language} == {(None, None)}


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6))
def test_of_all_refusals_no_small_count_is_published(languages):
    stops = [
        Stops(by="language", value=name, stopped=stopped, lifted=lifted)
        for name, (stopped, lifted) in zip(LANGUAGES, languages, strict=False)
    ]
    whole = [sum(column) for column in zip(*languages, strict=True)]
    stops.append(Stops(by="all", value="", stopped=whole[0], lifted=whole[1]))
    made = figures([], stops, first_day=FIRST, next_day=NEXT).all_refusals
    for row in (made.all, *made.by_language):
        assert all(value is None or value >= MINIMUM for value in (row.stopped, row.lifted))
        assert (row.lifted_rate is None) == (None in (row.stopped, row.lifted))
    for name in ("stopped", "lifted"):
        hidden = [row for row in made.by_language if getattr(row, name) is None]
        counted_ = [stop for stop in stops[:-1] if getattr(stop, name)]
        told = [row for row in made.by_language if getattr(row, name) is not None]
        # One alone would be what is left of the whole.
        assert not told or len(counted_) - len(told) != 1 or not hidden
