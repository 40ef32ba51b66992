"""A slip names nobody, its token is told once, and only the newest print counts."""

from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from api import db
from cbi import slip_page, slips
from cbi.appeal_refusal import PrintsSpent, SlipUnknown
from cbi.refusal import BadValue, NotFound
from cbi.slip import NewSlip, in_fours, read_token, reference_of, token_digest, token_of
from tests.cbi.appealing import case_of, fresh, refused, slip_of, who
from tests.cbi.world import (
    ALFA,
    BETA,
    DESK,
    TODAY,
    a_round,
    calculated,
    enrolled,
    family,
    programme_of,
    registered,
    rolled_back,
    staff,
    withdraw,
)


@given(st.binary(min_size=20, max_size=20))
def test_a_token_is_read_however_it_is_typed(random):
    token = token_of(random)
    assert read_token(token) == token
    assert read_token(f" {in_fours(token).lower()}\n") == token


@given(st.text())
def test_any_text_is_a_token_as_one_is_made_or_none(text_):
    token = read_token(text_)
    assert token is None or (len(token) == 32 and read_token(in_fours(token)) == token)


@given(st.binary(min_size=5, max_size=5), st.binary(min_size=5, max_size=5))
def test_two_references_are_the_same_only_for_the_same_chance(one, other):
    assert (reference_of(one) == reference_of(other)) == (one == other)
    assert not set(reference_of(one)) & set("01IO")


async def test_a_slip_is_given_once_for_a_refusal_of_a_day_and_printed_again(conn):
    household_id = (await registered(conn, family(1))).household_id
    first = await slip_of(conn, household_id)
    second = await slip_of(conn, household_id)
    assert (first.slip.slip_id, first.print_no) == (second.slip.slip_id, 1)
    assert second.print_no == 2
    assert first.token != second.token
    later = await slip_of(conn, household_id, on=TODAY + timedelta(days=1))
    assert later.slip.slip_id != first.slip.slip_id
    assert [each.prints for each in await slips.list_slips(conn, household_id)] == [2, 1]


async def test_only_the_keyed_hash_of_the_newest_token_is_there_and_counts(conn):
    printed = await refused(conn)
    facts = {"household_id": printed.slip.household_id, "slip_id": printed.slip.slip_id}
    key = {"matching_key": DESK.matching_key}
    stored = await conn.scalar(text("SELECT digest FROM cbi.slip_print"))
    assert stored == token_digest(DESK.matching_key, printed.token)
    assert stored != token_digest(b"x" * 32, printed.token)
    assert await slips.printable(conn, token=printed.token, on=TODAY, **facts, **key)
    again = await slips.reprint(conn, token=fresh().token, who=who(ALFA), **facts, **key)
    for token, on in (
        (printed.token, TODAY),
        (again.token, printed.slip.appeal_until + timedelta(days=1)),
        (fresh().token, TODAY),
        ("", TODAY),
    ):
        with pytest.raises(SlipUnknown):
            await slips.printable(conn, token=token, on=on, **facts, **key)


async def test_a_slip_is_printed_fifty_times_at_most(conn):
    printed = await refused(conn)
    slip = printed.slip
    await conn.execute(
        text(
            "INSERT INTO cbi.slip_print (slip_id, print_no, partner_id, digest, printed_by,"
            " printed_at) SELECT :slip, n, :partner, sha256(n::text::bytea), :actor, now()"
            " FROM generate_series(2, 50) AS n"
        ),
        {"slip": slip.slip_id, "partner": ALFA.partner_id, "actor": ALFA.actor_id},
    )
    with pytest.raises(PrintsSpent):
        await slips.reprint(
            conn,
            household_id=slip.household_id,
            slip_id=slip.slip_id,
            token=fresh().token,
            matching_key=DESK.matching_key,
            who=who(ALFA),
        )


async def test_a_slip_hangs_on_facts_that_are_there_and_are_the_familys_own(conn):
    household_id, case_id = await case_of(conn)
    stranger = (await registered(conn, family(2))).household_id
    programme = await programme_of(conn)
    enrolment = await enrolled(conn, programme, stranger)
    good = NewSlip(reason="open_case", case_id=case_id)
    for asked, of, refusal in (
        (good, stranger, NotFound),
        (NewSlip(reason="open_case", case_id=uuid4()), household_id, NotFound),
        (NewSlip(reason="open_case"), household_id, BadValue),
        (NewSlip(reason="left_out"), household_id, BadValue),
        (
            NewSlip(
                reason="not_eligible",
                enrolment_id=enrolment.enrolment_id,
                assistance_group="mpca",
            ),
            household_id,
            NotFound,
        ),
        (NewSlip(reason="no_funds", enrolment_id=enrolment.enrolment_id), stranger, BadValue),
        (good, uuid4(), NotFound),
    ):
        with pytest.raises(refusal):
            async with conn.begin_nested():
                await slip_of(conn, of, asked)
    assert (await slip_of(conn, household_id, good)).slip.case_id == case_id
    # The household is another organisation's.
    with pytest.raises(NotFound):
        await slip_of(conn, household_id, good, BETA)


async def test_who_was_left_out_of_a_round_gets_a_slip_of_it(conn):
    _, household_ids, round_id = await a_round(conn, 2)
    await withdraw(conn, household_ids[0])
    await calculated(conn, round_id)
    (enrolment_id,) = await conn.scalars(text("SELECT enrolment_id FROM cbi.left_out"))
    asked = NewSlip(
        reason="left_out", round_id=round_id, enrolment_id=enrolment_id, assistance_group="mpca"
    )
    assert (await slip_of(conn, household_ids[0], asked)).slip.round_id == round_id
    with pytest.raises(NotFound):
        await slip_of(conn, household_ids[1], asked)


async def test_what_documents_a_family_shows_is_never_read_back(conn):
    household_id = (await registered(conn, family(1))).household_id
    asked = NewSlip(reason="overlap", document_group="venezuelan")
    printed = await slip_of(conn, household_id, asked)
    assert "venezuelan" not in repr(printed)
    for roles in ({"registrar", "programme"}, {"auditor", "admin", "coordinator"}):
        await db.set_facts(conn, staff(0, roles=roles))
        found = await conn.scalar(text("SELECT count(*) FROM cbi.slip_group"))
        assert found == 0


FORBIDDEN = (
    "ALFA", "familia", "family", "duplic", "registr", "asistencia", "assist", "refug", "migrant",
    "venezo", "venezu", "efectivo", "cash", "humanit", "hogar", "household",
)  # fmt: skip


@pytest.mark.parametrize("language", ["es", "en"])
async def test_a_slip_tells_its_finder_nothing_of_its_holder(conn, language):
    household_id, case_id = await case_of(conn)
    shown = []
    for asked in (
        NewSlip(reason="family_assisted", assistance_group="mpca", document_group="venezuelan"),
        NewSlip(reason="duplicate_decision", case_id=case_id),
    ):
        async with rolled_back(conn):
            printed = await slip_of(conn, household_id, asked)
            facts = slip_page.facts(printed, language)
            words = " ".join(str(value) for name, value in facts.items() if name != "square")
            assert [each for each in FORBIDDEN if each.lower() in words.lower()] == []
            assert str(household_id) not in words
            shown.append(facts["lines"])
    # What was refused, and why, makes no difference to who reads it.
    assert shown[0] == shown[1]


@pytest.mark.parametrize("language", ["es", "en"])
async def test_a_slip_is_one_page_with_its_square(conn, language):
    printed = await refused(conn)
    page = slip_page.write(printed, language)
    assert page.startswith(b"%PDF-")
    assert b"/Count 1" in page
    assert "<svg" in slip_page.square(printed.token)
    assert slip_page.write(printed, language) == page
