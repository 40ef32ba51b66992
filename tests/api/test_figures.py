"""Figures on refusals are for everybody, of quarters that are over, and counted once."""

from tests.api.house import House

PATH = "/v1/figures/appeals"
QUARTER = {"from": "2026-01-01", "until": "2026-04-01"}


async def test_whoever_asks_gets_the_figures_without_a_key_and_they_are_counted_once(house: House):
    house.service.figures.kept.clear()
    first = await house.call("GET", PATH, params=QUARTER)
    assert first.status_code == 200, first.text
    told = first.json()
    assert {"blocks", "others", "all_refusals", "first_day", "next_day"} == set(told)
    assert set(told["all_refusals"]["all"]) == {"value", "stopped", "lifted", "lifted_rate"}
    (kept,) = house.service.figures.kept.values()
    assert (await house.call("GET", PATH, params=QUARTER)).json() == told
    assert list(house.service.figures.kept.values()) == [kept]
    # With a key they are the same.
    assert (await house.get(PATH, "A/auditor", params=QUARTER)).json() == told


async def test_nothing_finer_than_a_quarter_that_is_over_is_told(house: House):
    for first, until in (
        ("2026-01-01", "2026-02-01"),
        ("2026-02-01", "2026-05-01"),
        ("2026-01-01", "2026-07-01"),
        ("2199-10-01", "2200-01-01"),
    ):
        answer = await house.call("GET", PATH, params={"from": first, "until": until})
        assert answer.status_code == 422, answer.text
    more = await house.call("GET", PATH, params=QUARTER | {"partner": "ALFA", "by": "district"})
    assert more.json() == (await house.call("GET", PATH, params=QUARTER)).json()
