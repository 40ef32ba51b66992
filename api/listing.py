"""Check a file of households while somebody waits, and give it back with what was found."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice

import msgspec

from api import clock
from api.check import quota_of
from api.db import Actor
from api.state import Service
from cbi import check, quotas
from cbi.answered import Answer, Place
from cbi.asked_rows import PIECE, asked_rows, in_list
from cbi.check import fitting
from cbi.check_files import CheckFormat
from cbi.intake.checked import CheckedFile, annotated
from cbi.lists import Listed, Purpose
from cbi.own import Wanted
from cbi.place import UbigeoSystem
from cbi.quotas import Quota
from cbi.refusal import CheckQuotaSpent
from dedup.blocking import key_hasher
from dedup.packed import PackedList

REQUEST = "cli"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is checked for."""

    purpose: Purpose
    listed: Listed
    wanted: Wanted | None = None


class ListFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was read: its households in pieces, who stands in it twice, who is asked for."""

    content: bytes
    format: CheckFormat
    pieces: tuple[bytes, ...]
    twice: dict[int, tuple[Place, ...]]
    # How many persons of each household are searched for.
    persons: tuple[int, ...]


class ListChecked(msgspec.Struct, frozen=True, kw_only=True):
    """The file with its answers, and what is left of the day's quota."""

    content: bytes
    answers: tuple[Answer, ...]
    persons_left: int
    quota: Quota


async def read_list(
    service: Service,
    content: bytes,
    *,
    format: CheckFormat,  # noqa: A002
    ubigeo_system: UbigeoSystem | None,
) -> ListFile:
    """Read a file; raises FileUnreadable."""
    packed = PackedList(key_hasher(service.desk.matching_key))
    today = clock.today()
    pieces: list[bytes] = []
    references: list[str] = []
    persons: list[int] = []

    def read() -> None:
        rows = asked_rows(content, format=format, ubigeo_system=ubigeo_system, today=today)
        while some := list(islice(rows, check.HOUSEHOLDS_MAX)):
            for each in some:
                found = in_list(each.read, row=len(references), on=today)
                packed.add(found)
                references.append(each.read.reference)
                persons.append(len(found))
            pieces.append(msgspec.json.encode(some))

    await asyncio.to_thread(read)
    alike = await packed.alike(service.desk.model)
    twice = {
        row: tuple(Place(row=other + 1, reference=references[other]) for other in others)
        for row, others in alike.items()
    }
    return ListFile(
        content=content,
        format=format,
        pieces=tuple(pieces),
        twice=twice,
        persons=tuple(persons),
    )


async def check_list(
    service: Service,
    listed: ListFile,
    ask: Ask,
    *,
    actor: Actor,
    told: Callable[[int], None] = lambda _: None,
) -> ListChecked:
    """Answer about each household of a file; `told` hears how many are done.

    Each thousand in a transaction of its own, and each counts as a check. Raises CheckQuotaSpent
    before the first, if there is not room for all of them today.
    """
    quota = quota_of(service.settings, clock.today())
    async with service.begin(actor, request_id=REQUEST) as conn:
        quota = await quotas.in_force(conn, quota, partner_id=actor.partner_id)
        left = await quotas.persons_left(conn, quota=quota, partner_id=actor.partner_id)
    _must_fit(listed.persons, left, quota)
    answers: list[Answer] = []
    for piece in listed.pieces:
        reads = [each.read for each in PIECE.decode(piece)]
        async with service.begin(actor, request_id=REQUEST) as conn:
            checked = await check.check(
                conn,
                reads,
                purpose=ask.purpose,
                listed=ask.listed,
                wanted=ask.wanted,
                quota=quota,
                desk=service.desk,
                partner_id=actor.partner_id,
                at=clock.now(),
                twice=[listed.twice.get(len(answers) + at, ()) for at in range(len(reads))],
            )
        answers += checked.households
        left = checked.persons_left
        told(len(answers))
    made = CheckedFile(
        content=listed.content,
        format=listed.format,
        read=listed.pieces,
        answers=[msgspec.json.encode(answers)],
    )
    content = await asyncio.to_thread(annotated, made)
    return ListChecked(content=content, answers=tuple(answers), persons_left=left, quota=quota)


def _must_fit(persons: Sequence[int], left: int, quota: Quota) -> None:
    if sum(persons) > left:
        raise CheckQuotaSpent(
            persons_asked=sum(persons),
            persons_left=left,
            persons_per_day=quota.persons_per_day,
            opens_again_at=quota.opens_again_at,
            households_fit=fitting(persons, left),
        )
