"""Words to choose from in the cells of a workbook that we hand out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from cbi.intake.source import LINES_MAX
from cbi.intake.words import LABELS, OF_COLUMN, Language

# The moment of writing would make each writing another file.
CREATED = datetime(2000, 1, 1)  # noqa: DTZ001 -- the format has no time zone
OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
# Several words may stand in one cell, or others than those listed: a warning, no refusal.
_OPEN = frozenset(
    {"asistencia", "roles", "necesidades", "nacionalidad", "consentimiento_idioma"}
    | {"pais_documento"}
)


def lists(sheet: Worksheet, language: Language) -> Mapping[str, str]:
    """Write the words of each list, one column each, into a hidden sheet; where they stand."""
    ranges = {}
    for place, (key, values) in enumerate(LABELS.values.items()):
        for row, label in enumerate(values.values()):
            sheet.write_string(row, place, label[language])
        column = xlsxwriter.utility.xl_col_to_name(place)
        ranges[key] = f"='{sheet.get_name()}'!${column}$1:${column}${len(values)}"
    sheet.hide()
    sheet.protect()
    return ranges


def offer(sheet: Worksheet, place: int, column: str, ranges: Mapping[str, str]) -> None:
    """Let the cells of a column, below its title, offer the words of its list, if it has one."""
    words = ranges.get(OF_COLUMN.get(base(column), ""))
    if words is None:
        return
    kind: Literal["warning", "stop"] = "warning" if base(column) in _OPEN else "stop"
    rule = {"validate": "list", "source": words, "error_type": kind}
    sheet.data_validation(1, place, LINES_MAX, place, rule)


def base(column: str) -> str:
    """Return the name of a column without the number that it has from the second on."""
    name, _, number = column.rpartition("_")
    return name if number.isdigit() else column
