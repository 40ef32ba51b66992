"""Figures that are published: to whoever asks, without a key."""

from datetime import date
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api import clock
from api.db import transaction
from api.state import Service
from cbi.appeal_counts import count
from cbi.figures import Figures, check_quarter

First = Annotated[
    date, QueryParameter(name="from", description="the first day of a calendar quarter")
]
Next = Annotated[date, QueryParameter(description="the first day of the quarter after it")]


@get("/v1/figures/appeals", tags=["appeals"])
async def appeal_figures(
    service: NamedDependency[Service], first_day: First, until: Next
) -> Figures:
    """Tell how often refusals were reversed, and how long it took, of a quarter that is over.

    Counted once in a process, one quarter at a time: it changes no more.
    """
    today = clock.today()
    check_quarter(first_day, until, today=today)
    async with service.figures.lock:
        # What began before midnight may end after it, so the first day's figures last a day.
        named = (first_day, today == until)
        known = service.figures.kept.get(named)
        if known is not None:
            return known
        async with transaction(service.engine, None) as conn:
            made = await count(conn, first_day=first_day, next_day=until, today=today)
        service.figures.kept[named] = made
    return made


HANDLERS = (appeal_figures,)
