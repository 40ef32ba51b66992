"""By when a case should be judged: three working days after its opening, in Peru."""

from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta, timezone
from functools import cache
from pathlib import Path

import msgspec

WORKING_DAYS = 3
# Peru keeps UTC−5 the whole year.
PERU = timezone(timedelta(hours=-5))
SATURDAY = 5
ONE_DAY = timedelta(days=1)
# Longer than any row of days off.
DAYS_BACK_MAX = 60


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    note: str
    days: frozenset[date]


@cache
def holidays() -> frozenset[date]:
    """Return Peru's national holidays of the years that dedup/holidays.json covers."""
    content = Path(__file__).with_name("holidays.json").read_bytes()
    return msgspec.json.decode(content, type=_File).days


def due_on(
    since: datetime, *, days_off: AbstractSet[date], working_days: int = WORKING_DAYS
) -> date:
    """Return the last day in time: so many working days after that moment's day in Peru.

    Saturdays, Sundays and `days_off` don't count. Nothing happens when it passes: a case that is
    overdue is listed as such, and assistance goes on.
    """
    day, left = since.astimezone(PERU).date(), working_days
    while left:
        day += ONE_DAY
        left -= day.weekday() < SATURDAY and day not in days_off
    return day


def overdue_before(today: date, *, days_off: AbstractSet[date]) -> datetime:
    """Return the moment before which a case must have begun to wait to be overdue `today`."""
    for back in range(DAYS_BACK_MAX):
        begins = datetime.combine(today - back * ONE_DAY, time.min, PERU)
        if due_on(begins, days_off=days_off) < today:
            return begins + ONE_DAY
    raise ValueError(f"more than {DAYS_BACK_MAX} days off in a row")
