"""What each report says of a round that was played through, and who reads it."""

from datetime import date, timedelta
from hashlib import sha256
from os import urandom
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api import db
from cbi.refusal import BadValue, NotFound
from cbi.reports.asked import NAMES, TAKES
from cbi.reports.unclaimed import bucket
from ledger.seal import seal
from tests.cbi.reports.played import AS_OF, START, asked, played, rows, section
from tests.cbi.reports.reading import bytes_of, same_in_all
from tests.cbi.world import ALFA, AT, BETA, PAYS_ON, TODAY, staff
from tests.conftest import PARTNER_A, PARTNER_B

AUDITOR = staff(7, PARTNER_B, {"auditor"})


def told(story, name):
    """What has to be said to get this report of a story."""
    if name in ("round-summary", "payments", "control"):
        return {"round_id": story.round_id}
    if name == "advance-liquidation":
        return {"programme_id": story.programme_id}
    return {"payment_id": story.payments[0][0]} if name == "trace" else {}


async def test_every_report_has_the_same_numbers_in_every_form(conn):
    story = await played(conn)
    for name in NAMES:
        sheet = await asked(conn, name, **told(story, name))
        assert any(len(each.rows) for each in sheet.sections), name
        same_in_all(sheet)


async def test_the_same_question_gives_the_same_bytes_later(conn):
    story = await played(conn)
    for name in NAMES:
        once = await asked(conn, name, **told(story, name))
        again = await asked(conn, name, **told(story, name))
        for form in ("json", "csv", "xlsx", "pdf"):
            assert sha256(bytes_of(once, form)).digest() == sha256(bytes_of(again, form)).digest()


async def test_before_anything_is_sealed_a_report_says_so(conn):
    await played(conn)
    assert (await asked(conn, "trial-balance")).checkpoint is None
    assert b"nothing is sealed yet" in bytes_of(await asked(conn, "fees"), "csv")


async def test_after_sealing_every_report_names_the_newest_checkpoint(own):
    async with own.begin() as conn:
        await played(conn)
    key = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    async with own.begin(db.SYSTEM) as conn:
        made = await seal(conn, signer=key, name="t/log", at=AT, random=urandom)
    async with own.begin() as conn:
        sheet = await asked(conn, "fees")
        traced = await asked(conn, "trace", payment_id=(await first_payment(conn)))
    assert (sheet.checkpoint.size, sheet.checkpoint.root) == (made.size, made.root.hex())
    assert made.root.hex() in bytes_of(sheet, "csv").decode()
    leaves = [row[8] for row in rows(traced, "transfers", "PEN")]
    assert leaves
    assert all(isinstance(leaf, int) for leaf in leaves)


async def first_payment(conn):
    sheet = await asked(conn, "unclaimed")
    return UUID(rows(sheet, "unclaimed", "PEN")[0][0])


async def test_the_summary_of_a_round(conn):
    story = await played(conn)
    kept, back, lost, silent = (minor for *_, minor in story.payments)
    sheet = await asked(conn, "round-summary", round_id=story.round_id)
    assert rows(sheet, "position") == [
        ("entitled", 4, kept + back + lost + silent),
        ("not_instructed", 0, 0),
        ("instructed", 4, kept + back + lost + silent),
        ("delivered", 1, kept),
        ("undelivered", 2, back + lost),
        ("unclaimed", 1, silent),
    ]
    assert section(sheet, "states").totals == (None, 4, kept + back + lost + silent)
    assert rows(sheet, "reasons") == [("rejected", "AC04", 1, lost), ("returned", "AC04", 1, back)]
    assert [row[4] for row in rows(sheet, "checks")] == ["yes"] * 5 + ["not_yet"]


async def test_every_payment_of_a_round(conn):
    story = await played(conn)
    sheet = await asked(conn, "payments", round_id=story.round_id)
    assert [(row[0], row[3], row[5]) for row in rows(sheet, "payments", "PEN")] == [
        (str(payment_id), state, minor)
        for (payment_id, _, minor), state in zip(
            story.payments, ("delivered", "returned", "rejected", "pending"), strict=True
        )
    ]


async def test_exceptions_have_an_owner_and_an_age(conn):
    story = await played(conn)
    sheet = await asked(conn, "line-exceptions")
    found = {(row[0], row[1], row[3]) for each in sheet.sections[1:] for row in each.rows}
    age = (AS_OF - PAYS_ON).days
    assert found == {("paid_not_instructed", "bank", age), ("statement_gap", "bank", age)}
    assert section(sheet, "breaks").totals == (None, 2)
    of_round = await asked(conn, "line-exceptions", round_id=story.round_id)
    assert section(of_round, "breaks").totals == (None, 0)


async def test_unclaimed_payments_by_age(conn):
    story = await played(conn)
    payment_id, _, minor = story.payments[3]
    sheet = await asked(conn, "unclaimed", round_id=story.round_id)
    ((paid, *_, age, aged, amount),) = rows(sheet, "unclaimed", "PEN")
    assert (paid, age, aged, amount) == (str(payment_id), 19, "15-30", minor)
    assert rows(sheet, "ageing", "PEN")[2] == ("15-30", 1, minor)
    assert section(sheet, "ageing", "PEN").totals == (None, 1, minor)
    before = await asked(conn, "unclaimed", as_of=TODAY - timedelta(days=1))
    assert rows(before, "unclaimed") == []


@pytest.mark.parametrize(
    ("age", "name"),
    [
        *((0, "0-7"), (7, "0-7"), (8, "8-14"), (14, "8-14"), (15, "15-30"), (30, "15-30")),
        *((31, "31-60"), (60, "31-60"), (61, "over-60"), (4_000, "over-60")),
    ],
)
def test_an_age_falls_into_one_bucket(age, name):
    assert bucket(age) == name


async def test_the_advance_is_liquidated_to_what_the_books_say(conn):
    story = await played(conn)
    kept, back, *_ = (minor for *_, minor in story.payments)
    sheet = await asked(conn, "advance-liquidation", programme_id=story.programme_id)
    lines = {row[0]: row[2] for row in rows(sheet, "liquidation", "PEN") if row[2]}
    assert lines == {
        "deposits": START,
        "exchanged_in": 187_250,
        "delivered": -kept - back,
        "returned": back,
        "fees_and_taxes": -1_250,
        "exchange_result": -250,
        "suspense": -777,
    }
    closing = START + 187_250 - kept - 1_250 - 250 - 777
    assert section(sheet, "liquidation", "PEN").totals[2] == closing
    assert rows(sheet, "checks", "PEN") == [("closing_advance", closing, closing, 0, "yes")]
    assert section(sheet, "liquidation", "USD").totals[2] == 50_000


async def test_a_part_of_a_year_begins_with_what_was_there(conn):
    story = await played(conn)
    sheet = await asked(conn, "advance-liquidation", programme_id=story.programme_id, since=PAYS_ON)
    first = rows(sheet, "liquidation", "PEN")[0]
    assert first == ("opening_advance", None, START + 187_250 - 1_250 - 250)
    assert rows(sheet, "checks", "PEN")[0][3:] == (0, "yes")
    early = await asked(conn, "advance-liquidation", programme_id=story.programme_id, until=TODAY)
    assert section(early, "liquidation", "PEN").totals[2] == START + 187_250 - 1_250 - 250


async def test_fees_and_exchanges_line_by_line(conn):
    await played(conn)
    fees = await asked(conn, "fees")
    ((on, _, kind, _, minor),) = rows(fees, "fees", "PEN")
    assert (on, kind, minor) == ("2026-06-01", "fee", 1_250)
    exchanges = await asked(conn, "exchanges")
    (row,) = rows(exchanges, "exchanges", "USD → PEN")
    assert row[2:] == ("TC-1", "3.745", "SBS", "2026-06-01", 50_000, 187_250, -250, 187_000)
    assert rows(await asked(conn, "fees", until=TODAY - timedelta(days=1)), "fees") == []


async def test_grants_and_what_their_money_was_used_for(conn):
    story = await played(conn)
    kept, *_ = (minor for *_, minor in story.payments)
    sheet = await asked(conn, "grants")
    ((_, code, *sums),) = rows(sheet, "grants", "USD")
    assert (code, sums) == ("ECHO-1", [100_000, 60_000, 0, 40_000])
    dollars, soles = section(sheet, "uses", "USD"), section(sheet, "uses", "PEN")
    assert dollars.totals[2:] == (10_000, 10_000)
    assert soles.totals[2] == soles.totals[3] == START + 187_250 - 1_250 - 250 - kept
    assert {row[1]: row[2] for row in soles.rows}["other"] == 0


async def test_statements_and_what_of_them_is_matched(conn):
    story = await played(conn)
    kept, back, *_ = (minor for *_, minor in story.payments)
    sheet = await asked(conn, "bank-match")
    found = [(row[2], *row[4:8], *row[9:11], *row[12:]) for row in rows(sheet, "statements", "PEN")]
    bank = [row for row in found if row[0] is not None]
    assert bank == [
        (1, 3, 2, 1, 0, kept + back + 777, 0, kept + back, "whole"),
        (3, 1, 1, 0, 0, 0, back, back, "statement_gap"),
    ]


async def test_the_control_report_names_four_people_and_the_file(conn):
    story = await played(conn)
    sheet = await asked(conn, "control", round_id=story.round_id)
    steps = rows(sheet, "signatures")
    assert [row[0] for row in steps] == [
        "calculated",
        "prepared",
        "reviewed",
        "approved",
        "released",
    ]
    assert len({row[1] for row in steps[1:]}) == 4
    assert {(row[3], row[5]) for row in steps} == {(4, steps[0][5])}
    ((followup_no, part, _, _, digest),) = rows(sheet, "files")
    assert (followup_no, part, len(digest)) == (0, 1, 64)


async def test_a_report_with_too_many_lines_is_refused_not_cut(conn, monkeypatch):
    await played(conn)
    monkeypatch.setattr("cbi.reports.asked.LINES_MAX", 1)
    assert len(rows(await asked(conn, "fees"), "fees", "PEN")) == 1
    with pytest.raises(BadValue) as refused:
        await asked(conn, "bank-match")
    assert (refused.value.field, refused.value.reason) == (
        "from",
        "more than 1 lines: ask for fewer days",
    )


async def test_the_trace_follows_a_payment_and_names_nobody(conn):
    story = await played(conn)
    payment_id, *_ = story.payments[1]
    sheet = await asked(conn, "trace", payment_id=payment_id)
    assert [row[4] for row in rows(sheet, "attempts")] == ["returned"]
    assert [row[2] for row in rows(sheet, "evidence")] == ["return", "statement"]
    kinds = sorted(row[3] for row in rows(sheet, "transfers"))
    assert kinds == ["adjust", "post", "post", "reserve", "reverse", "reverse"]
    written = bytes_of(sheet, "json").decode()
    ids = [str(payment_id), payment_id.hex, *map(str, story.household_ids)]
    assert not [each for each in ids if each in written]
    by_household = [
        await asked(conn, "trace", household_id=household_id)
        for household_id in story.household_ids
    ]
    assert [len(rows(each, "entitlements")) for each in by_household] == [1, 1, 1, 1]


async def test_the_trial_balance_has_two_equal_sides(conn):
    await played(conn)
    sheet = await asked(conn, "trial-balance")
    for currency in ("PEN", "USD"):
        totals = section(sheet, "accounts", currency).totals
        assert totals[2] == totals[3] > 0
        assert totals[4] == totals[5]
        assert rows(sheet, "checks", currency)[0][3:] == (0, "yes")
    booked = await asked(conn, "trial-balance", booked_until=date(2020, 1, 1))
    assert rows(booked, "accounts") == []


async def test_nobody_reads_what_is_anothers(conn):
    story = await played(conn)
    for name in NAMES:
        wanted = told(story, name)
        if not wanted:
            for facts in ({}, {"partner_id": PARTNER_A}):
                sheet = await asked(conn, name, BETA, **facts)
                assert not any(
                    row
                    for each in sheet.sections
                    for row in each.rows
                    if each.key not in ("ageing", "checks")
                ), name
        if name in TAKES["programme_id"]:
            wanted = {**wanted, "programme_id": story.programme_id}
        if wanted:
            with pytest.raises(NotFound):
                await asked(conn, name, BETA, **wanted)


async def test_an_auditor_reads_what_a_round_is_of_its_payer(conn):
    story = await played(conn)
    for name in NAMES:
        facts = told(story, name) or {"partner_id": PARTNER_A}
        theirs = await asked(conn, name, AUDITOR, **facts)
        mine = await asked(conn, name, ALFA, **facts)
        assert bytes_of(theirs, "csv") == bytes_of(mine, "csv"), name


async def test_a_report_of_nothing_yet_is_shown(conn):
    for name in NAMES:
        if not {"round-summary", "payments", "control", "advance-liquidation", "trace"} & {name}:
            same_in_all(await asked(conn, name))


@pytest.mark.parametrize(
    ("name", "facts", "field"),
    [
        ("round-summary", {}, "round_id"),
        ("control", {}, "round_id"),
        ("advance-liquidation", {}, "programme_id"),
        ("trace", {}, "payment_id"),
        ("trace", {"payment_id": UUID(int=1), "household_id": UUID(int=2)}, "payment_id"),
        ("fees", {"since": TODAY, "until": TODAY - timedelta(days=1)}, "until"),
        ("bank-match", {"round_id": UUID(int=1)}, "round_id"),
        ("trial-balance", {"known_at": AT.replace(tzinfo=None)}, "known_at"),
    ],
)
async def test_what_a_report_needs_is_named(conn, name, facts, field):
    with pytest.raises(BadValue) as refused:
        await asked(conn, name, **facts)
    assert refused.value.field == field
