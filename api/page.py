"""Lists: a page of items and the cursor of the next."""

from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import HeaderParameter, QueryParameter

T = TypeVar("T")
LIMIT_MAX = 200

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX, description="items on a page")]
# The cursor of a list in the order of a number; a larger one than the database has is no cursor.
AfterNumber = Annotated[
    int, QueryParameter(ge=0, le=2**63 - 1, description="`next` of the page before")
]
Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="the same key and body give the stored answer, with Idempotency-Replayed: true",
    ),
]


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`next` goes into `after` for the next page; null on the last."""

    items: list[T]
    next: str | None


def page(items: list[T], *, limit: int, cursor: str) -> Page[T]:
    """Make a page of `items`, of which one more than `limit` were asked for.

    The one more says whether another page follows. `cursor` is the attribute that orders them.
    """
    shown = items[:limit]
    following = str(getattr(shown[-1], cursor)) if len(items) > limit else None
    return Page(items=shown, next=following)
