"""Requests about what happens to households, each of a household of its own."""

from collections.abc import Awaitable, Callable

from api import clock
from tests.api.house import House, registration

Asked = tuple[str, str, object]


def today() -> str:
    return clock.today().isoformat()


async def a_household(house: House, **more) -> tuple[str, dict, dict]:
    """Register a family of three; the path of its events, its form and its receipt."""
    form = registration(**more)
    while len(form["persons"]) < 3:
        person = registration()["persons"][0]
        form["persons"].append({**person, "relationship": "child", "roles": []})
    receipt = await house.made("/v1/households", "A/registrar", form)
    return f"/v1/households/{receipt['household_id']}", form, receipt


async def a_correction(house: House) -> Asked:
    path, form, _ = await a_household(house)
    body = {"reason": "changed", "form": {**form, "ubigeo": "240102"}}
    return (f"{path}/corrections", "A/registrar", body)


async def an_arrival(house: House) -> Asked:
    path, *_ = await a_household(house)
    child = registration()["persons"][0] | {"relationship": "child", "roles": []}
    return (
        f"{path}/persons",
        "A/registrar",
        {"reason": "born", "on": today(), "persons": [child]},
    )


async def a_departure(house: House) -> Asked:
    path, _, receipt = await a_household(house)
    body = {"reason": "moved_out", "on": today(), "person_ids": receipt["person_ids"][1:2]}
    return (f"{path}/departures", "A/registrar", body)


async def a_death(house: House) -> Asked:
    path, _, receipt = await a_household(house)
    return (
        f"{path}/deaths",
        "A/registrar",
        {"on": today(), "note": "x", "person_ids": receipt["person_ids"][1:2]},
    )


async def a_withdrawal(house: House) -> Asked:
    path, *_ = await a_household(house)
    return (f"{path}/withdrawals", "A/registrar", {"kind": "registration", "on": today()})


async def an_erasure(house: House) -> Asked:
    path, who, body = await a_withdrawal(house)
    await house.made(path, who, body)
    return (path.replace("withdrawals", "erasure"), "A/coordinator", None)


EVENTS: dict[str, Callable[[House], Awaitable[Asked]]] = {
    f"/v1/households/{{household_id}}/{what}": make
    for what, make in (
        ("corrections", a_correction),
        ("persons", an_arrival),
        ("departures", a_departure),
        ("deaths", a_death),
        ("withdrawals", a_withdrawal),
        ("erasure", an_erasure),
    )
}


def bodies(form: dict) -> dict[str, object]:
    """A body of each route, for who tries others."""
    person_ids = ["00000000-0000-4000-8000-000000000001"]
    made = {
        "corrections": {"reason": "changed", "on": today(), "note": "x", "form": form},
        "persons": {"reason": "born", "on": today(), "persons": [form["persons"][0]]},
        "departures": {"reason": "other", "on": today(), "person_ids": person_ids},
        "deaths": {"on": today(), "note": "x", "person_ids": person_ids},
        "withdrawals": {"kind": "fsp", "on": today(), "note": "x"},
        "erasure": {},
        "splits": {"on": today(), "note": "x", "form": form},
        "joins": {"on": today(), "note": "x", "other_household_id": person_ids[0]},
        "transfers": {"partner": "PARTNER-B"},
    }
    return {
        **{f"/v1/households/{{household_id}}/{what}": body for what, body in made.items()},
        "/v1/transfers/{offer_id}/acceptance": {"reference": "x"},
        "/v1/transfers/{offer_id}/refusal": {},
    }


async def a_split(house: House) -> Asked:
    path, form, _ = await a_household(house)
    persons = [{**form["persons"][1], "relationship": "head"}, form["persons"][2]]
    own = registration(persons=persons)
    return (f"{path}/splits", "A/registrar", {"on": today(), "form": own})


async def a_join(house: House) -> Asked:
    path, *_ = await a_household(house)
    other = await house.made("/v1/households", "A/registrar", registration())
    body = {"on": today(), "other_household_id": other["household_id"]}
    return (f"{path}/joins", "A/registrar", body)


async def an_offer(house: House) -> Asked:
    form = registration()
    referral = {**form["consents"][0], "kind": "referral"}
    path, *_ = await a_household(house, consents=[*form["consents"], referral])
    return (f"{path}/transfers", "A/registrar", {"partner": "PARTNER-B"})


async def an_acceptance(house: House) -> Asked:
    path, who, body = await an_offer(house)
    made = await house.made(path, who, body)
    reference = registration()["reference"]
    path = f"/v1/transfers/{made['offer_id']}/acceptance"
    return (path, "B/registrar", {"reference": reference})


async def a_refusal(house: House) -> Asked:
    path, _, _ = await an_acceptance(house)
    return (path.replace("acceptance", "refusal"), "A/registrar", None)


MOVES: dict[str, Callable[[House], Awaitable[Asked]]] = {
    "/v1/households/{household_id}/splits": a_split,
    "/v1/households/{household_id}/joins": a_join,
    "/v1/households/{household_id}/transfers": an_offer,
    "/v1/transfers/{offer_id}/acceptance": an_acceptance,
    "/v1/transfers/{offer_id}/refusal": a_refusal,
}
EVENTS |= MOVES
