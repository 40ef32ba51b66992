"""Money of a programme before and beside its rounds: deposits, grants, exchanges, fees."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings
from cbi.enrol import load_programme
from cbi.grants import raise_unfit
from ledger import post
from ledger.exchange import Exchange
from ledger.exchanges import record_exchange
from ledger.money import Money
from ledger.refusal import TransferConflict, TransferRefused
from ledger.transfer import Transfer


async def deposit(
    conn: AsyncConnection,
    *,
    programme_id: UUID,
    money: Money,
    deposit_id: UUID,
    of_grant: str | None,
    on: date,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> Transfer:
    """Book a donor's deposit on the paying account; the same deposit twice is one transfer.

    Money of a grant waits to be allotted, any other may be used at once. In whatever currency it
    came: rounds are paid in the programme's. Where the programme draws on grants, money names one
    and stays within it. Raises NotFound, GrantUnnamed, GrantNotDrawn, GrantInOtherCurrency,
    OutsideGrantDays, GrantSpent and ledger's TransferConflict.
    """
    await load_programme(conn, programme_id)
    accounts = bookings.of_programme(programme_id, money.currency)
    if of_grant is not None:
        accounts.append(bookings.grant(programme_id, of_grant, money.currency))
    await post.open_accounts(conn, accounts, partner_id=partner_id)
    booked = bookings.funded(programme_id, money, deposit_id=deposit_id, on=on, of_grant=of_grant)
    try:
        async with conn.begin_nested():
            await post.post(conn, [booked], partner_id=partner_id, at=at, actor_id=actor_id)
    except TransferRefused as error:
        raise_unfit(error, programme_id, of_grant)
        raise
    return booked


async def allot(
    conn: AsyncConnection,
    *,
    programme_id: UUID,
    of_grant: str,
    money: Money,
    allotment_id: UUID,
    on: date,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> Transfer:
    """Let money of a grant be used for rounds, exchanges and fees; the same again is one transfer.

    Raises NotFound, ledger's InsufficientFunds and AccountNotOpen (nothing was ever given for this
    grant).
    """
    await load_programme(conn, programme_id)
    booked = bookings.allotted(programme_id, of_grant, money, allotment_id=allotment_id, on=on)
    await post.post(conn, [booked], partner_id=partner_id, at=at, actor_id=actor_id)
    return booked


async def exchange(
    conn: AsyncConnection,
    *,
    programme_id: UUID,
    sale: Exchange,
    received: Money,
    on: date,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> Sequence[Transfer]:
    """Book an exchange at the rate it names, and what the bank gave more or less as gain or loss.

    Raises NotFound, ledger's InsufficientFunds (the fund has not so much in that currency) and
    TransferConflict (it was booked, with another result).
    """
    await load_programme(conn, programme_id)
    for currency in (sale.sold.currency, sale.bought.currency):
        accounts = bookings.of_programme(programme_id, currency)
        await post.open_accounts(conn, accounts, partner_id=partner_id)
    await record_exchange(conn, sale)
    legs = bookings.exchanged(programme_id, sale, on=on)
    result = bookings.exchange_result(
        programme_id, sale.bought, received, entry_id=sale.entry_id, on=on
    )
    new = await post.post(conn, legs, partner_id=partner_id, at=at, actor_id=actor_id)
    more = await post.post(conn, result, partner_id=partner_id, at=at, actor_id=actor_id)
    if more and not new:
        # It was booked with another result, or with none.
        raise TransferConflict(transfer_id=result[0].transfer_id)
    return [*legs, *result]


async def charge(
    conn: AsyncConnection,
    *,
    programme_id: UUID,
    money: Money,
    fee_id: UUID,
    on: date,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> Sequence[Transfer]:
    """Book a fee or a tax that the provider kept; the same again is booked once.

    Raises NotFound and ledger's InsufficientFunds: a fee is borne by the fund, not by families.
    """
    await load_programme(conn, programme_id)
    accounts = bookings.of_programme(programme_id, money.currency)
    await post.open_accounts(conn, accounts, partner_id=partner_id)
    booked = bookings.charged(programme_id, money, line_id=fee_id, on=on)
    await post.post(conn, booked, partner_id=partner_id, at=at, actor_id=actor_id)
    return booked
