from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.deadline import PERU, due_on, holidays, overdue_before

MOMENTS = st.timedeltas(timedelta(0), timedelta(days=2000)).map(
    lambda since: datetime(2025, 1, 1, tzinfo=UTC) + since
)


@pytest.mark.parametrize(
    ("opened", "due"),
    [
        ("2026-06-01", "2026-06-04"),  # Monday
        ("2026-06-03", "2026-06-08"),  # Wednesday: over a weekend
        ("2026-06-05", "2026-06-10"),  # Friday
        ("2026-06-06", "2026-06-10"),  # Saturday and Sunday count from Monday on
        ("2026-06-07", "2026-06-10"),
        ("2026-04-01", "2026-04-08"),  # over Holy Thursday, Good Friday and a weekend
        ("2026-07-27", "2026-08-03"),  # over 28 and 29 July
    ],
)
def test_three_working_days_after_the_day_of_opening(opened, due):
    noon = datetime.fromisoformat(f"{opened}T12:00").replace(tzinfo=PERU)
    assert due_on(noon, days_off=holidays()) == date.fromisoformat(due)


def test_the_day_is_perus():
    assert due_on(datetime(2026, 6, 2, 4, 59, tzinfo=UTC), days_off=set()) == date(2026, 6, 4)
    assert due_on(datetime(2026, 6, 2, 5, 0, tzinfo=UTC), days_off=set()) == date(2026, 6, 5)


def test_days_off_are_told_and_not_assumed():
    monday = datetime(2026, 6, 1, 12, tzinfo=PERU)
    assert due_on(monday, days_off={date(2026, 6, 2)}) == date(2026, 6, 5)


@given(MOMENTS, st.dates(date(2025, 1, 10), date(2030, 12, 31)))
def test_a_case_is_overdue_exactly_when_it_waits_since_before_the_moment(since, today):
    overdue = due_on(since, days_off=holidays()) < today
    assert overdue == (since < overdue_before(today, days_off=holidays()))


@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=20)))
def test_who_waits_longer_is_due_no_later(since, more):
    assert due_on(since, days_off=holidays()) <= due_on(since + more, days_off=holidays())
