"""Whatever is sent to a POST route, the service answers, and never with a fault of its own."""

import json
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import access, clock
from ledger.formats.layout import example
from tests.api import appealing, granting, overlaps
from tests.api.happening import bodies as of_events
from tests.api.house import House, new_round, open_case, programme, registration
from tests.api.jobbing import JOB_BODIES, JOB_IDS
from tests.api.terming import VALID
from tests.cbi.profiled import a_profile
from tests.cbi.submitted import submission

QUERIES = {
    "/v1/imports": "?format={}&ubigeo_system=inei",
    "/v1/imports/kobo": "?ubigeo_system=inei",
    "/v1/check/files": f"?format={{}}&purpose=before_payment&list={UUID(int=15)}",
}
EDGES = [
    None,
    "",
    "\0",
    "a\0b",
    "\ud800",
    "\u202e",
    "x" * 5000,
    0,
    -1,
    2**63,
    10**40,
    0.1,
    -0.0,
    True,
    [],
    {},
    [[]],
    "0001-01-01",
    "9999-12-31",
    "2026-02-30",
    "00000000-0000-0000-0000-000000000000",
    "NaN",
    "999999999999.9999",
    "0",
]
values = st.recursive(
    st.sampled_from(EDGES) | st.text(max_size=20) | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


class Bodies(msgspec.Struct, frozen=True):
    """For each POST route its address and a body that it takes."""

    house: House
    valid: dict[str, tuple[str, object]]


DAY = "2026-01-01"
SOLD = {"sold": "1.00", "sold_currency": "PEN", "bought": "0.25", "bought_currency": "USD"}
MONEY = {
    "/v1/programmes/{programme_id}/funds": {
        "deposit_id": str(UUID(int=3)),
        "amount": "1.00",
        "on": DAY,
    },
    "/v1/programmes/{programme_id}/allotments": {
        "allotment_id": str(UUID(int=7)),
        "grant": "G-1",
        "amount": "1.00",
        "on": DAY,
    },
    "/v1/programmes/{programme_id}/exchanges": {
        "reference": "TC-1",
        **SOLD,
        "rate": "0.25",
        "rate_source": "SBS",
        "rate_on": DAY,
        "on": DAY,
        "received": "0.25",
    },
    "/v1/programmes/{programme_id}/fees": {
        "fee_id": str(UUID(int=8)),
        "amount": "1.00",
        "on": DAY,
    },
    "/v1/ledger/periods": {"until": "2025-12-31"},
}


CHECKING = {
    "/v1/lists": {"name": "L", "purpose": "before_payment", "until": str(clock.today())},
    "/v1/rounds/{round_id}/check": {},
    "/v1/followups/{followup_id}/check": {},
    "/v1/check/files": {},
    "/v1/check/quotas": {
        "partner_id": str(UUID(int=16)),
        "persons_per_day": 1,
        "until": str(clock.today()),
    },
}
BREAKS = {
    "/v1/breaks/{break_id}/remarks": {"note": "x", "what": "take"},
    "/v1/breaks/{break_id}/explanation": {"note": "x"},
    "/v1/breaks/{break_id}/proposal": {
        "ending": "payment",
        "note": "x",
        "payment_id": str(UUID(int=9)),
        "attempt_no": 1,
    },
    "/v1/breaks/{break_id}/confirmation": {},
    "/v1/lines/{line_id}/unmatching": {"note": "x"},
    "/v1/payments/{payment_id}/expiry": {"because": "x"},
    "/v1/payments/{payment_id}/expiry/confirmation": {},
}


def a_check(list_id: str) -> dict:
    return {"purpose": "before_payment", "list": list_id, "households": [registration()]}


STEPS = ("prepare", "review", "approve", "release")
SIGNED = (
    "/v1/rounds/{round_id}/calculate",
    *(f"/v1/rounds/{{round_id}}/{step}" for step in STEPS),
    *(f"/v1/followups/{{followup_id}}/{step}" for step in STEPS),
)


def valid_bodies(paid, changing: dict) -> dict[str, object]:
    """A body that each route takes, by its path."""
    values_path = "/v1/programmes/{programme_id}/values"
    return {
        "/v1/households": registration(),
        **of_events(changing),
        "/v1/imports": [registration()],
        "/v1/check": a_check(paid.programme_id),
        **CHECKING,
        "/v1/imports/kobo": submission(),
        "/v1/cases/{case_id}/judgements": {
            "verdict": "different",
            "reason": "x",
            "supersedes": str(UUID(int=6)),
        },
        "/v1/cases/{case_id}/assignments": {"partner": "PARTNER-A", "person": "fuzzer"},
        "/v1/case-groups/{case_id}/judgements": {"verdict": "different", "reason": "x", "size": 1},
        "/v1/programmes": programme(),
        values_path: {"effective_from": "2026-01-01", "by_size": ["1.00"]},
        **MONEY,
        "/v1/programmes/{programme_id}/profile": {"code": "pain.001.001.03", "version": 0},
        "/v1/fsp-profiles": a_profile("example-bank-fixed"),
        "/v1/fsp-profiles/preview": a_profile("example-agent-xlsx"),
        "/v1/programmes/{programme_id}/enrolments": {"household_id": paid.household_ids[0]},
        "/v1/enrolments/{enrolment_id}/closing": {},
        "/v1/rounds": new_round(paid.programme_id),
        "/v1/rounds/{round_id}/closing": {},
        "/v1/rounds/{round_id}/cancellations": {
            "entitlement_id": str(UUID(int=4)),
            "because": "other",
        },
        "/v1/rounds/{round_id}/followups": {"pays_on": DAY},
        "/v1/statements": {},
        "/v1/statement-layouts": {
            "code": "x",
            "layout": msgspec.to_builtins(example("banco-csv")),
        },
        "/v1/reconciliations": {},
        **JOB_BODIES,
        **BREAKS,
        **VALID,
        **appealing.BODIES,
        **overlaps.BODIES,
        **{
            f"/v1/rounds/{{round_id}}/{step}": {}
            for step in ("calculate", "prepare", "review", "approve", "release")
        },
        **{path: {} for path in SIGNED},
    }


def ids_of(paid, case_id, household_id) -> dict[str, object]:
    return {
        # Not one that is paid: others look at that one.
        "household_id": household_id,
        "offer_id": str(UUID(int=13)),
        "programme_id": paid.programme_id,
        "round_id": paid.round_id,
        "case_id": case_id,
        # None of these: closing a real one would change what the others try.
        "enrolment_id": str(UUID(int=5)),
        "break_id": str(UUID(int=10)),
        "line_id": str(UUID(int=11)),
        "payment_id": str(UUID(int=12)),
        "followup_id": str(UUID(int=9)),
        **JOB_IDS,
        "slip_id": str(UUID(int=13)),
        "appeal_id": str(UUID(int=14)),
        "webhook_id": str(UUID(int=15)),
        **granting.IDS,
        "uit_no": "77000",
        "cap_no": "77000",
        "text_id": str(UUID(int=16)),
        **overlaps.IDS,
    }


@pytest.fixture(scope="module")
async def bodies(house: House, paid) -> Bodies:
    roles = ("registrar", "programme", "finance", "adjudicator", "coordinator")
    await house.issue("A", "fuzzer", *roles)
    changing = registration()
    home = await house.made("/v1/households", "A/registrar", changing)
    ids = ids_of(paid, await open_case(house), home["household_id"])
    valid = valid_bodies(paid, changing)
    return Bodies(house, {path: (path.format(**ids), body) for path, body in valid.items()})


async def test_every_post_route_is_fuzzed(bodies: Bodies):
    assert set(bodies.valid) == {path for method, path in access.MAY if method == "POST"}


def changed(body: object, path: list[object], value: object) -> object:
    """The body with the value at `path` replaced."""
    if not path:
        return value
    built = json.loads(json.dumps(body))
    place = built
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return built


def paths_of(body: object) -> list[list[object]]:
    found: list[list[object]] = [[]]
    parts = (
        body.items()
        if isinstance(body, dict)
        else enumerate(body)
        if isinstance(body, list)
        else ()
    )
    for part, inner in parts:
        found += [[part, *rest] for rest in paths_of(inner)]
    return found


def sound(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


# A registration's fields at their edges are tried in tests/cbi.
BROAD = ("/v1/imports", "/v1/households", "/v1/check")
POSTS = sorted(path for method, path in access.MAY if method == "POST")


@pytest.mark.parametrize("path", POSTS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    # All is drawn before the coroutine runs: Hypothesis's own exceptions would end its runner.
    place=st.integers(0, 999),
    value=values,
    format_=st.sampled_from(["json", "ndjson", "csv", "xlsx", "kobo"]),
    key=st.sampled_from(["", "one", "two"]),
)
async def test_no_body_makes_the_service_fail(
    bodies: Bodies, path: str, place: int, value: object, format_: str, key: str
):
    where, valid = bodies.valid[path]
    places = paths_of(valid)
    body = changed(valid, places[place % len(places)], value)
    sound(
        await bodies.house.post(
            where + QUERIES.get(path, "").format(format_),
            "A/fuzzer",
            content=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            key=key,
        )
    )


@pytest.mark.parametrize("path", POSTS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(content=st.binary(max_size=200), key=st.sampled_from(["", "three"]))
async def test_no_bytes_make_the_service_fail(bodies: Bodies, path: str, content: bytes, key: str):
    where, _ = bodies.valid[path]
    query = QUERIES.get(path, "").format("csv")
    sound(await bodies.house.post(where + query, "A/fuzzer", content=content, key=key))


@pytest.mark.parametrize("path", [path for path in POSTS if path not in BROAD])
async def test_each_field_at_each_edge_is_refused_or_taken(bodies: Bodies, path: str):
    where, valid = bodies.valid[path]
    for place in paths_of(valid):
        for edge in EDGES:
            content = json.dumps(changed(valid, place, edge)).encode()
            sound(await bodies.house.post(where, "A/fuzzer", content=content))
