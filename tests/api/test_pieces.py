"""A round of several chunks over HTTP: the same call goes on until it is done."""

import pytest

from tests.api.house import SIGNERS, House, open_house, open_round, own_database

PAYMENTS = 5


@pytest.fixture(scope="module")
async def patient(postgres, tmp_path_factory):
    """A service that does one piece a call, of two payments at most."""
    folder = str(tmp_path_factory.mktemp("patient"))
    small = {"CBI_CHUNK_PAYMENTS": "2", "CBI_WORK_SECONDS": "0"}
    async with (
        own_database(postgres) as name,
        open_house(postgres, name, folder, **small) as opened,
    ):
        yield opened


async def to_the_end(house: House, path: str, who: str, *, key: str = "") -> tuple[list, object]:
    """Repeat one call until it is done; return what was told on the way, and the answer."""
    told = []
    while (answer := await house.post(path, who, key=key)).status_code == 202:
        assert "Idempotency-Replayed" not in answer.headers
        told.append(answer.json())
    assert answer.status_code == 201, answer.text
    return told, answer


async def signed(house: House, path: str) -> None:
    """Sign three times; the list is checked page by page before the first."""
    told, _ = await to_the_end(house, f"{path}/prepare", "A/first", key=f"prepare {path}")
    assert [one["step"] for one in told] == ["checked"] * len(told)
    shown = (await house.get(path, "A/finance")).json()["checked"]
    assert len(told) == (shown["payments"] - 1) // 2
    for step, signer in zip(("review", "approve"), SIGNERS[1:], strict=False):
        await house.made(f"{path}/{step}", f"A/{signer}")


async def test_a_large_round_takes_several_calls_and_ends_as_a_small_one(patient: House):
    opened = await open_round(patient, households=PAYMENTS)
    told, answer = await to_the_end(patient, f"{opened.path}/calculate", "A/first", key="calc")
    assert [one["done"] for one in told] == [2, 4]
    assert told[0] == {
        "step": "calculated",
        "chunks_done": 1,
        "chunks": 3,
        "done": 2,
        "of": PAYMENTS,
        "next": "call again",
    }
    assert answer.json()["signed"]["payments"] == PAYMENTS
    assert answer.json()["left_out"] == {}
    await signed(patient, opened.path)
    told, answer = await to_the_end(patient, f"{opened.path}/release", "A/fourth", key="pay")
    assert [(one["chunks_done"], one["chunks"], one["done"]) for one in told] == [
        *((0, 3, 0), (1, 3, 2), (2, 3, 4), (3, 3, 5))
    ]
    # The answer of the last piece is the request's, and none before it.
    again = await patient.post(f"{opened.path}/release", "A/fourth", key="pay")
    assert (again.status_code, again.json()) == (201, answer.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    refused = await patient.post(f"{opened.path}/release", "A/fourth")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:cbi:problem:step-done")


async def test_a_file_of_several_parts_is_handed_out_part_by_part_after_the_release(
    patient: House,
):
    opened = await open_round(patient, households=3)
    file = f"{opened.path}/payment-file"
    await to_the_end(patient, f"{opened.path}/calculate", "A/first")
    await signed(patient, opened.path)
    view = await patient.get(opened.path, "A/finance")
    assert view.json()["reserving"] is None
    for _ in range(2):
        assert (await patient.post(f"{opened.path}/release", "A/fourth")).status_code == 202
        early = await patient.get(f"{file}?part=1", "A/finance")
        assert (early.status_code, early.json()["type"]) == (409, "urn:cbi:problem:not-released")
    reserving = (await patient.get(opened.path, "A/finance")).json()["reserving"]
    assert (reserving["payments"], reserving["chunks"], reserving["reserved_payments"]) == (3, 1, 2)
    await to_the_end(patient, f"{opened.path}/release", "A/fourth")
    for asked in ("", "?part=3"):
        refused = await patient.get(f"{file}{asked}", "A/finance")
        assert (refused.status_code, refused.json()["parts"]) == (422, 2)
        assert refused.json()["type"] == "urn:cbi:problem:which-part"
    parts = [await patient.get(f"{file}?part={number}", "A/finance") for number in (1, 2)]
    assert [part.content.count(b"<CdtTrfTxInf>") for part in parts] == [2, 1]
    assert {part.headers["X-File-Parts"] for part in parts} == {"2"}
    assert len({part.headers["Content-Disposition"] for part in parts}) == 2
    assert (await patient.get(f"{file}?part=0", "A/finance")).status_code == 400


async def test_a_family_taken_off_between_two_calls_is_not_paid(patient: House):
    opened = await open_round(patient, households=PAYMENTS)
    await to_the_end(patient, f"{opened.path}/calculate", "A/first")
    await signed(patient, opened.path)
    for _ in range(2):
        await patient.post(f"{opened.path}/release", "A/fourth")
    payments = (await patient.get(f"{opened.path}/payments", "A/first")).json()["items"]
    first, *_, last = (each["payment_id"] for each in payments)
    off = f"{opened.path}/cancellations"
    settled = await patient.post(off, "A/first", {"entitlement_id": first, "because": "moved_away"})
    assert (settled.status_code, settled.json()["type"]) == (
        409,
        "urn:cbi:problem:entitlement-settled",
    )
    await patient.made(off, "A/first", {"entitlement_id": last, "because": "moved_away"})
    halfway = (await patient.get(f"{opened.path}/report", "A/finance")).json()
    assert (halfway["ties"], halfway["instructed"]["payments"]) == (True, 2)
    _, answer = await to_the_end(patient, f"{opened.path}/release", "A/fourth")
    assert answer.json()["payments"] == PAYMENTS - 1
    report = (await patient.get(f"{opened.path}/report", "A/finance")).json()
    assert report["ties"]


async def test_who_was_left_out_is_listed_page_by_page(patient: House):
    opened = await open_round(patient, households=3)
    lost = opened.household_ids[0]
    await patient.sql(f"DELETE FROM cbi.data_key WHERE household_id = '{lost}' RETURNING 1")
    _, answer = await to_the_end(patient, f"{opened.path}/calculate", "A/first")
    assert answer.json()["left_out"] == {lost: ["erased"]}
    listed = await patient.get(f"{opened.path}/left-out?limit=1", "A/finance")
    (one,) = listed.json()["items"]
    assert (one["household_id"], one["reasons"]) == (lost, ["erased"])
    foreign = await patient.get(f"{opened.path}/left-out", "B/finance")
    assert foreign.status_code == 404


async def test_a_round_that_fits_one_chunk_is_released_by_one_call(patient: House):
    opened = await open_round(patient, households=2)
    for step, signer in zip(
        ("calculate", "prepare", "review", "approve", "release"), ("first", *SIGNERS), strict=True
    ):
        await patient.made(f"{opened.path}/{step}", f"A/{signer}")
    file = await patient.get(f"{opened.path}/payment-file", "A/finance")
    assert (file.status_code, file.headers["X-File-Parts"]) == (200, "1")


async def test_the_pages_of_the_service_tell_of_202(patient: House):
    described = (await patient.get("/docs/openapi.json", "")).json()["paths"]
    for step in ("calculate", "prepare", "check", "release"):
        answers = described[f"/v1/rounds/{{round_id}}/{step}"]["post"]["responses"]
        assert {"201", "202"} <= set(answers)
    assert "202" not in described["/v1/rounds/{round_id}/review"]["post"]["responses"]
