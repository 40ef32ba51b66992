"""A release by profile: who is paid, in which parts, and that together they are the round."""

import csv
from io import BytesIO

import pytest
from python_calamine import load_workbook
from sqlalchemy import insert, text

from api import db
from cbi import reissue
from cbi.account import cci
from cbi.disburse import load_entitlements
from cbi.file_tables import payment_file
from cbi.payout import read_file
from cbi.refusal import BadValue, NoInstrument, NothingToPay, PayeesBlocked, WhichPart
from tests.cbi.follow import came, reissued
from tests.cbi.profiled import a_profile, profiled
from tests.cbi.test_release import TREASURER, part_of, parts_of, refused
from tests.cbi.world import (
    ALFA,
    DESK,
    approved,
    calculated,
    count,
    enrolled,
    family,
    opened,
    programme_of,
    registered,
    released,
    released_once,
    rolled_back,
    staff,
)

WALLET = {"kind": "mobile_wallet", "bank": "yape", "account": "987 654 321"}
AGENT = {"kind": "otc_cash"}
DISTRICTS = ("230101", "240101", "150101")


def account(office: str, number: int) -> dict:
    return {
        "kind": "bank_account",
        "bank": "011",
        "account": cci(bank_and_office=f"011{office}", account=f"{number:012}"),
    }


async def a_round_of(conn, raw, families, **facts_of_family):
    """An approved round of families with these instruments, by this profile."""
    programme = await programme_of(conn)
    await profiled(conn, programme, raw)
    for place, instrument in enumerate(families, start=1):
        made = family(place, instrument=instrument, ubigeo=DISTRICTS[place % 3])
        receipt = await registered(conn, made | facts_of_family)
        await enrolled(conn, programme, receipt.household_id)
    return programme, (await opened(conn, programme)).round_id


def rows_of(part) -> list[dict]:
    return list(csv.DictReader(part.content.decode().splitlines()))


def by_bank(**changes) -> dict:
    """A CSV of accounts, split or not."""
    sources = ("account", "branch", "district", "amount", "end_to_end_id")
    columns = [{"source": source, "header": source} for source in sources]
    changes = {"instruments": ["bank_account"], "settled_by": "statement"} | changes
    raw = a_profile("example-wallet-csv", columns=columns, payments_per_file_max=None)
    return raw | changes


@pytest.mark.parametrize("split_by", [None, "district", "branch"])
@pytest.mark.parametrize("at_most", [None, 10])
@pytest.mark.parametrize("chunk_max", [5, 100])
async def test_parts_pay_everybody_once_and_make_the_control_total(
    conn, split_by, at_most, chunk_max
):
    accounts = [account(f"36{place % 2}", place) for place in range(1, 13)]
    raw = by_bank(split_by=split_by, payments_per_file_max=at_most)
    _, round_id = await a_round_of(conn, raw, accounts)
    await approved(conn, round_id)
    done = await released(conn, round_id, chunk_max=chunk_max)
    parts = await parts_of(conn, round_id)
    assert [part.part_no for part in parts] == list(range(1, len(parts) + 1))
    assert len({part.message_id for part in parts}) == len(parts)
    rows = [row for part in parts for row in rows_of(part)]
    listed = await load_entitlements(conn, round_id)
    assert sorted(row["end_to_end_id"] for row in rows) == sorted(
        f"{one.entitlement_id.hex}01" for one in listed
    )
    minor = sum(int(row["amount"].replace(".", "")) for row in rows)
    assert (len(rows), minor) == (done.payments, done.total.amount_minor)
    for part in parts:
        found = rows_of(part)
        assert len(found) <= (at_most or chunk_max)
        assert split_by is None or len({row[split_by] for row in found}) == 1
    assert await parts_of(conn, round_id) == parts


async def test_reading_a_part_logs_those_it_shows_and_nobody_else(conn):
    accounts = [account("366", place) for place in range(1, 7)]
    _, round_id = await a_round_of(conn, by_bank(split_by="district"), accounts)
    await approved(conn, round_id)
    await released(conn, round_id)
    await db.set_facts(conn, TREASURER, request_id="reading")
    part = await read_file(conn, round_id, vault=DESK.vault, part_no=2)
    await db.set_facts(conn, staff(9, roles={"auditor"}))
    logged = await conn.scalars(
        text("SELECT household_id FROM cbi.access_log WHERE request_id = 'reading'")
    )
    shown = {row["end_to_end_id"][:32] for row in rows_of(part)}
    await db.set_facts(conn, ALFA)
    households = {
        one.household_id
        for one in await load_entitlements(conn, round_id)
        if one.entitlement_id.hex in shown
    }
    assert len(households) == 2
    assert set(logged) == households


async def test_a_wallet_is_paid_by_its_phone_and_nothing_else_is_said(conn):
    _, round_id = await a_round_of(conn, a_profile("example-wallet-csv"), [WALLET])
    await approved(conn, round_id)
    await released(conn, round_id)
    (part,) = await parts_of(conn, round_id)
    (payment,) = await load_entitlements(conn, round_id)
    assert part.content.decode() == (
        f"telefono,monto,referencia\r\n987654321,100.00,{payment.entitlement_id.hex}01\r\n"
    ).replace("100.00", str(payment.money))
    assert (part.media_type, part.suffix) == ("text/csv; charset=utf-8", "csv")


async def test_an_agent_gets_collectors_with_their_documents_by_district(conn):
    _, round_id = await a_round_of(conn, a_profile("example-agent-xlsx"), [AGENT] * 4)
    await approved(conn, round_id)
    await released(conn, round_id)
    parts = await parts_of(conn, round_id)
    assert [part.parts for part in parts] == [3, 3, 3]
    found = []
    for part in parts:
        sheet = load_workbook(BytesIO(part.content)).get_sheet_by_index(0).to_python()
        found += sheet[1:-1]
        assert sheet[-1][:2] == ["TOTAL", len(sheet) - 2]
        assert len({row[5] for row in sheet[1:-1]}) == 1
    numbers = [family(seed)["persons"][0]["documents"][0]["number"] for seed in range(1, 5)]
    assert sorted(row[2] for row in found) == sorted(numbers)


@pytest.mark.parametrize(
    ("like", "changes"),
    [
        ("example-wallet-csv", {"instrument": AGENT}),
        ("example-wallet-csv", {"instrument": {**WALLET, "account": "12"}}),
        ("example-wallet-csv", {"instrument": account("366", 1)}),
        ("example-agent-xlsx", {"instrument": WALLET}),
        ("pain.001.001.03", {"instrument": WALLET}),
        (
            "pain.001.001.03",
            {"instrument": {**account("366", 1), "bank": "no", "account": "1" * 12}},
        ),
    ],
)
async def test_who_the_profile_can_not_pay_is_not_enrolled(conn, like, changes):
    programme = await programme_of(conn)
    await profiled(conn, programme, a_profile(like))
    receipt = await registered(conn, family(1, **changes))
    with pytest.raises(NoInstrument):
        await enrolled(conn, programme, receipt.household_id)


async def test_a_collector_without_a_document_is_not_enrolled_for_cash(conn):
    programme = await programme_of(conn)
    await profiled(conn, programme, a_profile("example-agent-xlsx"))
    raw = family(1, instrument=AGENT)
    raw["persons"][0]["documents"] = [{"type": "pe-tam", "number": "TAM123"}]
    receipt = await registered(conn, raw)
    with pytest.raises(NoInstrument):
        await enrolled(conn, programme, receipt.household_id)


async def test_who_was_enrolled_for_another_file_is_left_out_and_stops_the_gate(conn):
    programme, round_id = await a_round_of(conn, a_profile("example-wallet-csv"), [WALLET])
    async with rolled_back(conn):
        await profiled(conn, programme, a_profile(code="bank"))
        with pytest.raises(NothingToPay):
            await calculated(conn, round_id)
    await approved(conn, round_id)
    household_id = (await load_entitlements(conn, round_id))[0].household_id
    await profiled(conn, programme, a_profile(code="bank"))
    with pytest.raises(PayeesBlocked) as blocked:
        await released_once(conn, round_id)
    assert dict(blocked.value.blocked) == {household_id: ("no_instrument",)}


async def test_a_profile_chosen_after_the_list_was_prepared_changes_nothing(conn):
    programme, round_id = await a_round_of(conn, a_profile("example-wallet-csv"), [WALLET])
    await approved(conn, round_id)
    await profiled(conn, programme, a_profile(code="bank"), days_later=1)
    await released(conn, round_id)
    (part,) = await parts_of(conn, round_id)
    assert part.suffix == "csv"


async def test_what_can_not_be_written_is_refused_by_its_place_and_nothing_is_done(conn):
    raw = by_bank(quoting="none")
    raw["columns"].append({"source": "constant", "constant": "aid, cash", "header": "what"})
    _, round_id = await a_round_of(conn, raw, [account("366", 1)])
    await approved(conn, round_id)
    with pytest.raises(BadValue) as refusal:
        async with conn.begin_nested():
            await released(conn, round_id)
    assert refusal.value.field == "profile"
    assert await count(conn, "ledger.attempt") == 0


async def test_parts_written_past_the_program_must_be_the_chunk(conn):
    accounts = [account("366", place) for place in range(1, 5)]
    _, round_id = await a_round_of(conn, by_bank(), accounts)
    await approved(conn, round_id)
    await released_once(conn, round_id, chunk_max=2)
    await released_once(conn, round_id, chunk_max=2)
    listed = [one.entitlement_id for one in await load_entitlements(conn, round_id)]
    for chunk_no, part_no, payment_ids, rule in (
        (1, 2, listed[:2], "payment_file_parts_of_chunk"),
        (2, 2, listed[2:], "payment_file_parts_of_chunk"),
        (1, 1, listed[:1], "payment_file_pkey|payment_file_covers_chunk"),
    ):
        made = part_of(round_id, chunk_no, part_no, payment_ids)
        await refused(conn, insert(payment_file).values(made), rule)


async def test_a_follow_up_is_parted_likewise_and_each_part_logs_its_own(conn):
    accounts = [account("366", place) for place in range(1, 7)]
    _, round_id = await a_round_of(conn, by_bank(split_by="district"), accounts)
    await approved(conn, round_id)
    await released(conn, round_id)
    listed = await load_entitlements(conn, round_id)
    await came(conn, "rejected", listed)
    made = await reissued(conn, round_id)
    followup_id = made.followup.followup_id
    await db.set_facts(conn, TREASURER)
    with pytest.raises(WhichPart):
        await reissue.read_file(conn, followup_id, vault=DESK.vault)
    parts = []
    for part_no in (1, 2, 3):
        await db.set_facts(conn, TREASURER, request_id=f"part-{part_no}")
        parts.append(await reissue.read_file(conn, followup_id, vault=DESK.vault, part_no=part_no))
    rows = [row["end_to_end_id"] for part in parts for row in rows_of(part)]
    assert sorted(rows) == sorted(f"{one.entitlement_id.hex}02" for one in listed)
    await db.set_facts(conn, staff(9, roles={"auditor"}))
    logged = await conn.execute(
        text(
            "SELECT request_id, count(*) FROM cbi.access_log WHERE request_id LIKE 'part-_'"
            " GROUP BY request_id ORDER BY request_id"
        )
    )
    assert [tuple(row) for row in logged] == [(f"part-{n}", 2) for n in (1, 2, 3)]
