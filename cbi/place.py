"""Where a household lives: UBIGEO codes of INEI, Peru's departments, and countries.

INEI and RENIEC number the departments differently (23 is Tacna for INEI and Tumbes for RENIEC),
so a file must declare which system it uses; only INEI is stored, and RENIEC is converted. Whoever
reads what is stored asks neither table: a district that vanishes from them breaks nothing.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from importlib import resources
from typing import Literal

import holidays
import msgspec

from cbi.fault import Finding

UbigeoSystem = Literal["inei", "reniec"]


class _Reniec(msgspec.Struct, frozen=True):
    to_inei: dict[str, str]


# RENIEC's district codes, and INEI's of the district that has that name in that province. The six
# that have none there, or not only one, are left out.
TO_INEI = msgspec.json.decode(
    resources.files("cbi").joinpath("reniec.json").read_bytes(), type=_Reniec
).to_inei

_UBIGEO = re.compile(r"[0-9]{6}")


class Department(msgspec.Struct, frozen=True, kw_only=True):
    """A department (or Callao) under its INEI number."""

    inei: str
    name: str
    iso_3166_2: str


DEPARTMENTS = {
    inei: Department(inei=inei, name=name, iso_3166_2=f"PE-{iso}")
    for inei, iso, name in (
        ("01", "AMA", "Amazonas"),
        ("02", "ANC", "Áncash"),
        ("03", "APU", "Apurímac"),
        ("04", "ARE", "Arequipa"),
        ("05", "AYA", "Ayacucho"),
        ("06", "CAJ", "Cajamarca"),
        ("07", "CAL", "Callao"),
        ("08", "CUS", "Cusco"),
        ("09", "HUV", "Huancavelica"),
        ("10", "HUC", "Huánuco"),
        ("11", "ICA", "Ica"),
        ("12", "JUN", "Junín"),
        ("13", "LAL", "La Libertad"),
        ("14", "LAM", "Lambayeque"),
        ("15", "LIM", "Lima"),
        ("16", "LOR", "Loreto"),
        ("17", "MDD", "Madre de Dios"),
        ("18", "MOQ", "Moquegua"),
        ("19", "PAS", "Pasco"),
        ("20", "PIU", "Piura"),
        ("21", "PUN", "Puno"),
        ("22", "SAM", "San Martín"),
        ("23", "TAC", "Tacna"),
        ("24", "TUM", "Tumbes"),
        ("25", "UCA", "Ucayali"),
    )
}

# ISO 3166-1 alpha-3, and ICAO's XXA for a stateless person.
_COUNTRIES = """
ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR
BHR BHS BIH BLM BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG
COK COL COM CPV CRI CUB CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM DZA ECU EGY ERI ESH ESP EST ETH
FIN FJI FLK FRA FRO FSM GAB GBR GEO GGY GHA GIB GIN GLP GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY
HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ ISL ISR ITA JAM JEY JOR JPN KAZ KEN KGZ KHM
KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO LTU LUX LVA MAC MAF MAR MCO MDA MDG MDV MEX MHL
MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM NCL NER NFK NGA NIC NIU NLD NOR
NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU RUS RWA SAU
SDN SEN SGP SGS SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA
TCD TGO THA TJK TKL TKM TLS TON TTO TUN TUR TUV TWN TZA UGA UKR UMI URY USA UZB VAT VCT VEN VGB
VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE XXA
"""
COUNTRIES = frozenset(_COUNTRIES.split())


class District(msgspec.Struct, frozen=True, kw_only=True):
    """A district under its INEI code."""

    inei: str
    name: str
    province: str
    department: str

    @property
    def shown(self) -> str:
        """The code with its names, as a remedy tells it."""
        return f"{self.inei} {self.name} ({self.province}, {self.department})"


class _Inei(msgspec.Struct, frozen=True):
    provinces: dict[str, str]
    districts: dict[str, str]


_INEI = msgspec.json.decode(resources.files("cbi").joinpath("inei.json").read_bytes(), type=_Inei)
DISTRICTS = {
    code: District(
        inei=code,
        name=name,
        province=_INEI.provinces[code[:4]],
        department=DEPARTMENTS[code[:2]].name,
    )
    for code, name in _INEI.districts.items()
}
# So many districts are named to somebody who meant another.
NEAREST_MAX = 3


def ubigeo_finding(ubigeo: str) -> Finding | None:
    """What is wrong with an INEI district code, if anything is."""
    path = ("ubigeo",)
    if re.fullmatch(r"[0-9]{5}", ubigeo):
        return Finding(path, "ubigeo_short")
    if _UBIGEO.fullmatch(ubigeo) is None or ubigeo.endswith("00"):
        return Finding(path, "ubigeo_form")
    if ubigeo[:2] not in DEPARTMENTS:
        return Finding(path, "ubigeo_department")
    if ubigeo not in DISTRICTS:
        return Finding(path, "ubigeo_unknown", told(nearest(ubigeo)))
    return None


def nearest(ubigeo: str) -> list[District]:
    """The districts whose code is a slip of the pen away, of that province first.

    Where there is none: the capital of the province, or of the department.
    """
    slips = sorted(
        {code for code in _slips(ubigeo) if code in DISTRICTS},
        key=lambda code: (code[:4] != ubigeo[:4], code[:2] != ubigeo[:2], code),
    )
    capitals = (f"{ubigeo[:4]}01", f"{ubigeo[:2]}0101")
    found = slips or [code for code in capitals if code in DISTRICTS][:1]
    return [DISTRICTS[code] for code in found[:NEAREST_MAX]]


def told(districts: Iterable[District]) -> str:
    """The districts as a fault names them."""
    return "; ".join(each.shown for each in districts) or "-"


def _slips(ubigeo: str) -> Iterator[str]:
    """Codes with one other digit, or with two neighbours that changed places."""
    for place, digit in enumerate(ubigeo):
        before, behind = ubigeo[:place], ubigeo[place + 1 :]
        yield from (f"{before}{other}{behind}" for other in "0123456789" if other != digit)
        if behind:
            yield f"{before}{behind[0]}{digit}{behind[1:]}"


def department(ubigeo: str) -> Department:
    """The department of a valid INEI district code. Raises KeyError for another."""
    return DEPARTMENTS[ubigeo[:2]]


@cache
def _holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("PE", years=year))


def bank_holidays(years: Iterable[int]) -> frozenset[date]:
    """Return the days of these years on which banks in Peru are closed, week-ends apart."""
    return frozenset(day for year in years for day in _holidays(year))
