"""`cbi dedup train`, `run` and `model`, as an operator types them."""

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from api import db, rematch
from api.demo.population import population
from api.embedded import EmbeddedPostgres
from dedup import models
from dedup.model import build, load, parse
from dedup.reviewed import LABELS_MIN
from tests.api.peopled import Place, open_place
from tests.api.test_cli import Command
from tests.cbi import world

SEED, HOUSEHOLDS = 5, 60


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A folder whose database the tests hold, so that the commands find it running."""
    with tempfile.TemporaryDirectory(prefix="cbi-dedup-") as folder:
        server = EmbeddedPostgres(Path(folder))
        yield Path(folder)
        server.stop(whoever_holds=True)


@pytest.fixture(scope="module")
def cbi(data_dir: Path) -> Command:
    command = Command(data_dir)
    command("migrate", code=0)
    return command


@pytest.fixture(scope="module")
async def place(cbi: Command, data_dir: Path) -> AsyncIterator[Place]:
    """The database of the commands, with families that nobody was compared with."""
    server = EmbeddedPostgres(data_dir)
    async with open_place(server, data_dir, "cbi") as opened:
        await opened.partners()
        await opened.people(households=HOUSEHOLDS, seed=SEED)
        yield opened


def names() -> set[str]:
    """Every name of the people, but those that so many bear that a model counts them."""
    return {
        word
        for partner in population(SEED, HOUSEHOLDS).partners
        for registration in partner.registrations
        for person in registration.persons
        for word in f"{person.given_names} {person.surnames}".split()
        if len(word) > 4
    }


def of(done) -> dict:
    return json.loads(done.stdout)


async def test_a_run_tells_numbers_and_no_names_and_the_next_finds_nothing_new(cbi, place):
    first = cbi("dedup", "run", "--json", "--processes", 2, code=0)
    told = of(first)
    assert told["opened"] == len(await place.cases()) > 5
    assert told["model_id"] == load().model_id
    assert set(told["seconds"]) == {"reading", "matching", "opening"}
    assert told["peak_rss_mb"] > 50
    second = cbi("dedup", "run", code=0)
    assert "known already" in second.stdout
    assert of(cbi("dedup", "run", "--json", code=0))["opened"] == 0
    printed = first.stdout + first.stderr + second.stdout + second.stderr
    assert not {name for name in names() if name in printed}


async def test_a_model_is_learned_stored_shown_and_used_only_when_somebody_says_so(
    cbi, place, tmp_path
):
    file = tmp_path / "model.json"
    done = cbi("dedup", "train", "--out", file, "--processes", 1, code=0)
    learned = parse(file.read_bytes())
    assert learned.model_id in done.stdout
    assert learned.content.note.startswith("learned from ")
    again = of(cbi("dedup", "train", "--json", code=0))
    assert again["model_id"] == learned.model_id
    assert again["is_new"] is False
    assert again["persons"] == await place.one(
        "SELECT count(*) FROM cbi.person JOIN cbi.consent c"
        " USING (household_id) WHERE c.kind = 'duplicate_check' AND c.granted"
    )
    listed = {
        row["model_id"]: row["is_active"]
        for row in of(cbi("dedup", "model", "list", "--json", code=0))
    }
    assert listed == {load().model_id: True, learned.model_id: False}
    purposes = await place.column("SELECT DISTINCT purpose FROM cbi.bulk_access")
    assert "model training" in purposes
    weighed = of(
        cbi("dedup", "model", "activate", learned.model_id, "--reason", "ours", "--json", code=0)
    )
    undecided = await place.one(
        "SELECT count(*) FROM dedup.match_case WHERE household_b IS NOT NULL"
    )
    assert (weighed["cases_weighed"], weighed["cases_left"]) == (undecided, 0)
    shown = cbi("dedup", "model", "show", code=0).stdout
    assert learned.model_id in shown
    assert "ours" in shown
    assert not {name for name in names() if name in shown}
    assert learned.model_id in cbi("dedup", "model", "list", code=0).stdout
    assert parse(cbi("dedup", "model", "show", "--json", code=0).stdout.encode()) == learned
    back = cbi("dedup", "model", "activate", load().model_id, "--reason", "as it was", code=0)
    assert load().model_id in back.stdout


async def test_the_table_of_a_model_has_every_level_in_bits(cbi, place):
    shown = cbi("dedup", "model", "show", load().model_id, code=0).stdout
    for evidence in load().evidence:
        assert evidence[1].field in shown
        for one in evidence[1:]:
            assert one.level in shown
            assert f"{one.bits:+.1f}" in shown
            assert f"{one.kin_bits:+.1f}" in shown
    for what in (
        f"{load().review_bits:g} bits",
        f"{load().strong_bits:g} bits",
        load().content.note[:40],
    ):
        assert what in shown


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("dedup", "model", "show", "v2-nothing"), 3, "model-not-found"),
        (("dedup", "model", "activate", "v2-nothing", "--reason", "x"), 3, "model-not-found"),
        (("dedup", "model", "activate", "v2-nothing"), 2, "--reason"),
        (("dedup", "model", "activate", load().model_id, "--reason", " "), 2, "--reason"),
        (("dedup", "run", "--partners", "NOBODY"), 2, "no partner NOBODY"),
        (("dedup", "run", "--engine", "spark"), 2, "--master"),
        (("dedup", "run", "--master", "spark://host:7077"), 2, "--engine spark"),
        (("dedup", "run", "--engine", "duckdb"), 2, "spark"),
        (("dedup", "run", "--processes", "0"), 2, "processes"),
        (("dedup", "run", "--resume"), 1, "without --resume"),
        (("dedup", "calibrate"), 1, "0 reviewed pairs"),
        (("dedup", "calibrate", "v2-nothing"), 3, "model-not-found"),
    ],
)
async def test_wrong_use_is_refused_with_a_reason(cbi, place, words, code, told):
    done = cbi(*words, code=code)
    assert told in done.stderr


async def test_a_spark_that_does_not_start_is_told_in_a_sentence_and_fails_the_run(
    cbi, place, tmp_path
):
    words = ("dedup", "run", "--engine", "spark", "--master", "local[1]")
    done = cbi(*words, code=4, JAVA_HOME=str(tmp_path))
    assert "Spark failed (PySparkRuntimeError)" in done.stderr
    told = await place.one("SELECT counts FROM dedup.run_step ORDER BY step_no DESC LIMIT 1")
    assert told == {"fault": "SparkFailed"}
    assert "--master" in cbi("dedup", "run", "--resume", code=2).stderr
    cbi("dedup", "run", code=0)


async def test_while_one_runs_no_other_run_begins_and_no_model_is_changed(cbi, place):
    async with rematch.turn(place.service):
        for words in (("run",), ("model", "activate", load().model_id, "--reason", "x")):
            assert "run-underway" in cbi("dedup", *words, code=3).stderr


async def test_a_model_is_calibrated_on_what_people_decided_and_not_taken_into_use(cbi, place):
    for seed in range(LABELS_MIN // 2):
        await place.twins(seed)
    cbi("dedup", "run", code=0)
    matches = "SELECT case_id FROM dedup.match_case WHERE household_b IS NOT NULL ORDER BY 1"
    for number, case_id in enumerate(await place.column(matches)):
        async with place.acting(world.ALFA) as conn:
            verdict = "different" if number % 4 == 0 else "same_household"
            await world.judged(conn, case_id, verdict)
    told = of(cbi("dedup", "calibrate", "--json", code=0))
    assert told["labels"] >= LABELS_MIN
    assert told["error_after"] < told["error_before"]
    made = of(cbi("dedup", "model", "show", told["model_id"], "--json", code=0))
    assert made["calibration"] == told["calibration"]
    assert "reviewed pairs" in made["note"]
    listed = of(cbi("dedup", "model", "list", "--json", code=0))
    assert {row["model_id"] for row in listed if row["is_active"]} == {load().model_id}


async def test_a_run_for_a_partner_looks_at_its_pairs_alone(cbi, place):
    told = of(cbi("dedup", "run", "--partners", "GAMA", "--json", code=0))
    everybody = of(cbi("dedup", "run", "--json", code=0))
    assert 0 < told["pairs"] < everybody["pairs"]
    partners = await place.one(
        "SELECT partners FROM dedup.run WHERE run_id = :id", id=told["run_id"]
    )
    assert partners == [world.PARTNER_C]


async def test_a_run_that_was_stopped_goes_on_unless_the_model_was_changed(cbi, place):
    async with rematch.turn(place.service):
        run = await place.start()
    told = of(cbi("dedup", "run", "--resume", "--json", code=0))
    assert told["run_id"] == str(run.run_id)
    async with rematch.turn(place.service):
        await place.start()
    other = build(msgspec.structs.replace(load().content, note="other"))
    async with place.acting(db.SYSTEM) as conn:
        await models.store(conn, other, actor_id=db.SYSTEM.actor_id, at=world.AT)
    cbi("dedup", "model", "activate", other.model_id, "--reason", "better", code=0)
    assert "another model" in cbi("dedup", "run", "--resume", code=1).stderr
    cbi("dedup", "run", code=0)
