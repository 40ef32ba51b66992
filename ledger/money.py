"""Money: integer minor units and a currency, never a float and never a bare int."""

import re
from collections.abc import Sequence

import msgspec

# ISO 4217, list one of 2024-06-25: what is spent, by its number of decimals. Funds, metals and
# test codes are left out, but for Chile's unit of account.
_BY_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN"
    " BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS"
    " GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR"
    " LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD"
    " PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN"
    " SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW"
    " ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF",
}
EXPONENTS = {code: digits for digits, codes in _BY_DECIMALS.items() for code in codes.split()}
AMOUNT = re.compile(r"(-?)(\d{1,16})(?:\.(\d{1,5}))?")
MINOR_MAX = 10**18 - 1


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An amount in minor units (céntimos of a sol) of one ISO 4217 currency."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent(self.currency)
        if abs(self.amount_minor) > MINOR_MAX:
            raise ValueError("the amount exceeds 18 digits")

    def __add__(self, other: "Money") -> "Money":
        return Money(amount_minor=self.amount_minor + self._same(other), currency=self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(amount_minor=self.amount_minor - self._same(other), currency=self.currency)

    def __str__(self) -> str:
        """Write as a bank file does: a point, and exactly the currency's decimals."""
        digits = exponent(self.currency)
        sign = "-" if self.amount_minor < 0 else ""
        whole, rest = divmod(abs(self.amount_minor), 10**digits)
        return f"{sign}{whole}.{rest:0{digits}d}" if digits else f"{sign}{whole}"

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")
        return other.amount_minor


def exponent(currency: str) -> int:
    """Return the number of decimals of an ISO 4217 currency; ValueError when it is not known."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise ValueError(f"currency {currency!r} is not known") from None


def parse(amount: str, currency: str) -> Money:
    """Read a decimal as files carry it ("1250.5", "1250.50").

    Raises ValueError for anything else, and for more decimals than the currency has.
    """
    found = AMOUNT.fullmatch(amount.strip())
    if found is None:
        raise ValueError("not a decimal amount")
    sign, whole, decimals = found.group(1), found.group(2), found.group(3) or ""
    digits = exponent(currency)
    if len(decimals.rstrip("0")) > digits:
        raise ValueError(f"more decimals than {currency} has")
    minor = int(whole) * 10**digits + int((decimals + "0" * digits)[:digits] or "0")
    return Money(amount_minor=-minor if sign else minor, currency=currency)


def split(whole: Money, weights: Sequence[int]) -> list[Money]:
    """Split an amount in proportion to `weights`, losing no minor unit.

    Leftover units go to the largest remainders, earliest first (Hamilton's method). Raises
    ValueError unless the amount and every weight is >= 0 and one weight is > 0.
    """
    of_all = sum(weights)
    if whole.amount_minor < 0 or of_all <= 0 or min(weights) < 0:
        raise ValueError("an amount is split by weights of which one is more than nothing")
    quotas = [divmod(whole.amount_minor * weight, of_all) for weight in weights]
    left = whole.amount_minor - sum(quota for quota, _ in quotas)
    by_remainder = sorted(range(len(weights)), key=lambda place: -quotas[place][1])
    more = set(by_remainder[:left])
    return [
        Money(amount_minor=quota + (place in more), currency=whole.currency)
        for place, (quota, _) in enumerate(quotas)
    ]


def total(amounts: Sequence[Money], currency: str) -> Money:
    """Add amounts of one currency; of none, zero."""
    return sum(amounts, start=Money(amount_minor=0, currency=currency))
