"""An organisation's own words: two people, in order, and only to whom they are for."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from api import clock, db
from api.messages import MESSENGER
from cbi import own_texts
from cbi.own_text import NewText
from cbi.refusal import NotFound
from cbi.text_refusal import InvalidText, TextApproved, TextOfOneself
from tests.cbi.appealing import who
from tests.cbi.test_outbox import DAY, claimed, hooked, swept
from tests.cbi.test_telling import reachable
from tests.cbi.world import ALFA, AT, BETA, PARTNER_B, TODAY, consent, family, registered, staff

WORDS = "Hay un aviso. Llame al {contact}."
OTHER = staff(3)
BEFORE = AT - timedelta(hours=1)


def new(words=WORDS, *, on=TODAY, kind="person.registered", **more):
    facts = {"contact": "01 555 0100" if "{contact}" in words else None, "language": "es"}
    return NewText(kind=kind, words=words, effective_from=on, **facts | more)


async def proposed(conn, asked=None, actor=ALFA, at=BEFORE):
    await db.set_facts(conn, actor)
    made = await own_texts.propose(conn, asked or new(), text_id=clock.new_id(), who=who(actor, at))
    await conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    return made


async def approved(conn, made, actor=OTHER, at=BEFORE):
    await db.set_facts(conn, actor)
    return await own_texts.approve(conn, made.text_id, who=who(actor, at))


async def said(conn, at=AT) -> list[str | None]:
    """What is said to people of ALFA now: own words, or None for the program's."""
    await hooked(conn)
    found = [one for one in await claimed(conn, at) if one.kind.startswith("person.")]
    words = await own_texts.words_of(conn, [one.notice_id for one in found])
    return [
        words[one.notice_id].words if one.notice_id in words else None
        for one in sorted(found, key=lambda one: one.made_at)
    ]


async def test_words_count_when_another_person_approved_them(conn):
    made = await proposed(conn)
    assert (made.version, made.approved_by) == (1, None)
    with pytest.raises(TextOfOneself):
        await approved(conn, made, ALFA)
    await registered(conn, reachable(1))
    await swept(conn)
    assert await said(conn) == [None]
    done = await approved(conn, made)
    assert done.approved_by == OTHER.actor_id
    with pytest.raises(TextApproved):
        await approved(conn, made)


async def test_the_newest_words_that_counted_when_the_notice_was_made_are_said(conn):
    for words, on in (("Uno.", TODAY - DAY), ("Dos.", TODAY), ("Luego.", TODAY + DAY)):
        await approved(conn, await proposed(conn, new(words, on=on)))
    await approved(conn, await proposed(conn, new("Later.", language="en")))
    # Proposed, and approved by nobody before the notice was made.
    late = await proposed(conn, new("Tarde."))
    await registered(conn, reachable(1))
    await swept(conn)
    await approved(conn, late, at=AT + timedelta(minutes=1))
    assert await said(conn) == ["Dos."]


async def test_words_of_another_organisation_or_kind_are_not_said(conn):
    await approved(conn, await proposed(conn, new(), BETA), staff(3, PARTNER_B))
    await approved(conn, await proposed(conn, new("Otro.", kind="person.review")))
    await registered(conn, reachable(1))
    await swept(conn)
    assert await said(conn) == [None]


async def test_open_words_are_said_only_to_who_agreed_to_that_version(conn):
    await approved(conn, await proposed(conn, new("Hay un aviso.")))
    await approved(conn, await proposed(conn, new("Su pago de Alfa.", open_to="2026-2")))
    agreed = {**consent("contact"), "text_version": "2026-2"}
    await registered(conn, reachable(1))
    await registered(conn, family(2, consents=[*family(2)["consents"], agreed]))
    await swept(conn)
    assert sorted(await said(conn)) == ["Hay un aviso.", "Su pago de Alfa."]


async def test_what_names_the_organisation_or_its_programme_is_refused_with_every_fault(conn):
    with pytest.raises(InvalidText) as refused:
        await proposed(conn, new("Pago de ALFA en www.x."))
    assert [each.fault for each in refused.value.faults] == ["link", "revealing", "name"]


async def test_an_organisation_sees_and_approves_its_own_only(conn):
    made = await proposed(conn)
    with pytest.raises(NotFound):
        await approved(conn, made, BETA)
    for actor, number in ((ALFA, 1), (BETA, 0), (None, 0)):
        await db.set_facts(conn, actor)
        partner_id = ALFA.partner_id
        found = await own_texts.list_texts(conn, partner_id=partner_id, after=None, limit=9)
        assert len(found) == number
    for actor in (ALFA, db.SYSTEM, None):
        await db.set_facts(conn, actor)
        assert await own_texts.words_of(conn, [made.text_id]) == {}


async def test_who_may_not_propose_is_refused_by_the_database(conn):
    for actor in (staff(4, roles={"registrar"}), staff(5, roles={"auditor"})):
        with pytest.raises(DBAPIError, match="row-level security"):
            async with conn.begin_nested():
                await proposed(conn, actor=actor)


@pytest.mark.parametrize(
    ("column", "value", "constraint"),
    [
        ("words", "Hola {name}", "message_text_placeholders_known"),
        ("words", "Hola\nusted", "message_text_words_line"),
        ("words", "x" * 481, "message_text_words_length"),
        ("words", "Llame al {contact}", "message_text_contact_said"),
        ("kind", "cases.waiting", "message_text_kind_form"),
        ("language", "wba", "message_text_language_known"),
        ("version", 3, "message_text_in_order"),
    ],
)
async def test_the_database_keeps_what_words_may_be(conn, column, value, constraint):
    await db.set_facts(conn, ALFA)
    facts = {"kind": "person.turn", "language": "es", "version": 1, "words": "Hola"}
    with pytest.raises(IntegrityError, match=constraint):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.message_text (text_id, partner_id, kind, language, version,"
                    " words, effective_from, proposed_by, proposed_at) VALUES (uuidv7(), :partner,"
                    " :kind, :language, :version, :words, '2026-01-01', :actor, now())"
                ),
                {"partner": ALFA.partner_id, "actor": ALFA.actor_id, **facts, column: value},
            )


async def test_nobody_else_reads_own_words_through_the_door(conn):
    await db.set_facts(conn, MESSENGER)
    assert await own_texts.words_of(conn, [clock.new_id()]) == {}
