"""A file comes in pieces, is staged and looked at, and taken or refused as its partner chooses."""

import json
from datetime import timedelta
from hashlib import sha256
from uuid import uuid4

import msgspec
import pytest

from api import aside, clock, importing
from api.check import quota_of
from api.commands.importing import bring_in
from api.sending import Declared
from cbi import uploads
from cbi.imported import KEPT_DAYS
from tests.api.house import House, registration
from tests.api.jobbing import UPLOAD, actor_of, staged, worked

CLERK = "A/registrar"
CANARY = "Zzcanario"


def faulty(**changes: object) -> dict:
    return registration(**{"ubigeo": "999999", **changes})


async def shown(house: House, path: str, who: str = CLERK) -> dict:
    answer = await house.get(path, who)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def rows_of(house: House, path: str, who: str = CLERK, **asked: str) -> list[dict]:
    found = await house.get(f"{path}/rows", who, params={"limit": "200", **asked})
    return found.json()["items"]


async def taken(house: House, path: str, take: object, who: str = CLERK) -> dict:
    answer = await house.made(f"{path}/acceptance", who, {"take": take})
    await worked(house, answer["job_id"], who)
    return await shown(house, path, who)


def counts(standing: dict) -> tuple[int, ...]:
    names = ("households", "waiting", "clear", "review", "faulty", "registered", "known")
    return tuple(standing[name] for name in names)


async def registered(house: House) -> int:
    return await house.sql("SELECT count(*) FROM cbi.household")


async def test_a_file_is_staged_and_checked_and_nobody_is_registered_before_it_is_taken(
    house: House,
):
    present = registration()
    await house.made("/v1/households", "B/registrar", present)
    again = registration(persons=present["persons"])
    before = await registered(house)
    keys = await house.sql("SELECT count(*) FROM dedup.key_entry")
    path = await staged(house, registration(), again, faulty(), registration())
    standing = await shown(house, path)
    assert (standing["state"], counts(standing)) == ("review", (4, 0, 2, 1, 1, 0, 0))
    assert await registered(house) == before
    assert await house.sql("SELECT count(*) FROM dedup.key_entry") == keys
    (review,) = await rows_of(house, path, status="review")
    assert (review["row_no"], review["matches"], review["strength"]) == (2, 1, "strong")
    (wrong,) = await rows_of(house, path, status="faulty")
    assert {fault["column"] for fault in wrong["faults"]} == {"ubigeo"}
    standing = await taken(house, path, "valid")
    assert (standing["state"], counts(standing)) == ("done", (4, 0, 2, 1, 1, 3, 0))
    assert await registered(house) == before + 3
    cases = [row["status"] for row in await rows_of(house, path)]
    assert cases == ["clear", "review", "faulty", "clear"]


async def test_all_takes_a_file_only_whole_and_rows_take_those_rows(house: House):
    path = await staged(house, registration(), faulty(), registration())
    refused = await house.post(f"{path}/acceptance", CLERK, {"take": "all"})
    assert refused.json()["type"] == "urn:cbi:problem:import-faulty"
    for unfit in ([2], [1, 9]):
        answer = await house.post(f"{path}/acceptance", CLERK, {"take": unfit})
        assert answer.status_code == 404
    standing = await taken(house, path, [3])
    assert counts(standing) == (3, 0, 2, 0, 1, 1, 0)
    whole = await staged(house, registration(), registration())
    standing = await taken(house, whole, "all")
    assert counts(standing) == (2, 0, 2, 0, 0, 2, 0)
    # Nothing of it is needed any more.
    import_id = standing["import_id"]
    kept = "SELECT count(*) FROM cbi.import_key WHERE import_id = :id"
    assert await house.sql(kept, id=import_id) == 0


async def test_what_is_decided_stays_decided_and_a_refused_file_is_erased(house: House):
    raws = (registration(), registration())
    path = await staged(house, *raws)
    refused = await house.made(f"{path}/refusal", CLERK)
    assert refused["state"] == "refused"
    for asked in ("acceptance", "refusal"):
        body = {"take": "valid"} if asked == "acceptance" else None
        answer = await house.post(f"{path}/{asked}", CLERK, body)
        assert answer.json()["type"] == "urn:cbi:problem:import-decided"
    # The same file may come again.
    other = await staged(house, *raws)
    assert other != path
    assert (await taken(house, other, "all"))["registered"] == 2


async def test_the_same_file_again_changes_nothing(house: House):
    raws = (registration(), registration())
    path = await staged(house, *raws, accept_valid=True)
    standing = await shown(house, path)
    await worked(house, standing["job_id"])
    done = await shown(house, path)
    assert (done["state"], counts(done)) == ("done", (2, 0, 2, 0, 0, 2, 0))
    before = await registered(house)
    content = json.dumps(raws).encode()
    facts = {"sha256": sha256(content).hexdigest(), "bytes": len(content), "accept_valid": True}
    again = await house.made("/v1/imports/uploads", CLERK, UPLOAD | facts)
    assert again == done
    assert await registered(house) == before


async def test_rows_that_are_there_already_are_known_and_changed_ones_a_new_version(house: House):
    one, other = registration(), registration()
    ids = [(await house.made("/v1/households", CLERK, raw))["household_id"] for raw in (one, other)]
    changed = {**other, "population_type": "in_transit"}
    raws = (one, changed, registration())
    path = await staged(house, *raws)
    assert [row["why"] for row in await rows_of(house, path)] == ["known", "changed", None]
    standing = await taken(house, path, "all")
    assert counts(standing) == (3, 0, 3, 0, 0, 1, 1)
    assert standing["changed"] == 1
    rows = await rows_of(house, path)
    assert [row["household_id"] for row in rows[:2]] == ids
    kind = "SELECT population_type FROM cbi.household WHERE household_id = :id"
    assert await house.sql(kind, id=ids[1]) == "in_transit"
    events = (await house.get(f"/v1/households/{ids[1]}/events", CLERK)).json()["items"]
    assert [event["kind"] for event in events] == ["registered", "updated"]
    # In another file the same rows are all known.
    again = await staged(house, *raws, registration())
    assert counts(await taken(house, again, "all")) == (4, 0, 4, 0, 0, 1, 3)


async def test_a_household_that_has_ended_is_not_taken_in_again(house: House):
    raw = registration()
    made = await house.made("/v1/households", CLERK, raw)
    withdrawal = {"kind": "registration", "on": str(clock.today())}
    await house.made(f"/v1/households/{made['household_id']}/withdrawals", CLERK, withdrawal)
    path = await staged(house, raw)
    (row,) = await rows_of(house, path)
    assert (row["status"], row["why"]) == ("faulty", "household_ended")
    standing = await taken(house, path, "valid")
    assert counts(standing)[4:6] == (1, 0)


async def test_a_household_twice_in_a_file_is_told_before_and_flagged_after(house: House):
    one = registration()
    twin = registration(persons=one["persons"])
    path = await staged(house, one, twin)
    checked = await rows_of(house, path)
    assert [(row["status"], row["why"]) for row in checked] == [("review", "twice_in_file")] * 2
    standing = await taken(house, path, "all")
    # As when one comes after the other: the second finds the first.
    assert counts(standing) == (2, 0, 1, 1, 0, 2, 0)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("cbi.imported.PIECE_BYTES", 1_000)
    return 1_000


async def test_an_upload_goes_on_where_it_broke_off(house: House, small_pieces: int):
    content = json.dumps([registration(), registration(), registration()]).encode()
    facts = {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
    opened = await house.made("/v1/imports/uploads", CLERK, UPLOAD | facts)
    path = f"/v1/imports/uploads/{opened['import_id']}/pieces"
    pieces = [content[at : at + small_pieces] for at in range(0, len(content), small_pieces)]
    assert (opened["state"], opened["pieces"]) == ("uploading", len(pieces))

    async def send(number: int, piece: bytes = b"") -> dict:
        answer = await house.call(
            "PUT", f"{path}/{number}", CLERK, content=piece or pieces[number - 1]
        )
        return answer.json()

    await send(len(pieces))
    there = await send(1)
    assert there["received"] == [1, len(pieces)]
    assert (await send(1))["received"] == there["received"]
    assert (await send(1, b"x" * small_pieces))["type"] == "urn:cbi:problem:piece-differs"
    assert (await send(2, b"short"))["type"] == "urn:cbi:problem:bad-value"
    assert (await send(len(pieces) + 1, b"x"))["type"] == "urn:cbi:problem:bad-value"
    again = await house.made("/v1/imports/uploads", CLERK, UPLOAD | facts)
    assert again["received"] == there["received"]
    for number in range(2, len(pieces)):
        there = await send(number)
    assert there["state"] == "staging"
    await worked(house, there["job_id"])
    assert counts(await shown(house, f"/v1/imports/{opened['import_id']}"))[:3] == (3, 0, 3)


async def test_a_file_that_is_not_what_was_announced_or_can_not_be_read_fails(house: House):
    for content, digest in (
        (b"[]", sha256(b"[] ").hexdigest()),
        (b"\x00\xff" + uuid4().bytes, None),
    ):
        facts = {"sha256": digest or sha256(content).hexdigest(), "bytes": len(content)}
        opened = await house.made("/v1/imports/uploads", CLERK, UPLOAD | facts)
        path = f"/v1/imports/uploads/{opened['import_id']}/pieces/1"
        sent = (await house.call("PUT", path, CLERK, content=content)).json()
        view = await worked(house, sent["job_id"])
        assert (view.state, view.result["reason"]) == ("failed", "file-unreadable")
        assert (await shown(house, f"/v1/imports/{opened['import_id']}"))["state"] == "failed"
        again = await house.made("/v1/imports/uploads", CLERK, UPLOAD | facts)
        assert again["import_id"] != opened["import_id"]


async def test_another_organisation_and_a_narrower_key_see_nothing_of_an_import(house: House):
    path = await staged(house, registration())
    await house.issue("A", "narrow", "registrar", area="24")
    for who in ("B/registrar", "A/narrow"):
        for asked in (path, f"{path}/rows"):
            assert (await house.get(asked, who)).status_code == 404
        refused = await house.post(f"{path}/acceptance", who, {"take": "all"})
        assert refused.status_code == 404


async def test_a_key_of_an_area_takes_nothing_outside_it(house: House):
    await house.issue("A", "northern", "registrar", area="2401")
    raws = (registration(), registration(ubigeo="150101"))
    path = await staged(house, *raws, who="A/northern")
    assert counts(await shown(house, path, "A/northern")) == (2, 0, 1, 0, 1, 0, 0)
    assert (await taken(house, path, "valid", "A/northern"))["registered"] == 1


async def test_what_nobody_took_in_for_thirty_days_is_erased(house: House):
    path = await staged(house, registration())
    (duty,) = importing.DUTIES
    now = clock.now
    for days, state in ((KEPT_DAYS - 1, "review"), (KEPT_DAYS + 1, "erased")):
        clock.now = lambda days=days: now() + timedelta(days=days)
        try:
            await duty.do(house.service)
        finally:
            clock.now = now
        assert (await shown(house, path))["state"] == state
    answer = await house.post(f"{path}/acceptance", CLERK, {"take": "all"})
    assert answer.json()["type"] == "urn:cbi:problem:import-not-ready"


async def test_nothing_of_a_file_stands_open_in_the_database(house: House):
    person = registration()["persons"][0] | {"given_names": CANARY}
    path = await staged(house, registration(persons=[person]), faulty(persons=[person]))
    import_id = path.rsplit("/", 1)[1]
    for table in ("import_piece", "import_row", "import_check", "job_chunk", "job_end"):
        found = f"SELECT count(*) FROM cbi.{table} t WHERE strpos(t::text, :word) > 0"
        for word in (CANARY, CANARY.encode().hex()):
            assert await house.sql(found, word=word) == 0, (table, word)
    me = await actor_of(house, CLERK)
    async with house.service.begin(me) as conn:
        opened = await uploads.load_import(conn, import_id)
        content = await uploads.content_of(conn, opened, vault=house.service.vault)
    assert CANARY.encode() in content


async def test_a_large_file_is_worked_on_by_a_process_of_its_own(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(aside, "LARGE_BYTES", 1)
    monkeypatch.setattr(importing, "STAGED_AT_ONCE", 3)
    monkeypatch.setattr(importing, "CHECKED_AT_ONCE", 3)
    monkeypatch.setattr(importing, "REGISTERED_AT_ONCE", 3)
    path = await staged(house, *(registration() for _ in range(7)), faulty())
    assert counts(await shown(house, path)) == (8, 0, 7, 0, 1, 0, 0)
    assert counts(await taken(house, path, "valid")) == (8, 0, 7, 0, 1, 7, 0)


async def test_staging_compares_no_more_persons_than_may_be_checked_a_day(
    house: House, monkeypatch
):
    # An organisation with which nobody agreed another number.
    await house.hire("Q", "registrar")
    who, persons = "Q/registrar", len(registration()["persons"])
    quota = quota_of(house.service.settings, clock.today())
    monkeypatch.setattr(
        "api.importing.quota_of",
        lambda *_: msgspec.structs.replace(quota, persons_per_day=persons),
    )
    path = await staged(house, registration(), registration(), who=who)
    rows = await rows_of(house, path, who)
    assert [(row["status"], row["why"]) for row in rows] == [
        ("clear", None),
        ("review", "not_compared"),
    ]
    again = await staged(house, registration(), who=who)
    assert [row["why"] for row in await rows_of(house, again, who)] == ["not_compared"]
    assert counts(await taken(house, path, "all", who))[0] == 2


async def test_masked_values_end_with_the_file_that_is_closed_before_its_time(house: House):
    born = registration()
    born["persons"][0]["birth_date"] = "31/04/1988"
    path = await staged(house, registration(), faulty(ubigeo="24010199"), born)
    early = await house.post(f"{path}/closing", CLERK)
    assert early.json()["type"] == "urn:cbi:problem:import-not-ready"
    shown_ = [fault["value"] for row in await rows_of(house, path) for fault in row["faults"]]
    assert shown_ == ["24****99", "**/**/****"]
    standing = await taken(house, path, "valid")
    import_id = standing["import_id"]
    kept = "SELECT string_agg(r::text, '') FROM cbi.import_row AS r WHERE import_id = :id"
    rows = await house.sql(kept, id=import_id)
    assert not [each for each in ("31/04", "1988", "24****99", "**/") if each in rows]
    for _ in range(2):
        closed = await house.made(f"{path}/closing", CLERK)
        assert (closed["state"], counts(closed)) == ("done", counts(standing))
    assert not [f for row in await rows_of(house, path) for f in row["faults"] if f["value"]]
    keys = "SELECT count(*) FROM cbi.import_key WHERE import_id = :id"
    assert await house.sql(keys, id=import_id) == 0


async def test_a_file_of_which_every_row_is_decided_is_erased_with_the_last(house: House):
    path = await staged(house, registration(), registration(), registration())
    standing = await taken(house, path, [1, 3])
    assert counts(standing) == (3, 0, 3, 0, 0, 2, 0)
    keys = "SELECT count(*) FROM cbi.import_key WHERE import_id = :id"
    assert await house.sql(keys, id=standing["import_id"]) == 0


async def test_the_command_closes_a_file_whose_rows_are_not_all_right(house: House):
    content = json.dumps([registration(), faulty(ubigeo="24010199")]).encode()
    declared = Declared(format="json", ubigeo_system="inei", accept_valid=True)
    keys = "SELECT count(*) FROM cbi.import_key AS k JOIN cbi.import_file AS f USING (import_id)"
    keys += " WHERE f.file_digest = :digest"
    me = await actor_of(house, CLERK)
    for closes, kept, value in ((False, 1, "24****99"), (True, 0, "24****99"), (True, 0, "")):
        brought = await bring_in(house.service, content, declared, actor=me, closes=closes)
        results = brought.rows
        assert [result.status for result in results] == ["clear", "faulty"]
        assert results[1].faults[0].value == value
        assert await house.sql(keys, digest=sha256(content).digest()) == kept
