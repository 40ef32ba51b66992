"""Check a file of households, a thousand at a time, and give it back with what was found."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from api import clock
from api.check import in_turns, quota_of
from api.db import Actor
from api.state import Service
from cbi import asked, check
from cbi.answered import Answer
from cbi.intake import Format, annotate
from cbi.intake.annotate_xlsx import annotate_xlsx
from cbi.intake.source import Row
from cbi.lists import Listed, Purpose
from cbi.own import Wanted
from cbi.refusal import FileUnreadable

# A list longer than this is parted by whoever has it; its keys are held in memory.
FILE_HOUSEHOLDS_MAX = 10_000


Annotate = Callable[[bytes, Sequence[tuple[Row, Answer]]], bytes]
ANNOTATE: Mapping[Format, Annotate] = {
    "csv": annotate.annotate_csv,
    "xlsx": annotate_xlsx,
    "json": annotate.annotate_json,
    "ndjson": annotate.annotate_lines,
    "kobo": annotate.annotate_json,
}


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is checked for."""

    purpose: Purpose
    listed: Listed
    wanted: Wanted | None = None


def annotated(
    content: bytes,
    answers: Sequence[tuple[Row, Answer]],
    *,
    format: Format,  # noqa: A002
) -> bytes:
    """Return the file with three more columns, or keys."""
    return ANNOTATE[format](content, answers)


async def check_rows(
    service: Service,
    rows: Sequence[Row],
    ask: Ask,
    *,
    actor: Actor,
    request_id: str,
    told: Callable[[int], None] = lambda _: None,
) -> list[Answer]:
    """Answer about each household of a file; `told` hears how many are done.

    Each thousand in a transaction of its own, and each counts as a check.
    """
    if len(rows) > FILE_HOUSEHOLDS_MAX:
        raise FileUnreadable(line=rows[FILE_HOUSEHOLDS_MAX].number, reason="too_many_rows")
    today = clock.today()
    reads = await in_turns(rows, lambda row: asked.of_file(row, today=today))
    twice = await check.find_twice(reads, desk=service.desk, day=today)
    answers: list[Answer] = []
    for start in range(0, len(reads), check.HOUSEHOLDS_MAX):
        part = slice(start, start + check.HOUSEHOLDS_MAX)
        async with service.begin(actor, request_id=request_id) as conn:
            checked = await check.check(
                conn,
                reads[part],
                purpose=ask.purpose,
                listed=ask.listed,
                wanted=ask.wanted,
                quota=quota_of(service.settings, today),
                desk=service.desk,
                partner_id=actor.partner_id,
                at=clock.now(),
                twice=twice[part],
            )
        answers += checked.households
        told(len(answers))
    return answers
