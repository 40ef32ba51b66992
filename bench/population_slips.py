"""How clerks write down dates, numbers, telephones and the rest."""

import numpy as np

from bench.names import Ints, Words, names
from bench.population_clerks import Clerks
from bench.population_conditions import DATES, SLIPS
from bench.population_papers import CE, CEDULA, CPP, PASSPORT, PTP, TYPES, written

_NUMERALS = np.array([str(digit) for digit in range(10)])


def write_dates(birth: Ints, relatives_birth: Ints, clerks: Clerks) -> Words:
    """Birth dates as YYYY-MM-DD, or empty."""
    rng, count = clerks.rng, len(birth)
    copied = clerks.hits(DATES["relatives"])
    birth = birth.copy()
    birth[copied] = relatives_birth[copied]
    days = birth.astype("datetime64[D]")
    year = days.astype("datetime64[Y]").astype(np.int64) + 1970
    month = days.astype("datetime64[M]").astype(np.int64) % 12 + 1
    day = (days - days.astype("datetime64[M]")).astype(np.int64) + 1
    rows = clerks.hits(DATES["swapped"], day <= 12)
    month[rows], day[rows] = day[rows], month[rows]
    rows = clerks.hits(DATES["part"])
    in_day = rng.random(len(rows)) < 0.5
    day[rows] = np.where(in_day, rng.integers(1, 29, len(rows)), day[rows])
    month[rows] = np.where(in_day, month[rows], rng.integers(1, 13, len(rows)))
    year, day = _digit_wrong(rng, year, day, clerks.hits(DATES["digit"]))
    guessed = clerks.hits(DATES["year_guessed"])
    year[guessed] += rng.choice((-1, 1, -2), len(guessed))
    default = np.zeros(count, dtype=bool)
    default[guessed] = True
    default[clerks.hits(DATES["default"])] = True
    # A few partners ask for the age only, more often than not.
    default |= clerks.habit(0.05, 0.15)
    month[default], day[default] = 1, 1
    day = np.minimum(day, _last_day(year, month))
    texts = np.array(
        [
            f"{y:04d}-{m:02d}-{d:02d}"
            for y, m, d in zip(year.tolist(), month.tolist(), day.tolist(), strict=True)
        ],
        dtype=object,
    )
    texts[clerks.hits(DATES["missing"])] = ""
    return texts


def _digit_wrong(rng: np.random.Generator, year: Ints, day: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """One digit of the year or the day, unless the person would be born in the future."""
    year, day = year.copy(), day.copy()
    where = rng.integers(0, 3, len(rows))
    digit = rng.integers(0, 10, len(rows))
    old = year[rows]
    new = np.select(
        [where == 0, where == 1],
        [old - old // 10 % 10 * 10 + digit * 10, old // 10 * 10 + digit],
        old,
    )
    year[rows] = np.where(new < 2026, new, old)
    day[rows] = np.where(where == 2, np.maximum(day[rows] // 10 * 10 + digit, 1), day[rows])
    return year, day


def _last_day(year: Ints, month: Ints) -> Ints:
    months = (year - 1970) * 12 + month
    first = months.astype("datetime64[M]").astype("datetime64[D]")
    return (first - (months - 1).astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)


def write_documents(kind: Ints, number: Ints, clerks: Clerks) -> tuple[Words, Words]:
    """Type codes and numbers as written; empty where nothing was shown."""
    rng, count = clerks.rng, len(kind)
    held = kind >= 0
    texts = written(kind, number)
    blotted(texts, clerks, held)
    # Spreadsheets take numbers for numbers.
    padded = np.isin(kind, (PASSPORT, PTP, CPP, CE))
    rows = np.flatnonzero(clerks.habit(0.18, 0.9) & padded)
    texts[rows] = [text.lstrip("0") for text in texts[rows]]
    _fashion_cedulas(texts, kind, clerks)
    named = np.where(held, kind, len(TYPES))
    rows = clerks.hits(SLIPS["document_type_wrong"], held)
    named[rows] = rng.choice((CEDULA, PASSPORT, PTP, CPP, CE), len(rows))
    codes = np.array([*TYPES, ""], dtype=object)[named]
    codes[rows[rng.random(len(rows)) < 0.3]] = "other"
    assert len(codes) == count
    return codes, texts


def blotted(texts: Words, clerks: Clerks, held: np.ndarray) -> None:
    """One digit wrong, two swapped, or one lost."""
    rng = clerks.rng
    for kind in ("number_wrong", "number_swapped", "number_lost"):
        rows = clerks.hits(SLIPS[kind], held)
        chance = rng.random((len(rows), 2))
        for row, (where, which) in zip(rows.tolist(), chance.tolist(), strict=True):
            text = texts[row]
            place = 1 + int(where * (len(text) - 2))
            if len(text) < 4:
                continue
            if kind == "number_wrong":
                texts[row] = text[:place] + str(int(which * 10)) + text[place + 1 :]
            elif kind == "number_swapped":
                swapped = text[place + 1] + text[place]
                texts[row] = text[:place] + swapped + text[place + 2 :]
            else:
                texts[row] = text[:place] + text[place + 1 :]


def _fashion_cedulas(texts: Words, kind: Ints, clerks: Clerks) -> None:
    """V12345678, V-12345678, 12345678 or V-12.345.678, as the partner likes it."""
    fashion = clerks.rng.integers(0, 4, clerks.organisations)[clerks.partner]
    for style in (1, 2, 3):
        rows = np.flatnonzero((kind == CEDULA) & (fashion == style))
        texts[rows] = [_fashioned(text, style) for text in texts[rows]]


def _fashioned(text: str, style: int) -> str:
    digits = text.lstrip("V")
    if style == 1:
        return f"V-{digits}"
    if style == 2:
        return digits
    return "V-" + ".".join((digits[:-6], digits[-6:-3], digits[-3:])).lstrip(".")


def write_phones(phone: Ints, clerks: Clerks) -> Words:
    """Numbers with and without country code and blanks, as the partner likes it."""
    texts = np.array([str(each) if each else "" for each in phone.tolist()], dtype=object)
    blotted_phones = clerks.hits(SLIPS["phone_wrong"], phone > 0)
    chance = clerks.rng.random((len(blotted_phones), 2))
    for row, (where, which) in zip(blotted_phones.tolist(), chance.tolist(), strict=True):
        place = 1 + int(where * (len(texts[row]) - 1))
        texts[row] = texts[row][:place] + str(int(which * 10)) + texts[row][place + 1 :]
    fashion = clerks.rng.choice(4, size=clerks.organisations, p=(0.55, 0.2, 0.15, 0.1))
    style = fashion[clerks.partner]
    peruvian = (phone > 0) & (phone < 10**9)
    abroad = phone > 10**9
    texts[abroad] = ["+" + text for text in texts[abroad]]
    for code, prefix in ((1, "+51"), (2, "51")):
        rows = peruvian & (style == code)
        texts[rows] = [prefix + text for text in texts[rows]]
    rows = peruvian & (style == 3)
    texts[rows] = [f"{text[:3]} {text[3:6]} {text[6:]}" for text in texts[rows]]
    return texts


def write_sexes(female: np.ndarray, clerks: Clerks) -> Words:
    female = female.copy()
    wrong = clerks.hits(SLIPS["sex_wrong"])
    female[wrong] = ~female[wrong]
    texts = np.where(female, "F", "M").astype(object)
    texts[clerks.hits(SLIPS["sex_missing"])] = ""
    return texts


def write_districts(district: Ints, clerks: Clerks) -> Words:
    codes = np.array(names().districts, dtype=object)
    texts = codes[district]
    # The clerk's own district, or the neighbouring code.
    near = clerks.hits(SLIPS["ubigeo_near"])
    texts[near] = codes[np.maximum(district[near] - 1, 0)]
    texts[clerks.hits(SLIPS["ubigeo_missing"])] = ""
    return texts
