"""Profiles: every fault at once, versions that stay, and which one a programme uses."""

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import profiles
from cbi.fault import has_errors
from cbi.payment_files.profile import check
from cbi.profiles import SHIPPED, Choice
from cbi.refusal import BadValue, InvalidProfile
from tests.cbi.profiled import a_profile, profiled
from tests.cbi.world import ALFA, AT, BETA, programme_of, staff

EXAMPLES = {"example-bank-fixed", "example-wallet-csv", "example-agent-xlsx"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)


@pytest.mark.parametrize("code", sorted(SHIPPED))
def test_what_is_shipped_has_no_fault_and_its_file_says_its_code(code):
    assert SHIPPED[code].code == code
    assert check(a_profile(code))[1] == ()


def test_there_are_three_examples_and_each_says_that_it_is_one():
    assert {code for code, each in SHIPPED.items() if profiles.is_example(each)} == EXAMPLES
    assert all(SHIPPED[code].name.startswith("EXAMPLE") for code in EXAMPLES)


def test_every_fault_of_a_profile_is_told_at_once_with_its_path():
    raw = a_profile("example-bank-fixed", code="Bad Code", claim_days=0, settled_by="hope")
    raw["columns"] = [
        {"source": "name"},
        {"source": "account", "width": 3},
        {"source": "total", "width": 20},
        {"source": "constant", "constant": "ñ", "width": 1},
        {"source": "amount", "width": True, "colour": "red"},
    ]
    with pytest.raises(InvalidProfile) as refused:
        profiles.read(raw)
    assert {(fault.path, fault.code) for fault in refused.value.faults} == {
        ("code", "profile_code"),
        ("claim_days", "number_wanted"),
        ("settled_by", "code_unknown"),
        ("columns", "profile_needs"),
        ("columns[0].width", "field_missing"),
        ("columns[1].width", "profile_narrow"),
        ("columns[2].source", "code_unknown"),
        ("columns[3].constant", "profile_charset"),
        ("columns[4].width", "number_wanted"),
        ("columns[4].colour", "field_unknown"),
    }


@pytest.mark.parametrize(
    ("like", "changes", "code"),
    [
        ("pain.001.001.03", {"instruments": ["mobile_wallet"]}, "profile_pain_pays"),
        ("pain.001.001.03", {"columns": [{"source": "name"}]}, "profile_pain_columns"),
        ("example-wallet-csv", {"split_by": "branch"}, "profile_branch"),
        ("example-wallet-csv", {"instruments": ["otc_cash"]}, "profile_needs"),
        ("example-wallet-csv", {"instruments": ["mobile_wallet"] * 2}, "profile_twice"),
        ("example-wallet-csv", {"version": 7}, "field_unknown"),
        ("example-wallet-csv", {"code": "example-wallet-csv"}, "profile_reserved"),
        ("example-wallet-csv", {"payments_per_file_max": 1}, "number_wanted"),
    ],
)
def test_a_profile_that_can_not_work_is_refused(like, changes, code):
    with pytest.raises(InvalidProfile) as refused:
        profiles.read(a_profile(like, **changes))
    assert code in {fault.code for fault in refused.value.faults}


@given(raw=JSON, key=st.sampled_from(sorted(a_profile())), place=st.integers(0, 8))
def test_any_json_is_a_profile_or_refused(raw, key, place):
    check(raw)
    mutant = a_profile("example-bank-fixed") | {key: raw}
    check(mutant)
    column = deepcopy(a_profile("example-bank-fixed"))
    column["columns"][place % 7][key] = raw
    read, faults = check(column)
    assert has_errors(faults) or read.columns


async def test_a_programme_without_a_choice_uses_pain_001_001_09(conn):
    programme = await programme_of(conn)
    found = await profiles.load_profile(conn, programme.programme_id)
    assert (found.code, found.version, found.settled_by, found.claim_days) == (
        "pain.001.001.09",
        0,
        "statement",
        None,
    )


async def test_the_newest_choice_counts_and_older_versions_stay(conn):
    programme = await programme_of(conn)
    raw = a_profile("example-wallet-csv")
    first = await profiled(conn, programme, raw)
    assert await profiled(conn, programme, raw) == first
    second = await profiled(conn, programme, raw | {"claim_days": 60})
    assert (first.version, second.version) == (1, 2)
    assert await profiles.load_profile(conn, programme.programme_id) == second
    assert await profiles.load_version(conn, "ours", 1, partner_id=ALFA.partner_id) == first
    assert (second.settled_by, second.claim_days) == ("report", 60)
    listed = await profiles.list_profiles(conn, partner_id=ALFA.partner_id, after=None, limit=50)
    assert [each.ref for each in listed] == [
        "example-agent-xlsx@00000",
        "example-bank-fixed@00000",
        "example-wallet-csv@00000",
        "ours@00001",
        "ours@00002",
        "pain.001.001.03@00000",
        "pain.001.001.09@00000",
    ]
    rest = await profiles.list_profiles(
        conn, partner_id=ALFA.partner_id, after="ours@00001", limit=1
    )
    assert [each.ref for each in rest] == ["ours@00002"]


async def test_an_auditor_who_sees_every_organisation_is_told_the_profile_of_the_programme(conn):
    ours, theirs = await programme_of(conn), await programme_of(conn, BETA)
    await profiled(conn, ours, a_profile("example-wallet-csv"))
    await profiled(conn, theirs, a_profile("example-agent-xlsx"), BETA)
    await db.set_facts(conn, staff(9, roles={"auditor"}))
    found = [await profiles.load_profile(conn, one.programme_id) for one in (ours, theirs)]
    assert [each.kind for each in found] == ["csv", "xlsx"]
    listed = await profiles.list_profiles(conn, partner_id=ALFA.partner_id, after="ours", limit=1)
    assert listed[0].profile == found[0]


async def test_a_foreign_an_unknown_and_an_example_profile_are_not_chosen(conn):
    programme = await programme_of(conn)
    await profiled(conn, await programme_of(conn, BETA), a_profile(code="theirs"), BETA)
    await db.set_facts(conn, ALFA)
    for code, version in (("theirs", 1), ("example-wallet-csv", 0), ("ours", 1), ("none", 0)):
        choice = Choice(
            programme_id=programme.programme_id,
            code=code,
            version=version,
            since=AT,
            actor_id=ALFA.actor_id,
        )
        with pytest.raises(BadValue):
            await profiles.choose(conn, choice, partner_id=ALFA.partner_id)


@pytest.mark.parametrize("table", ["fsp_profile", "programme_profile"])
async def test_profiles_and_choices_are_history(conn, table):
    await profiled(conn, await programme_of(conn), a_profile())
    for statement in (
        f"DELETE FROM cbi.{table}",
        f"UPDATE cbi.{table} SET partner_id = partner_id",
    ):
        with pytest.raises(DBAPIError, match=r"permission denied|append-only"):
            async with conn.begin_nested():
                await conn.execute(text(statement))


def test_the_digest_is_of_the_content_and_not_of_the_version():
    raw = a_profile()
    read = profiles.read(json.loads(json.dumps(raw)))
    assert profiles.digest(profiles.versioned(read, 3)) == profiles.digest(read)
