"""Blocked is only what people have decided; a match never tells that somebody is assisted."""

from datetime import date

import msgspec
import pytest

from cbi.overlap import FLOOR, months_of
from cbi.own import Wanted
from tests.cbi.overlapping import AUGUST, JULY, OCTOBER, agreed, promised
from tests.cbi.test_check import checked, light
from tests.cbi.world import (
    ALFA,
    BETA,
    GAMA,
    again,
    family,
    judged,
    programme_of,
    registered,
)

MPCA = Wanted(assistance="mpca", months=months_of(AUGUST, 1))


async def assisted(conn, seed: int, months: int | None = 3) -> None:
    """ALFA has registered and enrolled the family from July on."""
    receipt = await registered(conn, family(seed))
    if months is not None:
        await promised(
            conn, await programme_of(conn), receipt.household_id, first=JULY, months=months
        )


async def ours(conn, seed: int, verdict: str | None, who=BETA) -> dict:
    """Register the family a second time, as ours; returns its form under our reference."""
    raw = again(family(seed))
    (flag,) = (await registered(conn, raw, who)).flags
    if verdict is not None:
        await judged(conn, flag.case_id, verdict)
    return raw


async def answer(conn, raw, *, who=BETA, wanted: Wanted | None = MPCA):
    return (await checked(conn, raw, who=who, wanted=wanted)).households[0]


async def test_a_family_that_is_decided_to_be_assisted_is_blocked_until_it_ends(conn):
    await assisted(conn, 1)
    told = await answer(conn, await ours(conn, 1, "same_household"))
    assert (told.status, told.reason, told.until) == ("blocked", "assisted", OCTOBER)
    assert told.contact == FLOOR.contact
    # Whom it is from, nobody says; that there is another registration is known since the decision.
    assert "ALFA" not in msgspec.json.encode([told.contact, told.says]).decode()


async def test_the_coordination_of_the_agreed_rules_is_asked_and_its_cool_down_counts(conn):
    await agreed(conn, contact="coord@gtrm.example")
    await assisted(conn, 1)
    told = await answer(conn, await ours(conn, 1, "same_household"))
    assert told.status == "blocked"
    assert told.contact == "coord@gtrm.example"
    assert told.until >= OCTOBER


async def test_an_end_that_is_not_known_is_not_told(conn):
    receipt = await registered(conn, family(1))
    await promised(conn, await programme_of(conn), receipt.household_id)
    told = await answer(conn, await ours(conn, 1, "same_household"))
    assert (told.status, told.until) == ("blocked", None)


async def test_without_months_nobody_is_blocked(conn):
    await assisted(conn, 1)
    told = await answer(conn, await ours(conn, 1, "same_household"), wanted=None)
    assert (told.status, told.reason) == ("review", "possible_match")


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(assistance="mpca", months=months_of(date(2027, 7, 1), 2)),
        Wanted(assistance="health", months=months_of(AUGUST, 1)),
    ],
)
async def test_other_months_and_other_assistance_block_nothing(conn, wanted):
    await assisted(conn, 1)
    told = await answer(conn, await ours(conn, 1, "same_household"), wanted=wanted)
    assert (told.status, told.until) == ("review", None)


@pytest.mark.parametrize("is_registered", [True, False])
async def test_an_undecided_match_tells_nothing_of_what_the_family_has(conn, is_registered):
    """One of two families is assisted; to whoever only matches them they look alike."""
    shown = []
    for seed, months in ((1, 3), (2, None)):
        await assisted(conn, seed, months)
        raw = await ours(conn, seed, None) if is_registered else light(again(family(seed)))
        told = await answer(conn, raw)
        assert told.status == "review"
        shown.append(msgspec.structs.replace(told, reference=""))
    assert shown[0] == shown[1]


async def test_a_strong_match_with_an_assisted_family_is_not_blocked_by_anothers_reference(conn):
    await assisted(conn, 1)
    theirs = await ours(conn, 1, "same_household")
    for who, raw in ((GAMA, theirs), (BETA, theirs | {"reference": "R-unknown"})):
        told = await answer(conn, raw, who=who)
        assert (told.status, told.until) == ("review", None)


async def test_a_reference_alone_opens_nothing(conn):
    """Who sends other people under a reference isn't told what the reference's family has."""
    await assisted(conn, 1)
    raw = await ours(conn, 1, "same_household")
    stranger = family(77) | {"reference": raw["reference"]}
    told = await answer(conn, stranger)
    assert (told.status, told.until, told.contact) == ("clear", None, "")


async def test_what_one_has_promised_oneself_blocks_nothing(conn):
    await assisted(conn, 1)
    told = await answer(conn, family(1), who=ALFA)
    assert (told.status, told.matches) == ("clear", ())


async def test_ones_own_registration_is_no_match_and_the_others_judged_apart_are_none(conn):
    await assisted(conn, 1)
    raw = await ours(conn, 1, "different")
    told = await answer(conn, raw)
    assert (told.status, told.matches) == ("clear", ())
    # Under another reference it is somebody new, of whom nothing is decided.
    assert (await answer(conn, light(raw))).status == "review"
