import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dedup import names

# Frequent given names and surnames of Venezuela and Peru that are different names, whatever they
# look like. Written down from memory for this test; their order means nothing.
_FREQUENT_GIVEN = """
María José Luis Carlos Juan Jesús Miguel Ángel Pedro Rafael Antonio Manuel Francisco Daniel Jorge
Ramón Eduardo David Andrés Gabriel Héctor Wilmer Wilmar Darwin Kevin Kelvin Brayan Jonathan
Anderson Alejandro Alberto Alfredo Alexis Alexander Armando Arturo Benjamín César Cristian Diego
Domingo Edgar Edgardo Edison Eduard Edwin Elías Emilio Enrique Ernesto Erick Esteban Steven Felipe
Félix Fernando Franklin Fredy Gerardo Gerson Gilberto Gregorio Guillermo Gustavo Henry Hugo
Humberto Ignacio Isaac Ismael Iván Jackson Jairo Jaime James Javier Jefferson Jeison Jeremías Jeremy
Jimmy Joaquín Joel Johan Josué Joshua Joseph Julio Julián Leandro Leonardo Leonel Lorenzo Luciano
Marco Marcos Mario Martín Mauricio Maikel Máximo Mateo Matías Melvin Moisés Nelson Néstor Nicolás
Noé Omar Óscar Oswaldo Pablo Paulo Raúl René Ricardo Richard Robert Roberto Robinson Rodolfo
Rodrigo Rogelio Román Ronald Rolando Rubén Samuel Santiago Santos Saúl Sebastián Segundo Sergio
Simón Thiago Tomás Valentín Vicente Víctor Walter Wilfredo William Wilson Yorman George
Ana Carmen Rosa Luz Yolanda Milagros Andreína Gabriela Daniela Patricia Mariana Marian Carolina
Alejandra Alexandra Adriana Jessica Yesenia Yennifer Yusmary Luisa Génesis Andrea Isabel Isabella
Elizabeth Lisbeth Elisa Elsa Johana Juana Katherine Catalina Vanessa Karina Karen Karla Oriana
Verónica Claudia Margarita Josefa Josefina Teresa Beatriz Marisol Zoraida Soraya Norma Gladys Miriam
Nancy Sandra Belkis Dayana Diana Yamilet Yelitza Angélica Ángela Mercedes Victoria Rebeca Raquel
Xiomara Zuleima Maribel Rosmery Keila Kelly Leidy Nathaly Natalia Estefanía Stephany Paola Paula
Laura Silvia Irene Iris Alba Elena Eva Gloria Graciela Guadalupe Hilda Inés Irma Ivonne Jacqueline
Janet Jocelyn Judith Julia Julieta Katiuska Leticia Lidia Liliana Lorena Lourdes Lucía
Lucila Lucero Magaly Marcela Mariela Marilyn Marina Maritza Marisa Marlene Marta Mildred Mireya
Mónica Nelly Nicole Noelia Nora Olga Pilar Ramona Rocío Rosario Roxana Rosana Sara Sheila Shirley
Sofía Sonia Susana Tania Valentina Valeria Valery Violeta Virginia Viviana Wendy Yadira Yajaira
Yuliana Yuleisi Zulay Bárbara Berta Blanca Brenda Cecilia Celia Clara Cristina Débora Daisy
Delia Dora Dulce Edith Emily Emilia Emma Esther Fabiola Fiorella Flor Francisca Gisela Giselle
Jazmín Jimena Karol Camila Kimberly Ashley Angie Lucy Mía Melanie Melissa Michelle Nayeli
Petra Rosalía Ruth Salomé Samantha Tatiana Úrsula Yuli Zoila Ian Jean Liam Noah
"""
_FREQUENT_SURNAMES = """
González Rodríguez Pérez Hernández Fernández García Martínez Martín Sánchez López Díaz Rojas Reyes
Ramírez Torres Castillo Castro Gutiérrez Jiménez Moreno Flores Romero Suárez Mendoza Méndez Rivas
Rivera Rivero Medina Molina Blanco Márquez Marcano Salazar Briceño Peña Peralta Muñoz Zambrano
Urdaneta Colmenares Chacón Contreras Villalobos Parra Quintero Ochoa Guerrero Guerra Araujo Arias
Bracho Cordero Escalona Figueroa Figuera Huamán Quispe Mamani Condori Vargas Vega Vera Chávez Ramos
Espinoza Cruz Gómez Gámez Vásquez Velásquez Velasco Silva Delgado Ríos Ruiz Núñez Ortiz Ortega
Campos León Luna Lugo Mora Morales Herrera Paredes Pacheco Páez Palacios Pinto Pino Prado Prieto
Salas Salcedo Sandoval Santos Serrano Soto Sosa Tovar Uzcátegui Valera Valero Yépez Zerpa Acosta
Aguilar Alvarado Álvarez Ávila Bello Benítez Bermúdez Brito Bravo Cabrera Calderón Cárdenas Carrillo
Cedeño Córdova Duarte Fuentes Gil Guzmán Guevara Ibáñez Lara Linares Marín Mejía Navarro Oviedo
Padrón Piña Ponce Rincón Rangel Rosales Solano Solís Tapia Trujillo Vivas Zapata Zavala
"""
FREQUENT = sorted(
    {names.fold(name) for name in (*_FREQUENT_GIVEN.split(), *_FREQUENT_SURNAMES.split())}
)
WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyzñáéíóúü", min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("Ñáñez", "nanez"),
        ("  MARÍA   josé ", "maria jose"),
        ("D'Angelo", "dangelo"),
        ("D’Ángelo", "dangelo"),
        ("Pérez-Gómez", "perez gomez"),
        ("Mª Jose", "ma jose"),
        ("J. L.", "j l"),
        ("123 ??", ""),
        ("Straße", "strasse"),
        ("Гарсия", "гарсия"),
    ],
)
def test_a_name_is_folded(written, folded):
    assert names.fold(written) == folded


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (("María", "de los Ángeles"), ("maria", "angeles")),
        (("De la Cruz", "y Peña"), ("cruz", "pena")),
        (("de", "la", "Cruz"), ("cruz",)),
        (("García de Pérez",), ("garcia", "perez")),
        (("García López", "de Pérez"), ("garcia", "lopez", "perez")),
        (("Rojas Vda. de Peña",), ("rojas", "pena")),
        (("De Los",), ("de", "los")),
        (("Pérez", "NN"), ("perez",)),
        (("No tiene",), ()),
        (("XXX",), ()),
        (("",), ()),
        (("a b c d e f",), ("a", "b", "c", "d")),
    ],
)
def test_particles_are_dropped_unless_nothing_else_is_left(written, words):
    assert names.tokens(written) == words


SAME = [
    ("Yaquelin", "Jacqueline"),
    ("Yessica", "Jessica"),
    ("Jhonny", "Yonny"),
    ("Maikel", "Michael"),
    ("Brayan", "Bryan"),
    ("Yenifer", "Jennifer"),
    ("Usnavi", "Usnavy"),
    ("Peña", "Pena"),
    ("Llanos", "Yanos"),
    ("Yeison", "Ieison"),
    ("Hernández", "Ernandes"),
    ("Vásquez", "Básques"),
    ("Cedeño", "Sedeno"),
    ("Quispe", "Kispe"),
    ("Carina", "Karina"),
    ("Ximena", "Jimena"),
    ("Mexía", "Mejía"),
    ("Huamán", "Guamán"),
    ("Cahuana", "Cawana"),
    ("Waldo", "Gualdo"),
    ("Wilmer", "Guilmer"),
    ("Campos", "Canpos"),
    ("Bermúdez", "Vermudes"),
    ("Anna", "Ana"),
    ("Génesis", "Yénesis"),
    ("Nancy", "Nansi"),
    ("Cynthia", "Sintia"),
    ("Mayerlin", "Maierling"),
    ("Stefany", "Estephanie"),
    ("Robert", "Rober"),
    ("Ingrid", "Ingrit"),
    ("Ivette", "Ibeth"),
    ("Katherine", "Caterin"),
    ("Kimberley", "Quimberly"),
    ("Félix", "Felis"),
    ("Alexander", "Alecsander"),
    ("Irving", "Yrvin"),
    ("Giovanny", "Yobani"),
    ("Johan", "Yoan"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_spellings_of_one_name_sound_alike(one, other):
    assert names.code(names.fold(one)) == names.code(names.fold(other))


def test_no_two_frequent_names_sound_alike():
    sounds = {}
    for name in FREQUENT:
        other = sounds.setdefault(names.code(name), name)
        assert other == name, f"{name} sounds like {other}"


def test_a_nickname_stands_for_its_names():
    assert names.code("jose") in names.formal("pepe")
    assert names.formal("beto") >= {names.code("alberto"), names.code("roberto")}
    assert names.formal("quique") == names.formal("kike") == {names.code("enrique")}
    assert names.formal("maria") == frozenset()


def test_no_spelling_belongs_to_two_names_and_none_is_listed_in_vain():
    seen = {}
    for group in names.TABLES.variants:
        assert len(group) > 1
        for name in group:
            assert name == names.fold(name)
            assert seen.setdefault(names.phonetic(name), name) == name


def test_nicknames_lead_to_names_and_no_further():
    seen = {}
    for nickname, stands_for in names.TABLES.nicknames.items():
        folded = names.fold(nickname)
        assert seen.setdefault(names.code(folded), nickname) == nickname
        assert 1 <= len(stands_for) <= names.FORMAL_MAX
        assert names.code(folded) not in names.formal(folded)
        assert [name for name in stands_for if names.formal(names.fold(name))] == []


def test_no_nickname_is_a_frequent_name():
    assert [name for name in FREQUENT if names.formal(name)] == []


def test_the_words_that_are_passed_over_are_no_frequent_names():
    passed_over = names.TABLES.particles | names.TABLES.placeholders
    assert passed_over.isdisjoint(FREQUENT)
    assert {names.fold(word) for word in passed_over} == passed_over


@pytest.mark.parametrize("table", ["particles", "variants", "nicknames"])
def test_each_table_says_where_it_comes_from_and_how_it_was_checked(table):
    path = names.Path(names.__file__).with_name(f"names_{table}.json")
    said = msgspec.json.decode(path.read_bytes())
    assert said["sources"]
    assert said["checked"]


@given(st.text())
def test_any_text_folds_to_letters_and_folding_again_changes_nothing(text):
    folded = names.fold(text)
    assert all(char.isalpha() or char == " " for char in folded)
    assert names.fold(folded) == folded


@given(st.lists(st.text() | WORDS, max_size=6))
def test_any_text_gives_few_bounded_words_each_with_a_sound(parts):
    tokens = names.tokens(parts)
    assert len(tokens) <= names.TOKENS_MAX
    for token in tokens:
        assert 1 <= len(token) <= names.TOKEN_LENGTH_MAX
        assert 1 <= len(names.phonetic(token)) <= 3 * names.TOKEN_LENGTH_MAX
        assert names.code(token)
        assert names.code(token) not in names.formal(token)


@given(WORDS)
def test_case_and_accents_do_not_matter(word):
    assert names.fold(word.upper()) == names.fold(word.title()) == names.fold(word)
    plain = word.translate(str.maketrans("ñáéíóúü", "naeiouu"))
    assert names.fold(plain) == names.fold(word)


@given(WORDS, st.sampled_from(sorted(names.TABLES.particles)))
def test_a_particle_does_not_matter(word, particle):
    assume(names.tokens([word]) and names.fold(word) not in names.TABLES.particles)
    assert names.tokens([f"{particle} {word}"]) == names.tokens([word])
    assert names.tokens([particle.upper(), word]) == names.tokens([word])


SYLLABLES = st.tuples(
    st.sampled_from(
        ["z", "v", "ph", "th", "mp", "mb", "x", "ñ", "h", "d", "l", "n", "s", "t", "r"]
    ),
    st.sampled_from(["a", "e", "i", "o", "u", "an", "el", "os"]),
).map("".join)


@given(st.lists(SYLLABLES, min_size=1, max_size=5).map("".join))
def test_the_folds_of_the_field_do_not_matter(name):
    sound = names.phonetic(names.fold(name))
    for written, heard in (
        *(("z", "s"), ("v", "b"), ("ph", "f"), ("th", "t"), ("mp", "np"), ("mb", "nv")),
        *(("ñ", "n"), ("n", "nn"), ("r", "rr"), ("d", "dd")),
    ):
        assert names.phonetic(names.fold(name.replace(written, heard))) == sound
