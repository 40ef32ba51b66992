"""What can still be read after an erasure, with every key that is left in the database."""

import re
from datetime import timedelta
from typing import get_args

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from api import db
from cbi import lodge
from cbi.appeal_refusal import StatementErased
from cbi.appeals import read_statement
from cbi.disbursement import CancelledBecause
from cbi.eligible import OverriddenBecause
from cbi.refusal import IdentityErased, PaymentsPending
from cbi.vault import Broken, WrappedKey, open_bytes
from ledger.violation import constraint_of
from tests.cbi.appealing import REVIEWER, SAID, decided, lodged, slip_of, taken, who
from tests.cbi.events import (
    amended,
    day,
    erased,
    happened_to,
    joined,
    merged,
    of_their_own,
    parted,
    standing,
    withdrawn,
)
from tests.cbi.world import (
    ALFA,
    AT,
    DESK,
    approved,
    enrolled,
    family,
    opened,
    programme_of,
    registered,
)

NOTE = "She left him."
# Every table with something sealed about people: the kind of message, and whose it is.
SEALED = {
    "household": ("household", "household_id", "sealed"),
    "household_version": ("household", "household_id", "sealed"),
    "person": ("person", "person_id", "sealed"),
    "person_version": ("person", "person_id", "sealed"),
    "specific_need": ("needs", "person_id", "sealed"),
    "household_event": ("event", "event_id", "note"),
    "appeal": ("appeal", "appeal_id", "sealed"),
}


async def readable(own) -> str:
    """Everything that somebody reads who has the whole database and the sealing key."""
    keys, found = [], []
    async with own.owner.connect() as conn:
        for table, owner in (("data_key", "household_id"), ("appeal_key", "appeal_id")):
            rows = await conn.execute(text(f"SELECT {owner}, kek_id, wrapped FROM cbi.{table}"))
            for owner_id, kek_id, wrapped in rows:
                key = WrappedKey(kek_id=kek_id, wrapped=bytes(wrapped))
                keys.append(DESK.vault.unwrap(key, owner_id))
        for table, (kind, owner, column) in SEALED.items():
            rows = await conn.execute(text(f"SELECT {owner}, {column} FROM cbi.{table}"))
            found += [(kind, owner_id, bytes(sealed or b"")) for owner_id, sealed in rows]
    plain = [opened_by_any(keys, *each) for each in found]
    return "\n".join(plain)


def opened_by_any(keys, kind, owner_id, sealed) -> str:
    for key in keys:
        try:
            return open_bytes(key, sealed, kind=kind, owner=owner_id).decode()
        except Broken:
            continue
    return ""


def named(raw, places) -> list[str]:
    """A number of each of these persons that nobody else of the world has."""
    return [raw["persons"][place]["documents"][0]["number"] for place in places]


async def test_erasing_who_parted_reaches_what_the_old_household_keeps_of_them(own):
    raw = family(701, size=4)
    for person in raw["persons"]:
        person["specific_needs"] = ["disability"]
    apart, staying = named(raw, (2, 3)), named(raw, (0, 1))
    async with own.begin() as conn:
        old = (await registered(conn, raw)).household_id
        raw["persons"][2]["preferred_name"] = "Otra"
        await amended(conn, old, raw)
        form = of_their_own(raw, (2, 3), 702)
        new = (await parted(conn, old, form, days=2, note=NOTE)).household_id
    before = await readable(own)
    assert all(before.count(each) > 1 for each in apart)
    assert NOTE in before
    async with own.begin() as conn:
        await withdrawn(conn, new, "registration", days=3)
        await erased(conn, new, days=4)
    after = await readable(own)
    assert not [each for each in (*apart, NOTE) if each in after]
    assert all(each in after for each in staying)
    assert after.count("disability") == len(staying)
    # Whom it kept goes on, and numbers nobody anew.
    async with own.begin() as conn:
        await joined(conn, old, family(703, size=2)["persons"][1:], days=5)
        assert (await standing(conn, old)).size == 3
        assert [kind for _, kind, *_ in await happened_to(conn, old)][-1] == "joined"


async def test_erasing_reaches_back_through_every_household_that_a_person_was_of(own):
    raw = family(704, size=4)
    async with own.begin() as conn:
        first = (await registered(conn, raw)).household_id
        middle_form = of_their_own(raw, (1, 2, 3), 705)
        middle = (await parted(conn, first, middle_form)).household_id
        last_form = of_their_own(middle_form, (2,), 706)
        last = (await parted(conn, middle, last_form, days=2)).household_id
        await withdrawn(conn, last, "registration", days=3)
        await erased(conn, last, days=4)
    after = await readable(own)
    assert named(raw, (3,))[0] not in after
    assert all(each in after for each in named(raw, (0, 1, 2)))


async def test_erasing_a_household_erases_those_that_went_on_as_it(own):
    ours, theirs = family(707, size=2), family(708, size=2)
    async with own.begin() as conn:
        one, other = [(await registered(conn, each)).household_id for each in (ours, theirs)]
        await merged(conn, one, other)
        await withdrawn(conn, one, "registration", days=2)
        await erased(conn, one, days=3)
    after = await readable(own)
    assert not [each for each in named(ours, (0, 1)) + named(theirs, (0, 1)) if each in after]
    async with own.begin() as conn:
        with pytest.raises(IdentityErased):
            await erased(conn, other, days=4)


async def test_a_household_is_not_erased_while_one_that_went_on_as_it_is_owed_money(conn):
    programme = await programme_of(conn)
    one, other = [(await registered(conn, family(seed))).household_id for seed in (709, 710)]
    await enrolled(conn, programme, other)
    await approved(conn, (await opened(conn, programme)).round_id)
    await merged(conn, one, other)
    await withdrawn(conn, one, "registration", days=2)
    with pytest.raises(PaymentsPending):
        await erased(conn, one, days=3)


async def test_what_a_household_said_in_an_appeal_is_erased_with_it(own):
    async with own.begin() as conn:
        one, other = [(await registered(conn, family(seed))).household_id for seed in (711, 712)]
        appeals = []
        for household_id in (one, other):
            printed = await slip_of(conn, household_id)
            appeals.append((await lodged(conn, printed.token)).appeal_id)
    assert (await readable(own)).count(SAID) == 2
    async with own.begin() as conn:
        await withdrawn(conn, one, "registration")
        await erased(conn, one)
    assert (await readable(own)).count(SAID) == 1
    async with own.begin(REVIEWER) as conn:
        await taken(conn, appeals[0])
        with pytest.raises(StatementErased):
            await read_statement(conn, appeals[0], vault=DESK.vault, who=who(REVIEWER))


async def test_what_was_said_is_erased_some_time_after_the_appeal_ended(own):
    async with own.begin() as conn:
        ended, open_ = [
            (await lodged(conn, (await slip_of(conn, home)).token)).appeal_id
            for home in [(await registered(conn, family(seed))).household_id for seed in (713, 714)]
        ]
        await taken(conn, ended)
        await decided(conn, ended, "upheld")
    for actor, days, left in ((ALFA, 9, 2), (db.WORKER, -1, 2), (db.WORKER, 9, 1)):
        async with own.begin(actor) as conn:
            await lodge.erase_decided(conn, before=AT + timedelta(days=days))
        assert (await readable(own)).count(SAID) == left
    async with own.owner.connect() as conn:
        rows = await conn.scalars(text("SELECT appeal_id FROM cbi.appeal_key"))
        assert rows.all() == [open_]


async def test_nobody_empties_what_is_sealed_but_the_door(own):
    raw = family(715, size=2)
    async with own.begin() as conn:
        one = (await registered(conn, raw)).household_id
        raw["persons"][0]["preferred_name"] = "Otra"
        await amended(conn, one, raw)
    for table, column in (("person", "sealed"), ("person_version", "sealed")):
        async with own.owner.connect() as conn:
            with pytest.raises(IntegrityError) as refused:
                await conn.execute(text(f"UPDATE cbi.{table} SET {column} = ''"))
            assert constraint_of(refused.value) in {"append_only", "person_by_event"}
    async with own.owner.connect() as conn:
        await conn.execute(text("SET ROLE cbi_door"))
        with pytest.raises(IntegrityError):
            await conn.execute(text("UPDATE cbi.person_version SET sealed = 'x'"))


async def test_an_erasure_is_recorded_of_a_household_that_has_ended_only(conn):
    one = (await registered(conn, family(716))).household_id
    await db.set_facts(conn, ALFA)
    event = text("""
        INSERT INTO cbi.household_event (event_id, household_id, partner_id, version, kind, reason,
            happened_on, actor_id, at, transaction_no)
        VALUES (uuidv7(), :one, cbi.partner_id(), 2, 'erased', 'family_asked', :on,
            cbi.actor_id(), :at, 0)""")
    with pytest.raises(IntegrityError) as refused:
        async with conn.begin_nested():
            await conn.execute(event, {"one": one, "on": day(0), "at": AT})
    assert constraint_of(refused.value) == "erased_after_end"


async def test_what_people_say_of_a_family_in_the_clear_is_a_word_of_a_list(own):
    async with own.owner.connect() as conn:
        rows = await conn.execute(
            text("""
                SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
                WHERE conname IN (
                    'entitlement_cancelled_because', 'eligibility_override_because')""")
        )
        checks = {row.conname: row.definition for row in rows}
    for name, words in (
        ("entitlement_cancelled_because", get_args(CancelledBecause)),
        ("eligibility_override_because", get_args(OverriddenBecause)),
    ):
        assert set(re.findall(r"'(\w+)'", checks[name])) == set(words)
