"""A release in chunks: funded once, each chunk whole, and nothing handed out before the last."""

from importlib.resources import files
from uuid import UUID, uuid4

import pytest
from lxml import etree
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import bookings, tables
from cbi.disburse import load_entitlements, load_list, load_steps
from cbi.disbursement import Progress, message_id
from cbi.file_tables import payment_file
from cbi.payment_files import pain001
from cbi.payout import read_file
from cbi.refusal import (
    EntitlementSettled,
    NotReleased,
    PayeesBlocked,
    SamePerson,
    StepDone,
    StepOutOfOrder,
    WhichPart,
)
from ledger import post
from ledger.trial import trial_balance
from tests.cbi.test_calculate import step_by_hand
from tests.cbi.world import (
    AT,
    DESK,
    a_round,
    approved,
    cancelled,
    count,
    released,
    released_once,
    rolled_back,
    staff,
    withdraw,
)
from tests.conftest import PARTNER_A

NS = {"p": pain001.NAMESPACE}
TREASURER = staff(4)


async def an_approved_round(conn, families=5):
    programme, _, round_id = await a_round(conn, families)
    await approved(conn, round_id)
    return programme, round_id


async def parts_of(conn, round_id):
    await db.set_facts(conn, TREASURER)
    parts = (await read_file(conn, round_id, vault=DESK.vault, part_no=1)).parts
    return [
        await read_file(conn, round_id, vault=DESK.vault, part_no=number + 1)
        for number in range(parts)
    ]


def texts(content, path):
    return [element.text for element in etree.fromstring(content).iterfind(path, NS)]


async def books(conn):
    """What the ledger holds of the partner, transfer by transfer and account by account."""
    await db.set_facts(conn, TREASURER)
    rows = await conn.execute(
        text(
            "SELECT transfer_id, entry_id, kind, amount_minor FROM ledger.transfer"
            " ORDER BY transfer_id"
        )
    )
    return [tuple(row) for row in rows], await trial_balance(conn)


async def refused(conn, statement, rule, who=TREASURER):
    await db.set_facts(conn, who)
    with pytest.raises(DBAPIError, match=rule):
        async with conn.begin_nested():
            await conn.execute(statement)


async def funding_of(conn, programme, round_id, **changes):
    listed = await load_list(conn, round_id, programme.currency)
    facts = {
        "round_id": round_id,
        "partner_id": PARTNER_A,
        "actor_id": TREASURER.actor_id,
        "at": AT,
        "payments": listed.payments,
        "amount_minor": listed.total.amount_minor,
        "list_digest": listed.list_digest,
        "cancelled_payments": 0,
        "cancelled_minor": 0,
    }
    return insert(tables.funding).values(facts | changes)


async def chunk_of(conn, round_id, **changes):
    """The next chunk of two payments, as it would be written past the program."""
    (digest,) = await conn.scalars(text("SELECT list_digest FROM cbi.funding"))
    done = (
        (await conn.execute(text("SELECT upto_payment FROM cbi.chunk ORDER BY chunk_no")))
        .scalars()
        .all()
    )
    after = done[-1] if done else UUID(int=0)
    page = await load_entitlements(conn, round_id, after=after, limit=2)
    facts = {
        "round_id": round_id,
        "list_digest": digest,
        "chunk_no": len(done) + 1,
        "partner_id": PARTNER_A,
        "actor_id": TREASURER.actor_id,
        "at": AT,
        "after_payment": after,
        "upto_payment": page[-1].entitlement_id,
        "payments": len(page),
        "amount_minor": sum(each.money.amount_minor for each in page),
        "first_part": len(done) + 1,
        "parts": 1,
    }
    return insert(tables.chunk).values(facts | changes)


@pytest.mark.parametrize("chunk_max", [1, 2, 4])
async def test_a_release_in_chunks_books_what_a_release_at_once_books(conn, chunk_max):
    _, round_id = await an_approved_round(conn)
    async with rolled_back(conn):
        wanted = await released(conn, round_id), await books(conn)
        (whole,) = await parts_of(conn, round_id)
    assert (await released(conn, round_id, chunk_max=chunk_max), await books(conn)) == wanted
    parts = await parts_of(conn, round_id)
    assert len(parts) == -(-5 // chunk_max)
    of_parts = [one for part in parts for one in texts(part.content, ".//p:EndToEndId")]
    assert of_parts == texts(whole.content, ".//p:EndToEndId")


async def test_every_part_is_a_file_of_its_own_and_all_make_the_control_total(conn):
    _, round_id = await an_approved_round(conn)
    done = await released(conn, round_id, chunk_max=2)
    published = files("sepaxml") / "schemas" / "pain.001.001.09.xsd"
    schema = etree.XMLSchema(etree.fromstring(published.read_bytes()))
    parts = await parts_of(conn, round_id)
    payments = minor = 0
    for part in parts:
        schema.assertValid(etree.fromstring(part.content))
        payments += int(texts(part.content, ".//p:GrpHdr/p:NbOfTxs")[0])
        minor += int(texts(part.content, ".//p:GrpHdr/p:CtrlSum")[0].replace(".", ""))
        assert texts(part.content, ".//p:MsgId") == [part.message_id]
    assert (payments, minor) == (done.payments, done.total.amount_minor)
    assert len({part.message_id for part in parts}) == len(parts) == 3
    assert await parts_of(conn, round_id) == parts


async def test_of_several_parts_one_must_be_named(conn):
    _, round_id = await an_approved_round(conn, 3)
    await released(conn, round_id, chunk_max=2)
    for part_no in (None, 0, 3):
        with pytest.raises(WhichPart) as which:
            await read_file(conn, round_id, vault=DESK.vault, part_no=part_no)
        assert which.value.parts == 2


def test_names_of_parts_are_short_and_differ():
    rounds = [UUID(int=2**128 - 1), UUID(int=0), uuid4()]
    names = [message_id(one, part) for one in rounds for part in (None, 1, 2, 999_999)]
    assert len(set(names)) == len(names)
    assert all(pain001.IDENTIFIER.fullmatch(name) for name in names)
    for part in (0, 1_000_000):
        with pytest.raises(ValueError, match="parts"):
            message_id(rounds[0], part)


async def test_after_each_piece_the_round_goes_on_where_it_stopped(conn):
    _, round_id = await an_approved_round(conn)
    told = []
    while isinstance(done := await released_once(conn, round_id, chunk_max=2), Progress):
        told.append((done.chunks_done, done.chunks, done.done, done.of))
        assert await count(conn, "ledger.attempt") == done.done
        with pytest.raises(NotReleased):
            await read_file(conn, round_id, vault=DESK.vault)
        # Not even the database hands it out.
        assert await count(conn, "cbi.payment_file") == 0
    assert told == [(0, 3, 0, 5), (1, 3, 2, 5), (2, 3, 4, 5), (3, 3, 5, 5)]
    assert await count(conn, "cbi.payment_file") == 3
    with pytest.raises(StepDone):
        await released_once(conn, round_id, chunk_max=2)


async def test_another_person_may_go_on_and_a_signer_may_not(conn):
    _, round_id = await an_approved_round(conn)
    await released_once(conn, round_id, chunk_max=2)
    with pytest.raises(SamePerson):
        await released_once(conn, round_id, staff(3), chunk_max=2)
    done = await released(conn, round_id, staff(5), chunk_max=3)
    assert done.actor_id == staff(5).actor_id


async def test_the_access_log_has_each_household_of_a_part_once(conn):
    _, round_id = await an_approved_round(conn, 3)
    await released_once(conn, round_id, chunk_max=2)
    await released_once(conn, round_id, chunk_max=2)
    await db.set_facts(conn, staff(9, roles={"auditor"}))
    logged = "SELECT count(*) FROM cbi.access_log WHERE purpose = 'payment file'"
    assert await conn.scalar(text(logged)) == 2
    await released(conn, round_id, chunk_max=2)
    await db.set_facts(conn, staff(9, roles={"auditor"}))
    assert await conn.scalar(text(logged)) == 3


async def test_a_blocked_family_stops_its_chunk_and_those_before_stand(conn):
    _, round_id = await an_approved_round(conn)
    third = (await load_entitlements(conn, round_id))[2]
    await released_once(conn, round_id, chunk_max=2)
    await released_once(conn, round_id, chunk_max=2)
    await withdraw(conn, third.household_id)
    with pytest.raises(PayeesBlocked) as blocked:
        async with conn.begin_nested():
            await released_once(conn, round_id, chunk_max=2)
    assert dict(blocked.value.blocked) == {third.household_id: ("consent",)}
    assert await count(conn, "ledger.attempt") == 2
    await cancelled(conn, round_id, third.entitlement_id, staff(7))
    assert (await released(conn, round_id, chunk_max=2)).payments == 4


async def test_what_is_taken_off_after_the_funding_goes_back_to_the_fund(conn):
    programme, round_id = await an_approved_round(conn)
    fund = bookings.fund(programme.programme_id, "PEN")
    available, committed, payable, _ = bookings.of_round(round_id, "PEN")
    before = (await post.balances(conn, [fund]))[fund.account_id]
    await released_once(conn, round_id, chunk_max=2)
    await released_once(conn, round_id, chunk_max=2)
    first, *_, last = await load_entitlements(conn, round_id)
    # What is reserved stands in a file already.
    with pytest.raises(EntitlementSettled):
        await cancelled(conn, round_id, first.entitlement_id, staff(7))
    await cancelled(conn, round_id, last.entitlement_id, staff(7))
    # Who takes a family off does not release the rest, here either.
    with pytest.raises(SamePerson):
        await released_once(conn, round_id, staff(7), chunk_max=2)
    done = await released(conn, round_id, chunk_max=2)
    assert done.payments == 4
    balances = await post.balances(conn, [fund, available, committed, payable])
    assert balances == {
        fund.account_id: before - done.total.amount_minor,
        available.account_id: 0,
        committed.account_id: 0,
        payable.account_id: done.total.amount_minor,
    }
    steps = await load_steps(conn, round_id, "PEN")
    assert steps[-1].list_digest != steps[-2].list_digest


async def test_a_funded_round_of_which_everybody_is_taken_off_gives_all_back(conn):
    programme, round_id = await an_approved_round(conn, 3)
    fund = bookings.fund(programme.programme_id, "PEN")
    before = await post.balances(conn, [fund])
    await released_once(conn, round_id, chunk_max=2)
    for each in await load_entitlements(conn, round_id):
        await cancelled(conn, round_id, each.entitlement_id, staff(7))
    assert (await released(conn, round_id, chunk_max=2)).payments == 0
    assert await post.balances(conn, [fund]) == before
    with pytest.raises(NotReleased):
        await read_file(conn, round_id, vault=DESK.vault)


async def test_a_round_is_not_released_before_all_its_chunks_are_in(conn):
    programme, round_id = await an_approved_round(conn)
    listed = await load_list(conn, round_id, programme.currency)

    async def by_hand(rule, **changes):
        with pytest.raises(DBAPIError, match=rule):
            async with conn.begin_nested():
                await step_by_hand(conn, round_id, 5, listed, TREASURER, **changes)

    await by_hand("round_step_funded")
    for _ in range(3):
        await released_once(conn, round_id, chunk_max=2)
        await by_hand("round_step_of_chunks")
        reserved = await conn.execute(
            text("SELECT sum(payments), sum(amount_minor) FROM cbi.chunk")
        )
        payments, minor = reserved.one()
        if payments:
            # What is reserved is not the whole list.
            await by_hand("round_step_of_chunks", payments=payments, amount_minor=minor)
    await released_once(conn, round_id, chunk_max=2)
    await by_hand("round_step_of_chunks", payments=4)
    await by_hand("round_step_of_chunks", amount_minor=1)
    await by_hand("round_step_control_total", list_digest=b"another list")
    # Nor before its money is the provider's to pay.
    await by_hand("round_step_booked")
    instructed = bookings.instructed(round_id, listed.total, on=AT.date())
    await post.post(conn, [instructed], partner_id=PARTNER_A, at=AT, actor_id=TREASURER.actor_id)
    await step_by_hand(conn, round_id, 5, listed, TREASURER)


async def test_a_round_is_funded_once_with_the_total_of_its_list_by_a_fourth_person(conn):
    programme, _, round_id = await a_round(conn, 3)
    with pytest.raises(StepOutOfOrder):
        await released_once(conn, round_id)
    await approved(conn, round_id)
    for change in (
        {"payments": 2},
        {"amount_minor": 1},
        {"list_digest": b"x"},
        {"cancelled_payments": 1},
        {"cancelled_minor": 1},
    ):
        wrong = await funding_of(conn, programme, round_id, **change)
        await refused(conn, wrong, "funding_of_list")
    for signer in (1, 2, 3):
        other = await funding_of(conn, programme, round_id, actor_id=staff(signer).actor_id)
        await refused(conn, other, "funding_fourth_person", staff(signer))
    again = await funding_of(conn, programme, round_id)
    await released_once(conn, round_id, chunk_max=2)
    await refused(conn, again, "funding_once")
    await released(conn, round_id, chunk_max=2)
    await refused(conn, again, "funding_once")


async def test_a_round_is_not_funded_before_it_is_approved_or_by_who_took_a_family_off(conn):
    programme, _, round_id = await a_round(conn, 3)
    early = await funding_of(conn, programme, round_id, payments=1)
    await refused(conn, early, "funding_after_approval")
    await approved(conn, round_id)
    first, *_ = await load_entitlements(conn, round_id)
    await cancelled(conn, round_id, first.entitlement_id, TREASURER)
    facts = {"cancelled_payments": 1, "cancelled_minor": first.money.amount_minor}
    own = await funding_of(conn, programme, round_id, **facts)
    await refused(conn, own, "funding_fourth_person")


async def test_a_chunk_is_what_its_payments_and_attempts_say(conn):
    _, round_id = await an_approved_round(conn)
    await released_once(conn, round_id, chunk_max=2)
    await conn.execute(text("SET CONSTRAINTS cbi.chunk_has_file DEFERRED"))
    await refused(conn, await chunk_of(conn, round_id), "chunk_of_payments")
    await released_once(conn, round_id, chunk_max=2)
    await db.set_facts(conn, TREASURER)
    for change, rule in (
        ({}, "chunk_of_payments"),
        ({"payments": 1}, "chunk_of_payments"),
        ({"amount_minor": 1}, "chunk_of_payments"),
        ({"payments": 0}, "chunk_size"),
        ({"after_payment": UUID(int=0)}, "chunk_in_order"),
        ({"upto_payment": UUID(int=0)}, "chunk_in_order"),
        ({"list_digest": b"x"}, "chunk_of_funding"),
        ({"first_part": 3}, "chunk_parts_in_order"),
        ({"parts": 0}, "chunk_parts_range"),
    ):
        await refused(conn, await chunk_of(conn, round_id, **change), rule)
    await released(conn, round_id, chunk_max=2)
    (last,) = (await conn.execute(text("SELECT * FROM cbi.chunk WHERE chunk_no = 3"))).all()
    await refused(conn, insert(tables.chunk).values(last._mapping), "chunk_once")
    late = dict(last._mapping) | {"chunk_no": 4, "after_payment": last.upto_payment}
    late |= {"upto_payment": UUID(int=2**128 - 1), "first_part": 4}
    await refused(conn, insert(tables.chunk).values(late), "chunk_has_file|chunk_before_release")
    await refused(conn, insert(payment_file).values(part_of(round_id, 4, 4, [])), "not_empty")
    late_part = part_of(round_id, 4, 4, [UUID(int=1)])
    await refused(conn, insert(payment_file).values(late_part), "payment_file_before_release")


def part_of(round_id, chunk_no, part_no, payment_ids):
    """A part of the file, as it would be written past the program."""
    return {
        "round_id": round_id,
        "chunk_no": chunk_no,
        "part_no": part_no,
        "partner_id": PARTNER_A,
        "message_id": f"m{part_no}",
        "sha256": bytes(32),
        "kek_id": "k",
        "wrapped": b"",
        "sealed": b"",
        "written_at": AT,
        "payment_ids": payment_ids,
        "profile_code": "pain.001.001.09",
        "profile_version": 0,
    }


@pytest.mark.parametrize("table", ["funding", "chunk", "calculation_page", "left_out"])
async def test_what_a_round_went_through_is_history(conn, table):
    _, round_id = await an_approved_round(conn, 2)
    await released(conn, round_id)
    for statement in (
        f"DELETE FROM cbi.{table}",
        f"UPDATE cbi.{table} SET partner_id = partner_id",
    ):
        await refused(conn, text(statement), "permission denied|append-only")
