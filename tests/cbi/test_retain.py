"""Families who leave while months promised to them run are still found, and no longer than that."""

from copy import deepcopy
from datetime import UTC, datetime

import pytest

from api import db
from cbi import retain
from cbi.disburse import load_entitlements
from cbi.identities import Candidates
from cbi.overlap_refusal import Overlap
from cbi.refusal import HouseholdEnded, OpenCase, PromisesStand
from cbi.seek import open_all
from tests.cbi.events import amended, erased, merged, of_their_own, parted, withdrawn
from tests.cbi.follow import came
from tests.cbi.overlapping import JULY, promised
from tests.cbi.test_amend_many import together
from tests.cbi.test_event_races import during
from tests.cbi.world import (
    ALFA,
    BETA,
    DESK,
    GAMA,
    again,
    approved,
    calculated,
    cancelled,
    consent,
    count,
    enrolled,
    family,
    judged,
    opened,
    programme_of,
    registered,
    released,
    rolled_back,
)

DURING = datetime(2026, 8, 1, 4, 59, tzinfo=UTC)  # still 31 July in Peru
OVER = datetime(2026, 8, 1, 5, 1, tzinfo=UTC)


async def paid_for_july(conn, raw, programme=None):
    """A family of ALFA's with a payment of July on a calculated list."""
    programme = programme or await programme_of(conn)
    one = (await registered(conn, raw)).household_id
    await enrolled(conn, programme, one)
    round_id = (await opened(conn, programme)).round_id
    await calculated(conn, round_id)
    return one, round_id


async def let_go(conn, at):
    await db.set_facts(conn, db.WORKER)
    after = None
    while (after := await retain.let_go(conn, at=at, after=after)) is not None:
        pass


def somebody_else(raw, seed):
    """A form under the same reference that tells of quite another family."""
    return family(seed, size=len(raw["persons"])) | {"reference": raw["reference"]}


@pytest.mark.parametrize("who", [ALFA, BETA])
async def test_who_withdraws_and_registers_anew_is_found_until_the_month_is_over(conn, who):
    raw = family(601)
    one, _ = await paid_for_july(conn, raw)
    await withdrawn(conn, one, "registration")
    receipt = await registered(conn, again(raw), who)
    assert receipt.status == "review"
    theirs = await programme_of(conn, who)
    with pytest.raises(OpenCase):
        await promised(conn, theirs, receipt.household_id, who, first=JULY, months=1)


@pytest.mark.parametrize(("at", "status"), [(DURING, "review"), (OVER, "clear")])
async def test_the_worker_lets_go_when_the_last_promised_month_has_ended(conn, at, status):
    raw = family(602)
    one, _ = await paid_for_july(conn, raw)
    await withdrawn(conn, one, "registration")
    await let_go(conn, at)
    assert (await registered(conn, again(raw), BETA)).status == status


async def test_a_payment_that_is_cancelled_promises_nothing_any_more(conn):
    raw = family(632)
    one, round_id = await paid_for_july(conn, raw)
    await withdrawn(conn, one, "registration")
    await db.set_facts(conn, ALFA)
    found = await conn.exec_driver_sql("SELECT entitlement_id FROM cbi.entitlement")
    await cancelled(conn, round_id, found.scalar_one())
    await let_go(conn, DURING)
    assert (await registered(conn, again(raw), BETA)).status == "clear"


async def test_months_stay_promised_when_people_find_that_it_is_the_family(conn):
    raw = family(603)
    one, _ = await paid_for_july(conn, raw)
    await withdrawn(conn, one, "registration")
    receipt = await registered(conn, again(raw), BETA)
    await judged(conn, receipt.flags[0].case_id, "same_household")
    theirs = await programme_of(conn, BETA)
    with pytest.raises(Overlap):
        await promised(conn, theirs, receipt.household_id, BETA, first=JULY, months=1)
    assert await promised(conn, theirs, receipt.household_id, BETA, first=OVER.date(), months=1)


async def test_after_the_month_nobody_is_found_and_the_family_can_be_erased(conn):
    raw = family(604)
    one, round_id = await paid_for_july(conn, raw)
    await withdrawn(conn, one, "registration")
    await db.set_facts(conn, ALFA)
    with pytest.raises(PromisesStand) as refused:
        await retain.must_be_over(conn, one, at=DURING)
    assert str(refused.value.until) == "2026-08-01"
    await let_go(conn, OVER)
    assert (await registered(conn, again(raw), BETA)).status == "clear"
    await db.set_facts(conn, ALFA)
    await retain.must_be_over(conn, one, at=OVER)
    assert round_id is not None


@pytest.mark.parametrize("agrees", [True, False])
async def test_who_is_found_for_a_month_is_not_erased_in_it_though_it_was_paid(conn, agrees):
    programme = await programme_of(conn)
    receipt = await registered(conn, family(635, duplicate_check=agrees))
    for flag in receipt.flags:
        await judged(conn, flag.case_id, "different")
    await enrolled(conn, programme, receipt.household_id)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    await released(conn, round_id)
    await db.set_facts(conn, ALFA)
    await came(conn, "delivered", await load_entitlements(conn, round_id))
    await withdrawn(conn, receipt.household_id, "registration")
    if agrees:
        with pytest.raises(PromisesStand):
            await erased(conn, receipt.household_id)
    else:
        await erased(conn, receipt.household_id)


async def test_a_family_that_was_promised_nothing_is_forgotten_at_once(conn):
    raw = family(605)
    one = (await registered(conn, raw)).household_id
    await withdrawn(conn, one, "registration")
    assert (await registered(conn, again(raw), BETA)).status == "clear"
    await erased(conn, one)


async def test_a_family_that_only_takes_the_check_back_is_found_as_long(conn):
    raw = family(606)
    one, _ = await paid_for_july(conn, raw)
    await withdrawn(conn, one, "duplicate_check")
    # A form that comes later doesn't take out what is kept.
    await amended(conn, one, raw | {"ubigeo": "240102"}, days=2)
    assert (await registered(conn, again(raw), BETA)).status == "review"


async def test_nobody_is_searched_for_who_is_only_retained(conn):
    raw = family(607)
    one, _ = await paid_for_july(conn, raw)
    await withdrawn(conn, one, "duplicate_check")
    await db.set_facts(conn, ALFA)
    opener = Candidates(conn, DESK.vault)
    assert await open_all(opener, [one]) == []
    assert len((await opener.households([one]))[0].persons) == 2


async def test_who_never_agreed_to_the_check_is_not_found_by_leaving(conn):
    raw = family(608, duplicate_check=False)
    programme = await programme_of(conn)
    receipt = await registered(conn, raw)
    await judged(conn, receipt.flags[0].case_id, "different")
    one = receipt.household_id
    await promised(conn, programme, one, first=JULY, months=1)
    await withdrawn(conn, one, "registration")
    assert (await registered(conn, again(raw, consents=family(608)["consents"]), BETA)).flags == ()


async def test_a_family_corrected_into_another_is_found_as_both(conn):
    raw = family(609)
    one, _ = await paid_for_july(conn, raw)
    other = somebody_else(raw, 610)
    await amended(conn, one, other, reason="data_error")
    for form, place in ((raw, BETA), (other, GAMA)):
        receipt = await registered(conn, again(form, reference="N-1"), place)
        assert receipt.status == "review"


async def test_documents_and_persons_taken_away_as_errors_still_find_the_family(conn):
    raw = family(611)
    one, _ = await paid_for_july(conn, raw)
    fewer = deepcopy(raw)
    fewer["persons"] = fewer["persons"][:1]
    fewer["persons"][0]["documents"] = []
    await amended(conn, one, fewer, reason="data_error")
    for place, reference in ((0, "N-1"), (1, "N-2")):
        form = family(612 + place, size=1)
        same = ("given_names", "surnames", "birth_date", "sex", "documents")
        form["persons"][0] |= {name: raw["persons"][place][name] for name in same}
        receipt = await registered(conn, form | {"reference": reference}, BETA)
        assert (receipt.status, receipt.flags[0].strength) == ("review", "strong")
    # Nobody of the household is a duplicate of himself.
    assert await count(conn, "dedup.match_case WHERE household_a = household_b") == 0


@pytest.mark.parametrize("is_promised", [True, False])
async def test_who_is_told_otherwise_by_a_changed_list_is_found_as_both(conn, is_promised):
    raw, other = family(641), family(642)
    one = (await registered(conn, raw)).household_id
    if is_promised:
        await promised(conn, await programme_of(conn), one, first=JULY, months=1)
    told = ("given_names", "surnames", "birth_date", "sex")
    changed = deepcopy(raw)
    changed["persons"][1] |= {name: other["persons"][1][name] for name in told}
    (outcome,) = await together(conn, [one], [changed], days=2)
    assert (outcome.is_changed, outcome.refusal) == (True, None)
    form = family(644, size=1)
    form["persons"][0] |= {name: raw["persons"][1][name] for name in told}
    receipt = await registered(conn, form | {"reference": "N-1"}, BETA)
    assert receipt.status == ("review" if is_promised else "clear")


@pytest.mark.parametrize("is_promised", [True, False])
async def test_a_changed_list_that_takes_the_check_back_leaves_the_family_found(conn, is_promised):
    raw = family(643)
    one = (await registered(conn, raw)).household_id
    if is_promised:
        await promised(conn, await programme_of(conn), one, first=JULY, months=1)
    later = consent("duplicate_check", granted=False) | {"given_on": "2026-03-01"}
    kept = [each for each in raw["consents"] if each["kind"] != "duplicate_check"]
    await together(conn, [one], [raw | {"consents": [*kept, later]}], days=2)
    status = (await registered(conn, again(raw), BETA)).status
    assert status == ("review" if is_promised else "clear")


async def test_a_correction_asks_nobody_again_about_what_people_have_decided(conn):
    raw = family(633)
    one, _ = await paid_for_july(conn, raw)
    theirs = await registered(conn, again(raw), BETA)
    await judged(conn, theirs.flags[0].case_id, "different")
    await amended(conn, one, somebody_else(raw, 634), reason="data_error")
    # What was told of the family then is what people have judged.
    form = again(raw, population_type="in_transit")
    receipt = await amended(conn, theirs.household_id, form, BETA, days=2)
    assert receipt.status == "clear"
    assert await count(conn, "dedup.match_case") == 1


async def test_a_correction_of_who_is_promised_nothing_keeps_nobody(conn):
    raw = family(615)
    one = (await registered(conn, raw)).household_id
    await amended(conn, one, somebody_else(raw, 616), reason="data_error")
    assert (await registered(conn, again(raw), BETA)).status == "clear"


async def test_after_the_month_who_was_replaced_is_found_no_more_and_who_is_there_is(conn):
    raw = family(617)
    programme = await programme_of(conn)
    one = (await registered(conn, raw)).household_id
    await promised(conn, programme, one, first=JULY, months=1)
    other = somebody_else(raw, 618)
    await amended(conn, one, other, reason="data_error")
    await let_go(conn, OVER)
    assert (await registered(conn, again(raw, reference="N-1"), BETA)).status == "clear"
    assert (await registered(conn, again(other, reference="N-2"), BETA)).status == "review"


async def test_a_part_of_a_family_that_withdraws_is_found_for_what_the_whole_was_promised(conn):
    raw = family(619, size=3)
    one, _ = await paid_for_july(conn, raw)
    form = of_their_own(raw, (2,), 620)
    part = (await parted(conn, one, form)).household_id
    await withdrawn(conn, part, "registration", days=2)
    async with rolled_back(conn):
        assert (await registered(conn, again(form), BETA)).status == "review"
    await let_go(conn, OVER)
    assert (await registered(conn, again(form), BETA)).status == "clear"


async def test_a_part_that_declines_the_check_is_found_in_the_household_it_left(conn):
    raw = family(621, size=3)
    one, _ = await paid_for_july(conn, raw)
    form = of_their_own(raw, (2,), 622)
    form |= {"consents": [consent("registration"), consent("duplicate_check", granted=False)]}
    await parted(conn, one, form)
    other = of_their_own(raw, (2,), 623)
    assert (await registered(conn, other, BETA)).status == "review"


async def test_what_a_household_went_on_from_keeps_it_found(conn):
    raw, more = family(624), family(625)
    one, _ = await paid_for_july(conn, raw)
    kept = (await registered(conn, more)).household_id
    await merged(conn, kept, one)
    await withdrawn(conn, kept, "registration", days=2)
    assert (await registered(conn, again(raw), BETA)).status == "review"


async def test_who_withdraws_is_ended_for_everything_else(conn):
    raw = family(626)
    one, _ = await paid_for_july(conn, raw)
    await withdrawn(conn, one, "registration")
    with pytest.raises(HouseholdEnded):
        await amended(conn, one, raw | {"ubigeo": "240102"}, days=2)
    with pytest.raises(HouseholdEnded):
        await enrolled(conn, await programme_of(conn), one)


async def test_only_the_worker_lets_go_and_nobody_asks_for_another_household(conn):
    raw = family(627)
    one, _ = await paid_for_july(conn, raw)
    await withdrawn(conn, one, "registration")
    await db.set_facts(conn, BETA)
    assert await retain.let_go(conn, at=OVER) is None
    assert await retain.retained_until(conn, one, at=DURING) is None
    await db.set_facts(conn, ALFA)
    assert str(await retain.retained_until(conn, one, at=DURING)) == "2026-08-01"


async def test_who_registers_while_the_family_withdraws_finds_it(own):
    raw = family(628)
    async with own.begin() as conn:
        one, _ = await paid_for_july(conn, raw)
    async with own.begin() as conn:
        await withdrawn(conn, one, "registration")
        async with own.begin() as other:
            receipt = await registered(other, again(raw), BETA)
    assert receipt.status == "review"
    async with own.begin() as conn:
        assert (await registered(conn, again(raw, reference="N-1"), GAMA)).status == "review"


async def test_who_registers_whom_an_error_takes_away_waits_and_finds(own):
    raw = family(629)
    async with own.begin() as conn:
        one, _ = await paid_for_july(conn, raw)
    receipt = await during(
        own,
        lambda conn: amended(conn, one, somebody_else(raw, 630), reason="data_error"),
        lambda conn: registered(conn, again(raw), BETA),
    )
    assert receipt.status == "review"


async def test_a_withdrawal_waits_for_a_list_that_is_being_calculated(own):
    raw = family(631)
    async with own.begin() as conn:
        programme = await programme_of(conn)
        one = (await registered(conn, raw)).household_id
        await enrolled(conn, programme, one)
        round_id = (await opened(conn, programme)).round_id
    assert not isinstance(
        await during(
            own,
            lambda conn: calculated(conn, round_id),
            lambda conn: withdrawn(conn, one, "registration"),
        ),
        BaseException,
    )
    async with own.begin() as conn:
        assert (await registered(conn, again(raw), BETA)).status == "review"
