"""How one provider wants its payment file: a profile, kept as data and never edited.

Read with `check`, which finds every fault at once. A file that names nobody to be paid, or that
can't be matched when the provider's answer comes back, is a fault too.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, get_args

import msgspec

from cbi.fault import Fault, Finding, Path, in_order
from cbi.form import read_form

Kind = Literal["pain.001.001.09", "pain.001.001.03", "fixed", "csv", "xlsx"]
Paid = Literal["bank_account", "mobile_wallet", "otc_cash"]
Charset = Literal["ascii", "latin-1", "cp1252", "utf-8"]
# What a payment can say of itself, and what a file can say of all of them.
OfPayment = Literal[
    "constant",
    "row_no",
    "end_to_end_id",
    "amount",
    "currency",
    "account",
    "bank",
    "branch",
    "phone",
    "phone_national",
    "name",
    "given_names",
    "surnames",
    "document_type",
    "document_number",
    "district",
    "pays_on",
]
OfFile = Literal[
    "constant",
    "count",
    "total",
    "currency",
    "message_id",
    "pays_on",
    "created_on",
    "payer_account",
    "payer_name",
]
Source = Literal[OfPayment, OfFile]

CODE = re.compile(r"[a-z][a-z0-9.-]{1,39}")
COLUMNS_MAX = 60
# A provider's answer is matched by the payment's id, so it must fit; as must what can't be cut.
WIDTH_MIN = {
    "end_to_end_id": 34,
    "amount": 10,
    "total": 12,
    "count": 5,
    "row_no": 5,
    "currency": 3,
    "account": 20,
    "payer_account": 20,
    "phone": 16,
    "phone_national": 9,
    "document_number": 12,
    "district": 6,
    "message_id": 35,
}
DATES = {"yyyy-mm-dd": 10, "yyyymmdd": 8, "dd/mm/yyyy": 10, "ddmmyyyy": 8}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
# Without one of these nobody can be paid by that instrument.
NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "bank_account": (("account",),),
    "mobile_wallet": (("phone", "phone_national"),),
    "otc_cash": (("name", "surnames"), ("document_number",)),
}


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a record: what stands in it, and in files of fixed width how.

    `width` also bounds a name in the other kinds; nothing but names and constants is ever cut.
    """

    source: Source
    header: Annotated[str, msgspec.Meta(max_length=60)] = ""
    constant: Annotated[str, msgspec.Meta(max_length=100)] = ""
    width: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None
    align: Literal["left", "right"] = "left"
    pad: Literal["space", "zero"] = "space"


Columns = Annotated[tuple[Column, ...], msgspec.Meta(max_length=COLUMNS_MAX)]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's file. `settled_by`: what proves a delivery, the bank's debit or its report.

    After `claim_days` unclaimed payments expire; None if they don't. `titles` puts the columns'
    headers before the payments; `header` and `trailer` are records of the whole file.
    """

    code: Annotated[str, msgspec.Meta(min_length=2, max_length=40)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    kind: Kind
    instruments: Annotated[tuple[Paid, ...], msgspec.Meta(min_length=1, max_length=3)]
    settled_by: Literal["statement", "report"]
    claim_days: Annotated[int, msgspec.Meta(ge=1, le=366)] | None = None
    payments_per_file_max: Annotated[int, msgspec.Meta(ge=10, le=10_000)] | None = None
    split_by: Literal["district", "branch"] | None = None
    charset: Charset = "ascii"
    decimals: Literal["point", "comma", "minor"] = "point"
    dates: Literal["yyyy-mm-dd", "yyyymmdd", "dd/mm/yyyy", "ddmmyyyy"] = "yyyy-mm-dd"
    line_end: Literal["crlf", "lf"] = "crlf"
    delimiter: Literal["comma", "semicolon", "tab", "pipe"] = "comma"
    quoting: Literal["minimal", "all", "none"] = "minimal"
    titles: bool = True
    columns: Columns = ()
    header: Columns = ()
    trailer: Columns = ()

    @property
    def is_pain(self) -> bool:
        return self.kind.startswith("pain.")

    def wants(self, *sources: str) -> bool:
        """Whether a payment of this file says any of these."""
        return any(column.source in sources for column in self.columns)


class Versioned(Profile, frozen=True, kw_only=True):
    """A profile as it is kept; version 0 came with the program."""

    version: int


def check(raw: object) -> tuple[Profile, tuple[Fault, ...]]:
    """Read a profile from decoded JSON with every fault; it is whole only when there is none."""
    profile, findings = read_form(raw, Profile)
    if isinstance(raw, dict):
        told = {finding.path for finding in findings}
        findings += [each for each in _faults_of(profile) if each.path not in told]
    return profile, in_order(findings, raw)


def _faults_of(profile: Profile) -> Iterator[Finding]:
    if not CODE.fullmatch(profile.code):
        yield Finding(("code",), "profile_code")
    if len(set(profile.instruments)) < len(profile.instruments):
        yield Finding(("instruments",), "profile_twice")
    only_accounts = set(profile.instruments) <= {"bank_account"}
    if profile.split_by == "branch" and not only_accounts:
        yield Finding(("split_by",), "profile_branch")
    if profile.is_pain:
        if not only_accounts:
            yield Finding(("instruments",), "profile_pain_pays")
        for part in ("columns", "header", "trailer"):
            if getattr(profile, part):
                yield Finding((part,), "profile_pain_columns")
    else:
        yield from _faults_of_text(profile)


def _faults_of_text(profile: Profile) -> Iterator[Finding]:
    yield from _needs(profile)
    if profile.kind == "fixed" and profile.charset == "utf-8":
        # A letter of two bytes would shift all that follows.
        yield Finding(("charset",), "code_unknown", "ascii, latin-1, cp1252")
    if (profile.quoting, profile.delimiter, profile.decimals) == ("none", "comma", "comma"):
        yield Finding(("quoting",), "profile_quoting")
    for part in ("header", "columns", "trailer"):
        for place, column in enumerate(getattr(profile, part)):
            yield from _faults_of_column(profile, column, (part, place))


def _needs(profile: Profile) -> Iterator[Finding]:
    wanted: list[tuple[str, ...]] = [("end_to_end_id",), ("amount",)]
    for instrument in profile.instruments:
        wanted += NEEDED.get(instrument, ())
    for sources in wanted:
        if not profile.wants(*sources):
            yield Finding(("columns",), "profile_needs", " / ".join(sources))


def _faults_of_column(profile: Profile, column: Column, path: Path) -> Iterator[Finding]:
    of_payment = path[0] == "columns"
    allowed = get_args(OfPayment) if of_payment else get_args(OfFile)
    if column.source not in allowed:
        yield Finding((*path, "source"), "code_unknown", ", ".join(allowed))
        return
    # A blank field of fixed width is a constant of nothing.
    may_be_blank = profile.kind == "fixed" and column.source == "constant"
    if (column.source == "constant") is not bool(column.constant) and not may_be_blank:
        yield Finding((*path, "constant"), "profile_constant")
    if not _can_write(column.constant + column.header, profile.charset):
        yield Finding((*path, "constant"), "profile_charset", profile.charset)
    if of_payment and profile.titles and profile.kind != "fixed" and not column.header:
        yield Finding((*path, "header"), "field_missing")
    if column.width is None:
        if profile.kind == "fixed":
            yield Finding((*path, "width"), "field_missing")
        return
    needed = WIDTH_MIN.get(column.source, len(column.constant))
    if column.source in {"pays_on", "created_on"}:
        needed = DATES.get(profile.dates, 0)
    if column.width < needed:
        yield Finding((*path, "width"), "profile_narrow", str(needed))


def _can_write(text: str, charset: str) -> bool:
    try:
        text.encode(charset or "ascii")
    except UnicodeEncodeError:
        return False
    return True
