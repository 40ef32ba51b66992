"""The whole journey over HTTP, and what it leaves behind in database, dump and log."""

import re
import subprocess
from datetime import date
from pathlib import Path

import httpx
import pytest

from api.demo import stage
from api.demo.bank import mock_iban
from api.demo.payday import payer_number
from api.demo.play import SEED, Outcome
from api.demo.population import population
from api.embedded import EmbeddedPostgres, program
from api.state import Service
from tests.walk.served import Served

LETTERS_MIN = 3
# Words of names that are words of everything.
PARTICLES = {"del", "los", "las"}


def quiet(step: str, done: int, total: int) -> None:
    """Take the journey's progress and say nothing."""


async def test_the_journey_ties_and_leaves_no_identity_outside_the_seals(
    data_dir: Path, database: EmbeddedPostgres, service: Service
) -> None:
    state = await stage.set_up(service)
    async with (
        Served(data_dir) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as client,
    ):
        outcome = await stage.perform(data_dir, client, state, quiet)
    assert_it_ties(outcome)
    assert outcome.households == stage.HOUSEHOLDS
    assert outcome.four_eyes == {
        "release before approval": "step-out-of-order",
        "approval by the preparer": "same-person",
        "release by the reviewer": "same-person",
        "a second release": "step-done",
    }
    secrets = identities()
    assert len(secrets.words) > 100
    assert len(secrets.numbers) > 300
    assert secrets.found_in(dump(database)) == []
    assert secrets.found_in(served.log) == []


def test_the_search_for_identities_finds_them_in_every_disguise() -> None:
    secrets = identities()
    word, number = min(secrets.words), min(secrets.numbers)
    for planted in (f"x {word.upper()} y", f'"{number}"', f"\\x00{number.encode().hex()}ff"):
        assert secrets.found_in(planted) != []
    assert secrets.found_in("a1" + number + "b2") == [], "hexadecimal digits prove nothing"


def assert_it_ties(outcome: Outcome) -> None:
    assert outcome.pairs_true > 20
    assert outcome.pairs_found >= 0.85 * outcome.pairs_true
    assert outcome.pairs_false == 0
    assert outcome.refused["overlap"] > 0
    assert outcome.instructed == outcome.enrolled > 40
    assert outcome.delivered + outcome.rejected + outcome.returned == outcome.instructed
    assert outcome.rejected > 0
    assert outcome.returned == 1
    assert outcome.breaks_open == 0
    assert outcome.reports_tie
    assert outcome.ledger_debits_minor == outcome.ledger_credits_minor > 0
    assert outcome.ledger_verified


def without_time(outcome: Outcome) -> dict[str, object]:
    facts = {name: getattr(outcome, name) for name in outcome.__struct_fields__}
    # What is refused on the way depends on how far the round is already.
    return {name: fact for name, fact in facts.items() if name not in ("seconds", "four_eyes")}


class Secrets:
    """Everything of the example's people that must never stand anywhere in the clear."""

    def __init__(self, words: set[str], numbers: set[str]) -> None:
        self.words = words
        self.numbers = numbers

    def found_in(self, text: str) -> list[str]:
        """Return what is found, as text or inside bytes that the text writes as hexadecimal."""
        hexadecimal = re.findall(r"\\+x([0-9a-f]{8,})", text)
        plain = re.sub(r"\\+x[0-9a-f]+", " ", text)
        clear = b"\n".join(bytes.fromhex(run[: len(run) // 2 * 2]) for run in hexadecimal)
        decoded = clear.decode("latin-1")
        found = self._in(plain)
        # Random bytes spell short words by chance; sealed text would begin with a quote.
        found += [word for word in self.words if f'"{word}' in decoded]
        found += [number for number in self.numbers if number in decoded]
        return sorted(set(found))

    def _in(self, text: str) -> list[str]:
        words = {word.casefold() for word in re.findall(r"[^\W\d_]+", text)}
        found = [word for word in self.words if word.casefold() in words]
        return found + [number for number in self.numbers if stands_alone(number, text)]


def stands_alone(number: str, text: str) -> bool:
    """Whether a number occurs outside a run of hexadecimal digits, where it would be chance."""
    if number not in text:
        return False
    return re.search(rf"(?<![0-9a-f]){re.escape(number)}(?![0-9a-f])", text) is not None


def identities() -> Secrets:
    words: set[str] = set()
    numbers: set[str] = set()
    for place, partner in enumerate(population(SEED, stage.HOUSEHOLDS).partners):
        numbers |= {payer_number(place), mock_iban(payer_number(place))}
        for registration in partner.registrations:
            numbers.add(registration.reference)
            if registration.instrument is not None and registration.instrument.account:
                numbers.add(registration.instrument.account)
            for person in registration.persons:
                names = f"{person.given_names} {person.surnames} {person.preferred_name}"
                words |= {name for name in names.split() if len(name) >= LETTERS_MIN} - PARTICLES
                numbers |= {document.number for document in person.documents}
                # With and without the country's code.
                numbers |= {phone[cut:] for phone in person.phones for cut in (0, 1, 3)}
                if person.birth_date is not None:
                    numbers.add(str(person.birth_date))
    assert str(date.today()) not in numbers  # noqa: DTZ011 -- only a guard of this test
    return Secrets(words, numbers)


def dump(database: EmbeddedPostgres) -> str:
    # All rows; what functions and comments say is in the sources for everybody to read.
    dumped = subprocess.run(
        [program("pg_dump"), "--data-only", "-h", database.socket_dir, "-U", "postgres", "cbi"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "COPY cbi.household" in dumped.stdout
    return dumped.stdout


@pytest.mark.parametrize("kind", ["words", "numbers"])
def test_the_example_has_identities_to_look_for(kind: str) -> None:
    assert getattr(identities(), kind)
