"""The words of eligibility rules for people: Spanish, English."""

FACTS_ES_EN = {
    "population_type": ("tipo de población", "population type"),
    "intention": ("intención", "intention"),
    "size": ("tamaño del hogar", "household size"),
    "children_under_5": ("niñas y niños menores de 5 años", "children under 5"),
    "children_under_18": ("menores de 18 años", "children under 18"),
    "age_of_head": ("edad de quien encabeza el hogar", "age of the head"),
    "months_since_registration": ("meses desde el registro", "months since registration"),
    "single_parent": ("hogar monoparental", "single parent"),
    "specific_needs": ("necesidades específicas", "specific needs"),
    "area": ("área", "area"),
    "score": ("puntaje", "score"),
}
OPERATORS_ES_EN = {
    "=": ("igual a", "equal to"),
    "!=": ("distinto de", "other than"),
    "<": ("menor que", "less than"),
    "<=": ("a lo más", "at most"),
    ">": ("mayor que", "more than"),
    ">=": ("al menos", "at least"),
    "in": ("uno de", "one of"),
    "not_in": ("ninguno de", "none of"),
    "has": ("incluyen", "include"),
    "has_not": ("no incluyen", "don't include"),
    "within": ("dentro de", "within"),
    "not_within": ("fuera de", "outside"),
}
