"""Lines that were read once are given again as they were, from less room."""

from hypothesis import given
from hypothesis import strategies as st

from cbi.intake import spool
from cbi.intake.spool import Spool
from cbi.intake.table import Line

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LINES = st.lists(
    st.builds(
        Line,
        number=st.integers(1, 1_048_576),
        cells=st.lists(TEXT, max_size=6),
        kinds=st.dictionaries(st.integers(0, 5), st.sampled_from(["number", "date", "bool"])),
        is_hidden=st.booleans(),
    ),
    max_size=20,
)


def spooled(lines: list[Line]) -> tuple[Spool, list[int]]:
    """A spool, and how often what it reads from was read."""
    read = []

    def source():
        read.append(1)
        return iter(lines)

    return Spool(source), read


@given(LINES)
def test_lines_are_given_again_as_they_were_and_read_once(lines):
    found, read = spooled(lines)
    assert [list(found()) for _ in range(3)] == [lines] * 3
    assert len(read) == 1


def test_what_was_not_read_to_its_end_is_read_again():
    lines = [Line(number, ["a"]) for number in range(9)]
    found, read = spooled(lines)
    assert next(found()) == lines[0]
    assert list(found()) == lines
    assert list(found()) == lines
    assert len(read) == 2


def test_a_text_that_many_cells_share_is_not_kept_once_for_each(monkeypatch):
    monkeypatch.setattr(spool, "CHARACTERS_MAX", 1_000)
    for lines in (
        [Line(number, ["x" * 100]) for number in range(20)],
        [Line(1, ["x" * (spool.LINE_CHARACTERS_MAX + 1)]), Line(2, ["y"])],
    ):
        found, read = spooled(lines)
        assert [list(found()) for _ in range(2)] == [lines] * 2
        assert len(read) == 2
