"""Whatever refuses a row, or makes it doubtful, says in both languages what to do about it."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from api.problems import REFUSALS
from cbi import row_refusal
from cbi.check_staged import Why
from cbi.fault import TEXTS
from cbi.imported import RowStanding
from cbi.intake import Format
from cbi.refusal import CbiRefusal, SamePerson
from cbi.register_many import Refusal
from cbi.row_refusal import MET, NOT_REGISTERED, fault_of, row_fault, with_why, word

CBI = Path(row_refusal.__file__).parent
# All that a row goes through when it is registered, or amends what is registered.
WAY = (
    *("register", "register_many", "store", "store_many", "check_staged", "take_in"),
    *("amend", "amend_many", "turn", "turn_many", "identities"),
)
# Raised there by what no row does: joining two households, and a day that is asked for.
ELSEWHERE = {"FamiliesApart"}
WORDS = {word(kind.__new__(kind)) for kind in MET} | {NOT_REGISTERED}


def raised(module: str) -> set[str]:
    """The refusals that a module makes, by name."""
    tree = ast.parse((CBI / f"{module}.py").read_text(encoding="utf-8"))
    names = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return names & {kind.__name__ for kind in REFUSALS if issubclass(kind, CbiRefusal)}


def test_every_refusal_on_a_rows_way_is_among_those_that_are_told():
    met = set().union(*(raised(module) for module in WAY)) - ELSEWHERE
    assert met == {kind.__name__ for kind in MET}


@pytest.mark.parametrize(
    "why",
    sorted({*WORDS, *get_args(Refusal), *get_args(row_refusal.Doubt)}),
)
@pytest.mark.parametrize("format_", get_args(Format))
def test_each_has_a_fault_with_its_row_and_a_remedy_in_both_languages(why, format_):
    told = row_fault(why, line=7, sheet="Enero", format=format_)
    assert (told.row, told.code, told.sheet) == (7, why, "Enero")
    assert told.es.startswith("hoja Enero, fila 7")
    assert told.en.startswith("sheet Enero, row 7")
    assert told.es != told.en
    assert told.remedy_es.endswith(".")
    assert told.remedy_en.endswith(".")
    assert told.remedy_es != told.remedy_en
    assert told.level == ("warning" if why in get_args(row_refusal.Doubt) else "error")


def test_whatever_the_check_says_of_a_staged_row_is_told_or_is_no_fault():
    said = {each for each in get_args(Why) if each not in {"known", "changed"}}
    assert said <= TEXTS.keys()


def test_a_refusal_that_no_row_meets_is_told_as_a_row_that_could_not_be_stored():
    assert word(SamePerson.__new__(SamePerson)) == NOT_REGISTERED
    assert fault_of(NOT_REGISTERED).level == "error"


@pytest.mark.parametrize(
    ("status", "why", "refusal", "codes"),
    [
        ("faulty", "outside_area", None, ["outside_area"]),
        ("faulty", "changed", "person_deceased", ["person_deceased"]),
        ("review", "twice_in_file", None, ["twice_in_file"]),
        ("review", None, None, ["possible_duplicate"]),
        ("clear", "changed", None, []),
        ("clear", None, None, []),
        ("waiting", None, None, []),
        ("clear", "earlier_version", None, ["earlier_version"]),
    ],
)
def test_a_row_tells_what_stands_against_it_among_its_faults(status, why, refusal, codes):
    row = RowStanding(
        row_no=1,
        line=2,
        sheet="",
        status=status,
        faults=(),
        strength=None,
        matches=0,
        why=why,
        household_id=None,
        is_known=False,
        is_changed=False,
        refusal=refusal,
    )
    assert [each.code for each in with_why(row, format="csv").faults] == codes
    columns = {each.code: each.column for each in with_why(row, format="csv").faults}
    assert columns.get("outside_area", "ubigeo_inei") == "ubigeo_inei"
