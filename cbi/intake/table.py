"""Tables of one line per person, from a text file or a workbook; a household's lines share a code.

Lines are read twice: once to count what belongs together, then one after another, so that only
the households that are not whole yet are held. A household is handed out with its last line.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from cbi.fault import Finding, Path
from cbi.intake.mapper import to_row
from cbi.intake.source import COLUMNS_MAX, LINES_MAX, ROWS_MAX, Cell, Cells, Entry, Kind, Row
from cbi.intake.words import EXAMPLES, HOUSEHOLD_COLUMNS, TOLD, column, fold
from cbi.refusal import FileUnreadable

# A title, a logo and a blank line often stand above the header.
HEADER_LINE_MAX = 10


class Line(NamedTuple):
    """One line that holds something; `kinds` by place, of the cells that are more than text."""

    number: int
    cells: Sequence[str]
    kinds: Mapping[int, Kind] = {}
    is_hidden: bool = False


class Table(NamedTuple):
    """A header and the lines below it, which can be read as often as one likes."""

    header: Line
    below: Callable[[], Iterator[Line]]
    sheet: str = ""  # only where several sheets of a workbook are read

    @property
    def titles(self) -> list[str]:
        return [title.strip() for title in self.header.cells]

    @property
    def names(self) -> list[str]:
        return [column(title) for title in self.titles]


def header_of(lines: Iterable[Line]) -> Line | None:
    """The first of these lines that titles codes and names, if any."""
    for line in lines:
        names = {column(cell) for cell in line.cells[:COLUMNS_MAX]}
        if "codigo_hogar" in names and names & {"nombres", "primer_nombre"}:
            # Under a wrong delimiter a row's long text may fall apart, and is no header for it.
            if len(line.cells) > COLUMNS_MAX:
                raise FileUnreadable(line=line.number, reason="too_many_columns")
            return line
    return None


def rows(tables: Sequence[Table]) -> Iterator[Row]:
    """The households of all tables; FileUnreadable comes before the first."""
    scans = [_Scan(table) for table in tables]
    if sum(scan.lines for scan in scans) > LINES_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    if sum(scan.households for scan in scans) > ROWS_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    if any(scan.examples for scan in scans) and not any(scan.households for scan in scans):
        raise FileUnreadable(line=0, reason="only_example")
    m_means = what_m_means(sex for scan in scans for sex in scan.sexes)
    return (to_row(entry, m_means=m_means) for scan in scans for entry in _entries(scan))


def what_m_means(sexes: Iterable[str]) -> str:
    """M beside H (hombre) is mujer, M beside F is masculino, beside both it is anybody's guess."""
    seen = {fold(sex) for sex in sexes}
    if "h" in seen:
        return "" if "f" in seen else "F"
    return "M"


def key_of(reference: str, number: int) -> str:
    """A line without a code is a household by itself, so that its faults are told apart."""
    return reference or f"\n{number}"


def is_example(reference: str) -> bool:
    return fold(reference) in EXAMPLES


class _Scan:
    """What the first reading finds: how many lines each household has, and the words for sex."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.names = table.names
        repeated = [name for name, count in Counter(filter(None, self.names)).items() if count > 1]
        if repeated:
            raise FileUnreadable(line=table.header.number, reason="column_repeated")
        self.left: Counter[str] = Counter()
        self.sexes: set[str] = set()
        self.examples: list[int] = []
        self.lines = 0
        code = self.names.index("codigo_hogar")
        sex = self.names.index("sexo") if "sexo" in self.names else None
        for line in table.below():
            self.lines += 1
            if self.lines > LINES_MAX:
                raise FileUnreadable(line=0, reason="too_many_rows")
            reference = line.cells[code].strip() if code < len(line.cells) else ""
            if is_example(reference):
                self.examples.append(line.number)
                continue
            self.left[key_of(reference, line.number)] += 1
            if sex is not None and sex < len(line.cells):
                self.sexes.add(line.cells[sex].strip()[:20])
        self.households = len(self.left)


def _entries(scan: _Scan) -> Iterator[Entry]:
    findings = _of_table(scan)
    titles, names, sheet = scan.table.titles, scan.names, scan.table.sheet
    begun: dict[str, Entry] = {}
    for line in scan.table.below():
        found = {
            name: Cell(text, line.number, title, line.kinds.get(place, "text"), sheet)
            for place, (name, title, text) in enumerate(
                zip(names, titles, map(str.strip, line.cells), strict=False)
            )
            if name and name != TOLD and text
        }
        reference = found.get("codigo_hogar")
        if reference is not None and is_example(reference.text):
            continue
        key = key_of("" if reference is None else reference.text, line.number)
        if key not in begun:
            begun[key] = Entry(line.number, {}, [], findings, sheet)
            findings = []
        entry = begun[key]
        place = Cell("", line.number, "", "text", sheet)
        if any(text.strip() for text in line.cells[len(names) :]):
            entry.findings.append(_at(entry, "row_cells", place))
        if line.is_hidden:
            entry.findings.append(_at(entry, "row_hidden", place))
        if reference is None:
            entry.findings.append(
                (Finding(("reference",), "row_reference"), place._replace(column="codigo_hogar"))
            )
        _add(entry, found, place)
        scan.left[key] -= 1
        if not scan.left[key]:
            yield begun.pop(key)


def _of_table(scan: _Scan) -> list[tuple[Finding, Cell]]:
    """What is told once, with the first household: columns not known, example rows left out."""
    header, sheet = scan.table.header, scan.table.sheet
    unknown = [
        (
            Finding((fold(title) or "?",), "column_unknown"),
            Cell("", header.number, title[:60], "text", sheet),
        )
        for title, name in zip(scan.table.titles, scan.names, strict=True)
        if title and not name
    ]
    examples = [
        (
            Finding((f"example_{number}",), "example_row"),
            Cell("", number, "codigo_hogar", "text", sheet),
        )
        for number in scan.examples[:1]
    ]
    return unknown + examples


def _add(entry: Entry, found: Cells, line: Cell) -> None:
    for name in HOUSEHOLD_COLUMNS.keys() & found.keys():
        said = entry.household.setdefault(name, found[name])
        if said.text != found[name].text:
            entry.findings.append(_at(entry, "row_conflict", found[name], name))
    person = {name: cell for name, cell in found.items() if name not in HOUSEHOLD_COLUMNS}
    # A line with nothing of a person still counts as one: its faults show what is missing.
    entry.persons.append(person or {"": line})


def _at(entry: Entry, code: str, cell: Cell, name: str = "") -> tuple[Finding, Cell]:
    place: Path = ("persons", len(entry.persons))
    return Finding((*place, name) if name else place, code), cell
