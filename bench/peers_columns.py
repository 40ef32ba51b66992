"""What Splink is given to compare: the records cleaned as its users would, in DuckDB's SQL."""

# Lower case without accents, particles left out; a Spanish fold of sounds; numbers without
# leading zeros.
MACROS = r"""
CREATE MACRO words_of(x) AS list_filter(
    string_split(regexp_replace(lower(strip_accents(x)), '[^a-z]+', ' ', 'g'), ' '),
    lambda w: w <> '' AND w NOT IN ('de', 'del', 'la', 'los', 'las', 'da', 'y')
);
CREATE MACRO consonants_of(x) AS
    regexp_replace(regexp_replace(regexp_replace(regexp_replace(
    replace(replace(replace(replace(replace(replace(x,
        'ph', 'f'), 'sh', 'ch'), 'ch', 'x'), 'h', ''), 'v', 'b'), 'z', 's'),
        'c([ei])', 's\1', 'g'), '^j|ll', 'y', 'g'), 'qu|c|q', 'k', 'g'),
        '^gu([aei])|^w+u?', 'w\1', 'g');
CREATE MACRO sound_of(x) AS
    regexp_replace(
    replace(replace(replace(replace(replace(replace(replace(replace(replace(consonants_of(x),
        'nn', 'n'), 'ss', 's'), 'ff', 'f'), 'tt', 't'), 'rr', 'r'),
        'np', 'mp'), 'nb', 'mb'), 'y', 'i'), 'ii', 'i'), 'e$', '');
CREATE MACRO digits_of(x) AS ltrim(regexp_replace(x, '[^0-9]', '', 'g'), '0');
CREATE MACRO filled(x) AS nullif(trim(x), '');
CREATE MACRO sorted_text(x) AS nullif(array_to_string(list_sort(x), ' '), '');
"""

# Certificates of birth and TAM numbers identify nobody.
CLEANED = """
WITH read AS (
    SELECT
        record_id,
        words_of(concat_ws(' ', given1, given2)) AS given,
        words_of(concat_ws(' ', surname1, surname2)) AS surnames,
        filled(birth_date) AS born,
        filled(sex) AS sex,
        filled(ubigeo) AS ubigeo,
        filled(right(digits_of(phone), 9)) AS phone,
        list_filter(
            [{'kind': doc1_type, 'number': digits_of(doc1)},
             {'kind': doc2_type, 'number': digits_of(doc2)}],
            lambda d: length(d.number) > 4 AND d.kind NOT IN ('birth-cert', 'pe-tam')
        ) AS shown
    FROM raw
)
SELECT
    record_id AS unique_id,
    given[1] AS given1,
    nullif(array_to_string(given[2:], ' '), '') AS given2,
    surnames[1] AS surname1,
    nullif(array_to_string(surnames[2:], ' '), '') AS surname2,
    sound_of(given[1]) AS given1_sound,
    sound_of(given[2]) AS given2_sound,
    sound_of(surnames[1]) AS surname1_sound,
    sound_of(surnames[2]) AS surname2_sound,
    left(given[1], 1) AS given_initial,
    list_distinct(list_concat(given, surnames)) AS words,
    sorted_text(list_concat(given, surnames)) AS words_sorted,
    sorted_text(list_concat(given[1:1], surnames[1:1])) AS first_names_sorted,
    born,
    substr(born, 1, 4) AS year_of,
    least(substr(born, 6, 2), substr(born, 9, 2))
        || greatest(substr(born, 6, 2), substr(born, 9, 2)) AS day_month,
    sex,
    ubigeo,
    phone,
    CASE WHEN len(shown) > 0 THEN list_transform(shown, lambda d: d.number) END AS documents,
    CASE WHEN len(shown) > 0 THEN list_transform(shown, lambda d: d.kind) END AS kinds,
    shown[1].number AS document1,
    flatten(list_transform(shown, lambda d: list_transform(
        range(1, length(d.number) + 1),
        lambda i: substr(d.number, 1, i - 1) || substr(d.number, i + 1)
    ))) AS documents_less_one
FROM read
"""

FEBRL_CLEANED = """
SELECT
    record_id AS unique_id,
    part,
    filled(given_name) AS given_name,
    filled(surname) AS surname,
    filled(street_number) AS street_number,
    filled(address_1) AS address_1,
    filled(address_2) AS address_2,
    filled(suburb) AS suburb,
    filled(postcode) AS postcode,
    filled(state) AS state,
    filled(date_of_birth) AS date_of_birth,
    filled(soc_sec_id) AS soc_sec_id
FROM raw
"""
