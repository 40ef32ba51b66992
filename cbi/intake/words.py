"""The words of partners' files: column titles and codes, in Spanish and English.

Titles and values are compared folded: no accents, no case, everything else an underscore.
"""

import re
import unicodedata
from functools import lru_cache
from importlib import resources
from typing import Literal, get_args

import msgspec

from cbi.account import InstrumentKind, Role
from cbi.consent import Channel
from cbi.document import DocumentType
from cbi.household import Assistance, Intention, PopulationType
from cbi.person import BirthPrecision, Relationship, Sex, SpecificNeed
from cbi.place import COUNTRIES

Language = Literal["es", "en"]


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """What our template and our form call columns and codes; `title_en` heads a column."""

    columns: dict[str, dict[str, str]]
    values: dict[str, dict[str, dict[str, str]]]


LABELS = msgspec.json.decode(
    resources.files("cbi.intake").joinpath("labels.json").read_bytes(), type=Labels
)
# The list of codes (of VALUES and LABELS) of each coded column.
OF_COLUMN = {
    "tipo_poblacion": "population_type",
    "intencion": "intention",
    "asistencia": "assistance_wanted",
    "medio_pago": "instrument",
    "titular_cuenta": "role",
    "consentimiento_registro": "bool",
    "consentimiento_duplicados": "bool",
    "consentimiento_pago": "bool",
    "consentimiento_derivacion": "bool",
    "consentimiento_contacto": "bool",
    "consentimiento_idioma": "language",
    "consentimiento_canal": "channel",
    "precision_nacimiento": "birth_precision",
    "sexo": "sex",
    "parentesco": "relationship",
    "roles": "role",
    "vive_en_hogar": "bool",
    "nacionalidad": "country",
    "tipo_documento": "document_type",
    "pais_documento": "country",
    "necesidades": "specific_needs",
}

# Each column's own name, which our template uses, and what else partners call it.
HOUSEHOLD_COLUMNS = {
    "codigo_hogar": "codigo hogar_id id_hogar codigo_del_hogar codigo_familia caso codigo_caso "
    "referencia household_id household_code reference",
    "fecha_registro": "fecha_de_registro fecha today registration_date registered_on",
    "ubigeo": "ubigeo_distrito codigo_ubigeo cod_ubigeo",
    # Titles that declare whose codes these are.
    "ubigeo_inei": "inei codigo_inei ubigeo_del_inei",
    "ubigeo_reniec": "reniec codigo_reniec ubigeo_del_reniec",
    "distrito": "district nombre_distrito",
    "provincia": "province nombre_provincia",
    "departamento": "department nombre_departamento",
    "tipo_poblacion": "tipo_de_poblacion poblacion perfil population_type",
    "intencion": "intencion_permanencia intention",
    "asistencia": "asistencia_solicitada asistencia_deseada assistance assistance_wanted",
    "medio_pago": "medio_de_pago instrumento instrumento_pago instrumento_de_pago instrument",
    "banco": "entidad billetera bank provider",
    "cuenta": "numero_cuenta numero_de_cuenta nro_cuenta n_de_cuenta n_de_cuenta_cci cci "
    "cuenta_cci account",
    "titular_cuenta": "titular titular_de_la_cuenta account_holder",
    "consentimiento_registro": "acepta_registro consent_registration consentimiento",
    "consentimiento_duplicados": "acepta_duplicados consent_duplicate_check",
    "consentimiento_pago": "consentimiento_fsp acepta_fsp acepta_pago consent_fsp",
    "consentimiento_derivacion": "consentimiento_referencia acepta_derivacion consent_referral",
    "consentimiento_contacto": "acepta_contacto consent_contact",
    "consentimiento_version": "version_consentimiento consent_version",
    "consentimiento_idioma": "idioma_consentimiento idioma consent_language",
    "consentimiento_canal": "canal_consentimiento canal consent_channel",
    "consentimiento_fecha": "fecha_consentimiento fecha_de_consentimiento consent_date",
}
PERSON_COLUMNS = {
    "nombres": "nombre given_names given_name first_name",
    "primer_nombre": "nombre_1 nombre1",
    "segundo_nombre": "otros_nombres nombre_2 nombre2 middle_name",
    "apellidos": "apellido surnames surname last_name",
    "primer_apellido": "apellido_paterno ap_paterno paterno",
    "segundo_apellido": "apellido_materno ap_materno materno",
    "nombre_preferido": "nombre_social conocido_como preferred_name",
    "fecha_nacimiento": "fecha_de_nacimiento f_nacimiento fec_nac fecha_nac nacimiento "
    "birth_date date_of_birth dob",
    "precision_nacimiento": "precision_fecha_nacimiento birth_precision",
    "edad": "edad_anos edad_en_anos age",
    "sexo": "genero sex gender",
    "parentesco": "relacion relacion_jefe parentesco_con_jefe relationship",
    "roles": "rol role",
    "vive_en_hogar": "vive_en_el_hogar reside_en_hogar lives_in_household",
    "nacionalidad": "pais_nacionalidad pais_de_nacionalidad nationality",
    "telefono": "celular telefono_celular numero_telefono nro_telefono movil phone mobile",
    "tipo_documento": "tipo_de_documento tipo_doc document_type",
    "numero_documento": "numero_de_documento nro_documento n_documento num_documento documento "
    "n_de_documento document_number",
    "pais_documento": "pais_de_documento pais_emisor document_country",
    "vence_documento": "fecha_vencimiento vencimiento_documento document_expires_on",
    "necesidades": "necesidades_especificas vulnerabilidad specific_needs",
    # A column of its own for one type of document.
    "pe-dni": "dni numero_dni dni_numero",
    "pe-ce": "ce carne_de_extranjeria carne_extranjeria carnet_de_extranjeria",
    "pe-ptp": "ptp numero_ptp",
    "pe-cpp": "cpp numero_cpp",
    "ve-cedula": "cedula cedula_venezolana cedula_de_identidad numero_cedula",
    "passport": "pasaporte numero_pasaporte",
}
# These may come again with a number behind: telefono_2, tipo_documento_3.
NUMBERED = frozenset(
    {"telefono", "tipo_documento", "numero_documento", "pais_documento", "vence_documento"}
)
DOCUMENT_COLUMNS = ("pe-dni", "pe-ce", "pe-ptp", "pe-cpp", "ve-cedula", "passport")
REPEAT_PERSONS = frozenset(["personas", "persona", "persons", "miembros", "integrantes", "members"])
REPEAT_DOCUMENTS = frozenset(["documentos", "documents"])

# The column in which a corrections file tells what is wrong: known, and never read.
TOLD = "faltas"
# Codes of the template's example row, which is left out.
EXAMPLES = frozenset({"ejemplo", "example"})

_WORDS: dict[str, tuple[object, dict[str, str]]] = {
    "population_type": (
        PopulationType,
        {
            "in_destination": "en_destino destino con_vocacion_de_permanencia permanencia",
            "in_transit": "en_transito transito",
            "host_community": "comunidad_de_acogida comunidad_receptora acogida",
            "colombian_returnee": "retornado_colombiano colombiano_retornado retornado",
        },
    ),
    "intention": (
        Intention,
        {
            "stay": "quedarse permanecer",
            "move_on": "seguir continuar seguir_viaje",
            "return": "retornar volver regresar",
            "undecided": "indeciso indecisa no_sabe",
            "not_stated": "no_indica",
        },
    ),
    "assistance_wanted": (
        Assistance,
        {
            "mpca": "efectivo_multiproposito multiproposito efectivo transferencia",
            "transit_grant": "bono_de_transito bono_transito",
            "food": "alimentos alimentacion comida",
            "rent": "alquiler vivienda",
            "health": "salud",
            "protection": "proteccion",
            "education": "educacion",
            "livelihood": "medios_de_vida trabajo",
            "other": "otro otra",
        },
    ),
    "instrument": (
        InstrumentKind,
        {
            "bank_account": "cuenta_bancaria cuenta banco",
            "mobile_wallet": "billetera_movil billetera yape plin",
            "prepaid_card": "tarjeta_prepago tarjeta",
            "otc_cash": "ventanilla efectivo_en_ventanilla giro",
            "direct_cash": "efectivo efectivo_directo",
            "cardless_atm": "cajero_sin_tarjeta retiro_sin_tarjeta",
            "voucher": "vale cupon",
        },
    ),
    "role": (
        Role,
        {
            "head": "jefe jefa jefe_a jefe_de_hogar jefa_de_hogar jefatura",
            "primary_collector": "cobrador cobradora cobrador_principal cobradora_principal "
            "titular principal",
            "alternate_collector": "alterno alterna cobrador_alterno cobradora_alterna suplente",
        },
    ),
    "channel": (
        Channel,
        {
            "in_person": "presencial en_persona",
            "phone": "telefono por_telefono",
            "online": "en_linea web",
            "paper": "papel escrito",
        },
    ),
    "sex": (
        Sex,
        {
            "F": "f mujer femenino femenina hembra female woman",
            "M": "h hombre masculino varon male man",
            "other": "otro otra o no_binario",
            "not_stated": "no_indica no_responde ns",
        },
    ),
    "relationship": (
        Relationship,
        {
            "head": "jefe jefa jefe_a jefe_de_hogar jefa_de_hogar jefe_a_de_hogar titular",
            "partner": "conyuge pareja esposo esposa esposo_a conviviente spouse",
            "child": "hijo hija hijo_a hijastro hijastra son daughter",
            "parent": "padre madre padre_madre padre_o_madre mother father",
            "sibling": "hermano hermana hermano_a brother sister",
            "grandchild": "nieto nieta nieto_a",
            "grandparent": "abuelo abuela abuelo_a",
            "other_relative": "otro_familiar otro_pariente pariente familiar sobrino sobrina "
            "tio tia primo prima suegro suegra cunado cunada yerno nuera",
            "not_related": "no_familiar sin_parentesco no_pariente otro",
            "not_stated": "no_indica",
        },
    ),
    "birth_precision": (
        BirthPrecision,
        {"day": "dia exacta", "month": "mes", "year": "ano", "age": "edad"},
    ),
    "document_type": (
        DocumentType,
        {
            "pe-dni": "dni documento_nacional_de_identidad",
            "pe-ruc": "ruc",
            "pe-ce": "ce carne_de_extranjeria carne_extranjeria carnet_de_extranjeria",
            "pe-ptp": "ptp permiso_temporal_de_permanencia",
            "pe-cpp": "cpp carne_de_permiso_temporal_de_permanencia",
            "pe-asylum": "solicitante_de_refugio solicitud_de_refugio carne_de_solicitante",
            "pe-tam": "tam tarjeta_andina tarjeta_andina_de_migracion",
            "ve-cedula": "cedula cedula_de_identidad cedula_venezolana ci c_i",
            "passport": "pasaporte pas",
            "birth-cert": "partida_de_nacimiento acta_de_nacimiento partida acta",
            "other": "otro",
        },
    ),
    "specific_needs": (
        SpecificNeed,
        {
            "disability": "discapacidad",
            "chronic_illness": "enfermedad_cronica enfermedad",
            "pregnant_or_nursing": "gestante lactante embarazada gestante_o_lactante",
            "single_parent": "monoparental madre_sola padre_solo",
            "older_person_alone": "adulto_mayor_solo adulta_mayor_sola",
            "child_unaccompanied": "nna_no_acompanado nino_no_acompanado",
            "child_at_risk": "nna_en_riesgo nino_en_riesgo",
            "legal_protection": "proteccion_legal",
            "gbv_survivor": "sobreviviente_vbg vbg",
            "other": "otro otra",
        },
    ),
    "bool": (
        None,
        {"yes": "si s y 1 true verdadero x acepta", "no": "n 0 false falso no_acepta"},
    ),
    "country": (
        None,
        {
            "VEN": "venezuela venezolana venezolano ve",
            "PER": "peru peruana peruano pe",
            "COL": "colombia colombiana colombiano co",
            "ECU": "ecuador ecuatoriana ecuatoriano ec",
            "CHL": "chile chilena chileno cl",
            "BOL": "bolivia boliviana boliviano bo",
            "CUB": "cuba cubana cubano cu",
            "HTI": "haiti haitiana haitiano ht",
            "XXA": "apatrida stateless",
        },
    ),
}


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Lower case without accents; runs of anything else become one underscore."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(each for each in plain if not unicodedata.combining(each))
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _table(codes: object, words: dict[str, str]) -> dict[str, str]:
    table = {fold(code): code for code in (get_args(codes) or words)}
    for code, known in words.items():
        table.update(dict.fromkeys(known.split(), code))
    return table


VALUES = {name: _table(codes, words) for name, (codes, words) in _WORDS.items()}
VALUES["language"] = {}
for _name, _labels in LABELS.values.items():
    for _code, _label in _labels.items():
        VALUES[_name] |= dict.fromkeys((fold(_label["es"]), fold(_label["en"]), fold(_code)), _code)
VALUES["country"].update({each.lower(): each for each in COUNTRIES})

_TITLES = {
    title: name
    for name, titles in (HOUSEHOLD_COLUMNS | PERSON_COLUMNS).items()
    for title in (fold(name), name, *titles.split())
}
_TITLES |= {label["title_en"]: name for name, label in LABELS.columns.items()}
_TITLES |= dict.fromkeys((TOLD, "faults", "errores_encontrados"), TOLD)


def title_of(name: str, language: Language) -> str:
    """What our template titles a column, with its number from the second on."""
    if language == "es":
        return name
    base, _, number = name.rpartition("_")
    if base in NUMBERED and number.isdecimal():
        return f"{LABELS.columns[base]['title_en']}_{number}"
    return LABELS.columns[name]["title_en"]


def column(title: str) -> str:
    """The column a title names (with its number from the second on), or "" for none."""
    folded = fold(title)
    if folded in _TITLES:
        return _TITLES[folded]
    numbered = re.fullmatch(r"(.+?)_?([1-9]|10)", folded)
    if numbered is None or (base := _TITLES.get(numbered[1])) not in NUMBERED:
        return ""
    return base if numbered[2] == "1" else f"{base}_{numbered[2]}"
