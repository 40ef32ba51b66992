"""Sign a step of a list: once, in order, by different people, as the database compares it."""

from collections.abc import Mapping
from uuid import UUID

import msgspec
from sqlalchemy import Table, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.disbursement import PaymentList, Signed, Step
from cbi.refusal import CheckStale, SamePerson, StepDone, StepOutOfOrder
from cbi.who import Who
from ledger.money import Money
from ledger.violation import constraint_of


async def put_step(
    conn: AsyncConnection,
    steps: Table,
    owner: Mapping[str, UUID],
    step: Step,
    listed: PaymentList,
    *,
    round_id: UUID,
    who: Who,
) -> Signed:
    """Add a signature to what `owner` names.

    Raises StepDone, StepOutOfOrder, SamePerson, CheckStale.

    What else a table asks of a signature comes as IntegrityError, with the constraint's name.
    """
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(steps).values(
                    **owner,
                    step=int(step),
                    **msgspec.structs.asdict(who),
                    payments=listed.payments,
                    amount_minor=listed.total.amount_minor,
                    list_digest=listed.list_digest,
                )
            )
            # The order is a foreign key; told now, not at the end of the transaction.
            await conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    except IntegrityError as error:
        match constraint_of(error).removeprefix(steps.name):
            case "_once":
                raise StepDone(round_id=round_id, step=step.word) from error
            case "_in_order":
                raise StepOutOfOrder(round_id=round_id, step=step.word) from error
            case "_four_people":
                raise SamePerson(round_id=round_id, step=step.word) from error
            case "_fresh":
                raise CheckStale(round_id=round_id) from error
        raise
    return Signed(
        step=step.word,
        actor_id=who.actor_id,
        at=who.at,
        payments=listed.payments,
        total=listed.total,
        list_digest=listed.list_digest.hex(),
    )


async def load_steps_of(
    conn: AsyncConnection, steps: Table, owner: Mapping[str, UUID], currency: str
) -> list[Signed]:
    """Load the signatures of what `owner` names, in order."""
    query = select(steps).where(*(steps.c[name] == value for name, value in owner.items()))
    return [
        Signed(
            step=Step(row.step).word,
            actor_id=row.actor_id,
            at=row.at,
            payments=row.payments,
            total=Money(amount_minor=row.amount_minor, currency=currency),
            list_digest=row.list_digest.hex(),
        )
        for row in await conn.execute(query.order_by(steps.c.step))
    ]
