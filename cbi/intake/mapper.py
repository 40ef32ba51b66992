"""The one mapper: cells of any file become the JSON form that household.read checks.

A value that isn't understood goes through as it was written, so that household.read finds its
fault; only what Excel mangles is named here, for nobody downstream could tell: numbers cut to
fifteen digits, texts taken for dates, a year formatted as a date, cells that hold an error.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache

from cbi.fault import Finding, Path, in_order, render
from cbi.intake.source import Cell, Cells, Entry, Row
from cbi.intake.words import DOCUMENT_COLUMNS, VALUES, fold

DOCUMENTS_MAX = 10
PHONES_MAX = 10
AGE_MAX = 120

# What a cell shows when its formula fails, in English and Spanish.
_ERRORS = frozenset(
    {
        *("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"),
        *("#N/D", "#¡REF!", "#¡VALOR!", "#¡DIV/0!", "#¿NOMBRE?", "#¡NUM!", "#¡NULO!"),
    }
)
# The years 1900 to 2099 as serial numbers are days of 1905 in the calendar of spreadsheets.
_YEAR_AS_DATE = re.compile(r"1905-0[3-9]-.*")
# Codes of nine digits, of which a number cell has lost the leading zeros.
_ZEROS_COUNT = frozenset({"pe-ce", "pe-ptp", "pe-cpp"})
_ZEROS_DIGITS = 9
_SCIENTIFIC = re.compile(r"[0-9]+([.,][0-9]+)?[eE]\+?[0-9]+")
# A file has the same few paths for each of its households.
_rendered = lru_cache(maxsize=4096)(render)
_UBIGEO_COLUMNS = {"ubigeo_inei": "inei", "ubigeo_reniec": "reniec", "ubigeo": ""}
_DISTRICT_NAMES = {"distrito": "district", "provincia": "province", "departamento": "department"}
_CONSENTS = {
    "consentimiento_registro": "registration",
    "consentimiento_duplicados": "duplicate_check",
    "consentimiento_pago": "fsp",
    "consentimiento_derivacion": "referral",
    "consentimiento_contacto": "contact",
}


def to_row(entry: Entry, *, m_means: str) -> Row:
    """The household of one entry. `m_means` is what a bare M in the sex column stands for."""
    draft = _Draft(m_means)
    raw = draft.registration(entry)
    findings = draft.findings
    for finding, cell in entry.findings:
        findings.append(finding)
        draft.origin.setdefault(_rendered(finding.path), cell)
    reference = entry.household.get("codigo_hogar")
    return Row(
        number=entry.number,
        reference=reference.text if reference is not None else "",
        raw=raw,
        faults=in_order(findings, raw),
        origin=draft.origin,
        sheet=entry.sheet,
    )


class _Draft:
    """The form while it is filled in, with the origin of each value."""

    def __init__(self, m_means: str) -> None:
        self.m_means = m_means
        self.findings: list[Finding] = []
        self.origin: dict[str, Cell] = {}

    def registration(self, entry: Entry) -> dict[str, object]:
        cells = entry.household
        self.origin[""] = Cell("", entry.number, "", "text", entry.sheet)
        raw: dict[str, object] = {}
        self._text(raw, (), "reference", cells.get("codigo_hogar"))
        self._date(raw, (), "registered_on", cells.get("fecha_registro"))
        self._district(raw, cells)
        self._code(raw, (), "population_type", cells.get("tipo_poblacion"))
        self._code(raw, (), "intention", cells.get("intencion"))
        self._codes(raw, (), "assistance_wanted", cells.get("asistencia"))
        if instrument := self._instrument(cells):
            raw["instrument"] = instrument
        raw["consents"] = self._consents(cells, raw.get("registered_on"))
        raw["persons"] = [
            self._person(person, ("persons", index), raw.get("registered_on"))
            for index, person in enumerate(entry.persons)
        ]
        return raw

    def _district(self, raw: dict[str, object], cells: Cells) -> None:
        """The code and the names, from which cbi.intake.district makes the one code of INEI."""
        for name, key in _DISTRICT_NAMES.items():
            if name in cells:
                self._text(raw, (), key, cells[name])
        for name, system in _UBIGEO_COLUMNS.items():
            if name in cells:
                self._text(raw, (), "ubigeo", cells[name])
                if system:
                    raw["ubigeo_system"] = system
                return
        if "distrito" in cells:
            self._came_from(("ubigeo",), cells["distrito"])

    def _instrument(self, cells: Cells) -> dict[str, object]:
        form: dict[str, object] = {}
        path: Path = ("instrument",)
        self._code(form, path, "kind", cells.get("medio_pago"), words="instrument")
        self._text(form, path, "bank", cells.get("banco"))
        self._text(form, path, "account", cells.get("cuenta"))
        self._code(form, path, "holder", cells.get("titular_cuenta"), words="role")
        return form

    def _consents(self, cells: Cells, registered_on: object) -> list[object]:
        consents: list[object] = []
        for name, kind in _CONSENTS.items():
            if (cell := cells.get(name)) is None:
                continue
            path: Path = ("consents", len(consents))
            form: dict[str, object] = {"kind": kind}
            self.origin[_rendered(path)] = cell
            self._yes_no(form, path, "granted", cell)
            self._text(form, path, "text_version", cells.get("consentimiento_version"))
            self._code(form, path, "language", cells.get("consentimiento_idioma"))
            form.setdefault("language", "es")
            self._code(form, path, "channel", cells.get("consentimiento_canal"))
            form.setdefault("channel", "in_person")
            self._date(form, path, "given_on", cells.get("consentimiento_fecha"))
            if registered_on is not None:
                form.setdefault("given_on", registered_on)
            consents.append(form)
        return consents

    def _person(self, cells: Cells, path: Path, registered_on: object) -> dict[str, object]:
        form: dict[str, object] = {}
        first = next(iter(cells.values()))
        self.origin[_rendered(path)] = first._replace(text="", column="")
        self._joined(form, path, "given_names", cells, "nombres primer_nombre segundo_nombre")
        form.setdefault("surnames", "")
        self._joined(form, path, "surnames", cells, "apellidos primer_apellido segundo_apellido")
        self._text(form, path, "preferred_name", cells.get("nombre_preferido"))
        self._birth(form, path, cells, registered_on)
        self._sex(form, path, cells.get("sexo"))
        self._code(form, path, "relationship", cells.get("parentesco"))
        self._codes(form, path, "roles", cells.get("roles"), words="role")
        self._yes_no(form, path, "lives_in_household", cells.get("vive_en_hogar"))
        self._code(form, path, "nationality", cells.get("nacionalidad"), words="country")
        documents = list(self._documents(cells, path, form.get("nationality")))
        if documents:
            form["documents"] = documents
        phones: list[object] = []
        for name in _numbered("telefono", PHONES_MAX):
            if (cell := cells.get(name)) is not None:
                slot: dict[str, object] = {}
                self._text(slot, (*path, "phones"), len(phones), cell)
                phones.extend(slot.values())
        if phones:
            form["phones"] = phones
        self._codes(form, path, "specific_needs", cells.get("necesidades"))
        return form

    def _documents(
        self, cells: Cells, path: Path, nationality: object
    ) -> Iterator[dict[str, object]]:
        count = 0
        suffixes = ["", *(f"_{number}" for number in range(2, DOCUMENTS_MAX + 1))]
        for suffix in (*suffixes, *DOCUMENT_COLUMNS):
            of_type = suffix in DOCUMENT_COLUMNS
            kind = None if of_type else cells.get(f"tipo_documento{suffix}")
            number = cells.get(suffix if of_type else f"numero_documento{suffix}")
            # "DNI" without a number says that the person has one, not which: nothing to keep.
            if number is None:
                continue
            place: Path = (*path, "documents", count)
            form: dict[str, object] = {"type": suffix} if of_type else {}
            self.origin[_rendered(place)] = number
            self._code(form, place, "type", kind, words="document_type")
            self._text(form, place, "number", number)
            if not of_type:
                country = cells.get(f"pais_documento{suffix}")
                self._code(form, place, "country", country, words="country")
                self._date(form, place, "expires_on", cells.get(f"vence_documento{suffix}"))
            if form.get("type") == "passport" and nationality:
                form.setdefault("country", nationality)
            short = number.kind == "number" and len(number.text) < _ZEROS_DIGITS
            if short and form.get("type") in _ZEROS_COUNT:
                self.findings.append(Finding((*place, "number"), "excel_zeros"))
            count += 1
            yield form

    def _birth(
        self, form: dict[str, object], path: Path, cells: Cells, registered_on: object
    ) -> None:
        cell, age = cells.get("fecha_nacimiento"), cells.get("edad")
        if cell is not None:
            precision = self._date(form, path, "birth_date", cell)
            if precision != "day":
                form["birth_precision"] = precision
            self._code(form, path, "birth_precision", cells.get("precision_nacimiento"))
        elif age is not None:
            self._came_from((*path, "birth_date"), age)
            form["birth_date"] = _born(age.text, registered_on) or age.text
            form["birth_precision"] = "age"

    def _sex(self, form: dict[str, object], path: Path, cell: Cell | None) -> None:
        if cell is not None and fold(cell.text) == "m":
            self._came_from((*path, "sex"), cell)
            form["sex"] = self.m_means or "not_stated"
            if not self.m_means:
                self.findings.append(Finding((*path, "sex"), "sex_ambiguous"))
        else:
            self._code(form, path, "sex", cell)

    def _came_from(self, path: Path, cell: Cell) -> None:
        self.origin[_rendered(path)] = cell
        if cell.text.upper() in _ERRORS:
            self.findings.append(Finding(path, "excel_error"))

    def _text(self, form: dict[str, object], path: Path, key: str | int, cell: Cell | None) -> None:
        if cell is None:
            return
        place = (*path, key)
        self._came_from(place, cell)
        text = cell.text
        # ="00123" is how a spreadsheet is told to leave a number alone.
        if (quoted := re.fullmatch(r'="([^"]*)"', text)) is not None:
            text = quoted[1]
        # A number of no digits after its point or comma; three would be thousands.
        if (whole := re.fullmatch(r"([0-9]+)[.,]0{1,2}", text)) is not None:
            text = whole[1]
        if cell.kind == "date":
            self.findings.append(Finding(place, "excel_date_text"))
        if _SCIENTIFIC.fullmatch(text):
            self.findings.append(Finding(place, "excel_number"))
        form[str(key)] = text

    def _joined(
        self, form: dict[str, object], path: Path, key: str, cells: Cells, names: str
    ) -> None:
        parts = [cells[name] for name in names.split() if name in cells]
        if parts:
            form[key] = " ".join(part.text for part in parts)
            self._came_from((*path, key), parts[0]._replace(text=str(form[key])))

    def _code(
        self, form: dict[str, object], path: Path, key: str, cell: Cell | None, *, words: str = ""
    ) -> None:
        if cell is not None:
            self._came_from((*path, key), cell)
            form[key] = VALUES[words or key].get(fold(cell.text), cell.text)

    def _codes(
        self, form: dict[str, object], path: Path, key: str, cell: Cell | None, *, words: str = ""
    ) -> None:
        if cell is None:
            return
        self._came_from((*path, key), cell)
        table = VALUES[words or key]
        codes: list[str] = []
        for piece in re.split(r"[|;,]", cell.text):
            # KoboToolbox writes several choices with blanks between, people write phrases.
            known = table.get(fold(piece))
            parts = [piece.strip()] if known is not None else piece.split()
            codes.extend(table.get(fold(part), part) for part in parts)
        form[key] = list(dict.fromkeys(codes))

    def _yes_no(self, form: dict[str, object], path: Path, key: str, cell: Cell | None) -> None:
        if cell is not None:
            self._came_from((*path, key), cell)
            answer = VALUES["bool"].get(fold(cell.text))
            form[key] = cell.text if answer is None else answer == "yes"

    def _date(self, form: dict[str, object], path: Path, key: str, cell: Cell | None) -> str:
        if cell is None:
            return "day"
        self._came_from((*path, key), cell)
        if re.fullmatch(r"[0-9]{5}([.,][0-9]+)?", cell.text):
            self.findings.append(Finding((*path, key), "excel_date"))
        if cell.kind == "date" and _YEAR_AS_DATE.fullmatch(cell.text):
            self.findings.append(Finding((*path, key), "excel_year"))
        form[key], precision = _day_first(cell.text)
        return precision


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return (name, *(f"{name}_{number}" for number in range(2, count + 1)))


def _day_first(text: str) -> tuple[str, str]:
    """The date as ISO text with its precision; what is no date comes back as it was."""
    patterns = (
        (r"(?P<y>[0-9]{4})[-/.](?P<m>[0-9]{1,2})[-/.](?P<d>[0-9]{1,2})([T ].*)?", "day"),
        (r"(?P<d>[0-9]{1,2})[-/.](?P<m>[0-9]{1,2})[-/.](?P<y>[0-9]{4})( [0-9:.]+)?", "day"),
        (r"(?P<m>[0-9]{1,2})[-/](?P<y>[0-9]{4})", "month"),
        (r"(?P<y>[0-9]{4})", "year"),
    )
    for pattern, precision in patterns:
        if (found := re.fullmatch(pattern, text)) is not None:
            parts = found.groupdict()
            try:
                day = date(int(parts["y"]), int(parts.get("m", "1")), int(parts.get("d", "1")))
            except ValueError:
                break
            return day.isoformat(), precision
    return text, "day"


def _born(age: str, registered_on: object) -> str:
    """The middle of the year in which somebody of that age was born, or "" if unknown."""
    try:
        years = int(re.sub(r"[.,]0+$", "", age))
        day = date.fromisoformat(str(registered_on))
        if not 0 <= years <= AGE_MAX:
            return ""
        return (day - timedelta(days=round((years + 0.5) * 365.25))).isoformat()
    except (ValueError, OverflowError):
        return ""
