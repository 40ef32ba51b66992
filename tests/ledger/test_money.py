import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.money import EXPONENTS, MINOR_MAX, Money, exponent, parse, total

currencies = st.sampled_from(sorted(EXPONENTS))
amounts = st.integers(-(10**15), 10**15)


@given(amounts, currencies)
def test_an_amount_reads_back_as_it_was_written(amount_minor, currency):
    money = Money(amount_minor=amount_minor, currency=currency)
    assert parse(str(money), currency) == money


@given(amounts, amounts, currencies)
def test_what_is_added_can_be_taken_away(one, other, currency):
    a, b = (Money(amount_minor=n, currency=currency) for n in (one, other))
    assert (a + b) - b == a
    assert total([a, b], currency) == b + a


@given(st.text(max_size=12), currencies)
def test_any_text_is_an_amount_or_refused(amount, currency):
    try:
        money = parse(amount, currency)
    except ValueError:
        return
    assert parse(str(money), currency) == money


@pytest.mark.parametrize(
    ("amount", "currency", "amount_minor"),
    [
        ("760", "PEN", 76_000),
        ("760.5", "PEN", 76_050),
        ("760.500", "PEN", 76_050),
        ("-0.01", "PEN", -1),
        ("100", "CLP", 100),
        ("100.00", "CLP", 100),
        ("1.234", "KWD", 1_234),
    ],
)
def test_the_decimals_are_those_of_the_currency(amount, currency, amount_minor):
    assert parse(amount, currency).amount_minor == amount_minor


@pytest.mark.parametrize("amount", ["", "1,5", "1.", ".5", "1.005", "1e3", "+1", "NaN", "1 000"])
def test_what_is_not_plainly_an_amount_is_refused(amount):
    with pytest.raises(ValueError, match="decimal"):
        parse(amount, "PEN")


def test_currencies_do_not_mix_and_unknown_ones_are_refused():
    with pytest.raises(ValueError, match="PEN"):
        Money(amount_minor=1, currency="USD") + Money(amount_minor=1, currency="PEN")
    with pytest.raises(ValueError, match="not known"):
        exponent("XXX")
    with pytest.raises(ValueError, match="18 digits"):
        Money(amount_minor=MINOR_MAX + 1, currency="PEN")
