"""docs/check.md does what it says: its example is run, its JSON is taken."""

import re
from pathlib import Path

import msgspec

from api.check import Question
from cbi import asked
from tests.api.test_check_command import there  # noqa: F401 -- a fixture
from tests.api.test_cli import Command, cbi, data_dir  # noqa: F401 -- as above
from tests.cbi.world import TODAY

PAGE = (Path(__file__).parent.parent.parent / "docs/check.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_example_gives_what_the_page_shows(there: Command, tmp_path):  # noqa: F811
    given, checked = blocks("csv")
    (tmp_path / "lista.csv").write_text(given, encoding="utf-8")
    (command,) = blocks("bash")
    program, *words = command.split()
    assert program == "cbi"
    words[1] = str(tmp_path / words[1])
    there(*words, code=1)
    assert (tmp_path / "lista-checked.csv").read_text(encoding="utf-8") == checked


def test_the_question_is_one_that_is_taken():
    (raw,) = blocks("json")
    question = msgspec.json.decode(raw, type=Question)
    (read,) = (asked.read(each, today=TODAY) for each in question.households)
    assert read.asked is not None
