"""Figures that may be published, over HTTP."""

from datetime import date
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from cbi.appeal_counts import count
from cbi.figures import Figures

First = Annotated[
    date, QueryParameter(name="from", description="the first day of a calendar quarter")
]
Next = Annotated[date, QueryParameter(description="the first day of the quarter after it")]


@get("/v1/figures/appeals", tags=["appeals"])
async def appeal_figures(
    conn: NamedDependency[AsyncConnection], first_day: First, until: Next
) -> Figures:
    """Tell how often refusals were reversed, and how long it took, of a quarter that is over."""
    return await count(conn, first_day=first_day, next_day=until, today=clock.today())


HANDLERS = (appeal_figures,)
