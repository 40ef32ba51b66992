"""MT940: the statement of an account as SWIFT writes it, through the patterns of `mt-940`.

The package's own parser writes what it can't read to the log and holds a whole file; so its
patterns are used field by field, and each field is bounded before they see it.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import BinaryIO

from mt940 import tags

from ledger import money
from ledger.formats import xml
from ledger.formats.entry import Direction
from ledger.formats.xml import Fault, Unreadable
from ledger.money import Money
from ledger.statement import Frame, Line, RejectedLine, Status

LINE_BYTES_MAX = 1024
FIELD_CHARACTERS_MAX = 4096
FIELD = re.compile(r":([0-9]{2}[A-Z]?|NS):(.*)", re.DOTALL)
BEGIN = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{1:|:20:)|(?s:.{0,2000}?)(?:\{4:\s*|\n):20:")
NO_REFERENCE = frozenset({"NONREF", xml.NOT_PROVIDED})
RETURNS = frozenset({"NRTI"})  # a returned item

STATEMENT = tags.Statement()
BALANCE = tags.FinalOpeningBalance()
NUMBER = tags.StatementNumber()
ACCOUNT = tags.AccountIdentification()
REFERENCE = tags.TransactionReferenceNumber()
OPENINGS = frozenset({"60F", "60M"})
CLOSINGS = frozenset({"62F", "62M"})

# Sub-fields of field 86, as German banks ("?20EREF+…"), Dutch ones ("/EREF/…/") and others write
# them.
SUB_FIELD = re.compile(r"\?[0-9]{2}")
KEYS = "EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|IBAN|BIC|PURP|COAM|OAMT"
KEY = re.compile(rf"(?:{KEYS})\+|/")
PLUS = re.compile(rf"({KEYS})\+(.*?)(?=(?:{KEYS})\+|$)")
SLASH = re.compile(r"/(EREF|IBAN|PREF)/([^/]{1,35})(?=/|$)")


def looks_like(begin: bytes) -> bool:
    return BEGIN.match(begin) is not None


class Message:
    """One statement while its fields go by; pages of one statement are one."""

    def __init__(self) -> None:
        self.reference = ""
        self.account = ""
        self.number: int | None = None
        self.opening: Money | None = None
        self.closing: Money | None = None
        self.booked_on: date | None = None
        self.is_open = False  # closed in between, to go on in another message
        self.currency = ""

    def frame(self) -> Frame:
        if not self.account:
            raise Unreadable(":25:", "missing")
        number = "" if self.number is None else f" {self.number}"
        day = "" if self.booked_on is None else f" {self.booked_on}"
        return Frame(
            source="mt940",
            # Many banks write the same in field 20 every day.
            message_id=f"{self.reference}{number}{day}".strip(),
            original_message_id="",
            account=self.account,
            currency=self.currency,
            sequence=self.number,
            booked_on=self.booked_on,
            opening=self.opening,
            closing=self.closing,
        )


def read(file: BinaryIO) -> Iterator[Line | RejectedLine | Frame]:
    """Yield each statement's lines and then its frame; ordinals run through the whole file."""
    reader = _Reader()
    for number, name, value in fields(file):
        yield from reader.take(number, name, value)
    yield from reader.end()


class _Reader:
    """Goes from field to field: which statement is open, and which line waits for its details."""

    def __init__(self) -> None:
        self.ordinal = 0
        self.message: Message | None = None
        self.following: Message | None = None  # has begun, and may go on with the one before
        self.waiting: tuple[int, str] | None = None  # a line that its field 86 may follow

    def take(self, number: int, name: str, value: str) -> Iterator[Line | RejectedLine | Frame]:
        yield from self._waited(value if name == "86" else "")
        if name == "20":
            yield from self._begun()
            self.following = Message()
            self.following.reference = _group(REFERENCE, value.strip()[:16]) or ""
        elif self.following is not None and name in {"25", "28C", "28"}:
            _head(self.following, name, value)
        elif name:
            yield from self._begun()
            yield from self._body(number, name, value)

    def end(self) -> Iterator[Line | RejectedLine | Frame]:
        yield from self._waited("")
        yield from self._begun()
        if self.message is None:
            raise Unreadable("line 1, byte 0", "no statement in it")
        yield self.message.frame()

    def _waited(self, more: str) -> Iterator[Line | RejectedLine]:
        if self.waiting is not None and self.message is not None:
            number, value = self.waiting
            self.ordinal += 1
            self.waiting = None
            yield _line(value, more, self.message, self.ordinal, number)

    def _begun(self) -> Iterator[Frame]:
        """Let the statement that has begun be the open one, or a page of it."""
        if self.following is None:
            return
        if self.message is not None and not _goes_on(self.message, self.following):
            yield self.message.frame()
            self.message = None
        self.message, self.following = self.message or self.following, None

    def _body(self, number: int, name: str, value: str) -> Iterator[RejectedLine]:
        if self.message is None:
            return
        if name == "61":
            self.waiting = (number, value)
        elif name in OPENINGS | CLOSINGS:
            try:
                _balance(self.message, name, value)
            except Fault as fault:
                self.ordinal += 1
                where = f"line {number}/{fault.where}"
                yield RejectedLine(ordinal=self.ordinal, where=where, reason=fault.reason)


def fields(file: BinaryIO) -> Iterator[tuple[int, str, str]]:
    """Yield each field: the line it begins on, its tag and its value; no line is too long."""
    file.seek(0)
    at, name, value, size = 0, "", "", 0
    for number, raw in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""), start=1):
        if len(raw) > LINE_BYTES_MAX:
            where = f"line {number}, byte {size}"
            raise Unreadable(where, f"a line of more than {LINE_BYTES_MAX} bytes")
        size += len(raw)
        line = _text(raw.removeprefix(xml.BOM) if number == 1 else raw)
        _, envelope, inside = line.rpartition("{4:")
        line = inside if envelope else line
        found = FIELD.fullmatch(line)
        if found is not None or line.startswith("-"):
            if name:
                yield at, name, value
            at, name, value = number, *(found.groups() if found is not None else ("", ""))
        elif name:
            if len(value) + len(line) >= FIELD_CHARACTERS_MAX:
                where = f"line {number}, byte {size - len(raw)}"
                raise Unreadable(where, f"a field of more than {FIELD_CHARACTERS_MAX} characters")
            value = f"{value}\n{line}"
    if name:
        yield at, name, value


def _text(raw: bytes) -> str:
    line = raw.rstrip(b"\r\n")
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("windows-1252", errors="replace")


def _head(message: Message, name: str, value: str) -> None:
    if name == "25":
        message.account = (_group(ACCOUNT, value.strip()) or "").strip()
    else:
        digits = _group(NUMBER, value.strip())
        message.number = int(digits) if digits and digits.isascii() else None


def _goes_on(message: Message, following: Message) -> bool:
    same = (message.account, message.number) == (following.account, following.number)
    return message.is_open and same


def _group(tag: tags.Tag, value: str) -> str | None:
    found = tag.re.match(value)
    return None if found is None else str(next(iter(found.groups())) or "")


def _balance(message: Message, name: str, value: str) -> None:
    found = BALANCE.re.match(value.strip())
    if found is None:
        raise Fault(f":{name}:", "not a balance")
    read = _money(found["amount"], found["currency"].upper(), f":{name}:")
    sign = 1 if found["status"].upper() == "C" else -1
    amount = Money(amount_minor=sign * read.amount_minor, currency=read.currency)
    day = _day(found["year"], found["month"], found["day"], f":{name}:")
    message.currency = read.currency
    if name in OPENINGS:
        message.opening = message.opening or amount
    else:
        message.closing, message.booked_on = amount, day
        message.is_open = name == "62M"


def _line(
    value: str, more: str, message: Message, ordinal: int, number: int
) -> Line | RejectedLine:
    try:
        return _movement(value, more, message, ordinal)
    except Fault as fault:
        where = f"line {number}/{fault.where}"
        return RejectedLine(ordinal=ordinal, where=where, reason=fault.reason)


def _movement(value: str, more: str, message: Message, ordinal: int) -> Line:
    found = STATEMENT.re.match(value.strip())
    if found is None:
        raise Fault(":61:", "not a statement line")
    if not message.currency:
        raise Fault(":60F:", xml.CURRENCY_UNKNOWN)
    mark = found["status"].upper()
    # RC takes a credit back, RD a debit: that is money which comes back to us.
    direction: Direction = "credit" if mark in {"C", "RD"} else "debit"
    kind = (found["id"] or "").upper()
    back = direction == "credit" and (mark == "RD" or kind in RETURNS)
    status: Status = "returned" if back else "booked"
    value_on = _day(found["year"], found["month"], found["day"], ":61:")
    told = _told(more)
    reference = (found["customer_reference"] or "").strip()
    reference = "" if reference in NO_REFERENCE else reference
    return Line(
        source="mt940",
        ordinal=ordinal,
        status=status,
        direction=direction,
        end_to_end_id=told.get("EREF", reference)[: xml.IDENTIFIER_MAX],
        bank_reference=(found["bank_reference"] or "").strip(),
        money=_money(found["amount"], message.currency, ":61:"),
        booked_on=_entry_day(found["entry_month"], found["entry_day"], value_on),
        reason="",
        batch_id=told.get("KREF", told.get("PREF", reference))[: xml.IDENTIFIER_MAX],
        account=told.get("IBAN", "")[: xml.TEXT_MAX],
        reference=_text_of(found["extra_details"] or "", more),
        value_on=value_on,
    )


def _told(more: str) -> dict[str, str]:
    """Return the sub-fields of field 86 that are told apart by a key."""
    joined = SUB_FIELD.sub("", more.replace("\n", ""))
    told = dict(SLASH.findall(more.replace("\n", "")))
    told.update((key, text.strip()) for key, text in PLUS.findall(joined))
    return {key: text for key, text in told.items() if text and text not in NO_REFERENCE}


def _text_of(extra: str, more: str) -> str:
    """Return the free text, its keys taken out; a word may go on in the next line or sub-field."""
    joined = SUB_FIELD.sub("", more.replace("\n", ""))
    return f"{extra} {KEY.sub(' ', joined)}".strip()[: xml.REFERENCE_MAX]


def _money(digits: str, currency: str, where: str) -> Money:
    whole, comma, decimals = digits.partition(",")
    if currency not in money.EXPONENTS:
        raise Fault(where, xml.CURRENCY_UNKNOWN)
    if "," in decimals or not digits.isascii():
        raise Fault(where, "not an amount of its currency")
    # SWIFT always writes the comma, also with nothing behind it.
    return xml.money_of(f"{whole}.{decimals}" if comma and decimals else whole, currency, where)


def _day(year: str, month: str, day: str, where: str) -> date:
    try:
        return date(2000 + int(year), int(month), int(day))
    except ValueError:
        raise Fault(where, "not a date") from None


def _entry_day(month: str | None, day: str | None, value_on: date) -> date:
    """Return the day of booking, whose year is the one that brings it near the day of value."""
    if not (month or "").isdigit() or not (day or "").isdigit():
        return value_on
    near = [
        _day(f"{year % 100:02d}", month or "", day or "", ":61:")
        for year in (value_on.year - 1, value_on.year, value_on.year + 1)
        if 2000 <= year <= 2099 and _exists(year, month or "", day or "")
    ]
    if not near:
        raise Fault(":61:", "not a date")
    return min(near, key=lambda one: abs(one - value_on))


def _exists(year: int, month: str, day: str) -> bool:
    try:
        date(year, int(month), int(day))
    except ValueError:
        return False
    return True
