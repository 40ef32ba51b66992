"""Name tokens of made-up people, Venezuelan and Peruvian, and how clerks spell them.

No token has fewer than four letters, and none is part of an everyday word, so that a test can
look for each of them in a dump of the database.
"""

_WOMEN = """
Yaquelin Yessica Yenifer Yuleisy Yusmary Yolimar Yorgelis Yohana Yesenia Yamileth Yurimar Yoselin
Milagros Mariangel Marianny Maryuri Marbelis Maigualida Mirelys Mileidy Migdalia Mercedes Magdalena
Génesis Gabriela Griselda Graciela Gloribel Génova Gladys Guillermina Katiuska Keila Karelis Karina
Katherine Leidimar Liseth Lisbeth Luisana Lorena Lourdes Leonela Nohemí Norelkys Naileth Nayibe
Nairobis Oriana Odalis Orquídea Rosmery Roxana Rosángela Raiza Rebeca Rosalinda Scarlet Stefany
Solange Soraida Susana Teresa Thais Valentina Vanessa Verónica Virginia Victoria Wilmary Wuendy
Xiomara Zoraida Zuleima Zulay Anyelina Andreína Alejandra Arelis Aurimar Adriana Betzabeth Belkis
Brígida Carolina Cristina Claudia Coromoto Dayana Deyanira Dubraska Damelis Emperatriz Elizabeth
Eglis Francis Fabiola Hilda Herminia Isabel Ivonne Jacinta Josefina Joselin Kimberly María Usmary
"""
_MEN = """
Usnavi Brayan Maikel Jhonny Yeferson Yorman Yonathan Wilmer Wladimir Wuilian Winston Héctor Freddy
Franklin Fernando Francisco Gustavo Gregorio Guillermo Gilberto Gerardo Hernán Humberto Heberto
Ismael Ignacio Isaías Jackson Jefferson Jesús Joaquín Jorge José Juan Kelvin Keiber Kleiver Kenny
Leonardo Leonel Lisandro Lorenzo Luis Miguel Moisés Manuel Mauricio Máximo Nelson Néstor Nicolás
Oswaldo Orlando Oscar Pedro Pablo Rafael Ramón Reinaldo Ricardo Richard Rodolfo Rómulo Rubén
Samuel Santos Sebastián Sergio Teodoro Tomás Ulises Urbano Valentín Víctor Vicente Yender
Yoendry Yovanny Alberto Alejandro Alexis Alfonso Anderson Andrés Antonio Armando Arturo Benito
Carlos Cristóbal Daniel Darwin David Deivis Diego Eduardo Edwin Elías Enrique Ernesto Ezequiel
"""
_SURNAMES = """
González Rodríguez Pérez Hernández García Martínez Sánchez López Díaz Rojas Ramírez Fernández
Torres Gómez Álvarez Jiménez Romero Moreno Gutiérrez Muñoz Suárez Vásquez Velásquez Colmenares
Contreras Márquez Méndez Mendoza Molina Montilla Morillo Marcano Machado Maldonado Materán
Matheus Medina Quintero Querales Quijada Rangel Rondón Rosales Rivero Rincón Reverol Salazar
Sandoval Sequera Sifontes Silva Solórzano Sulbarán Tovar Urdaneta Uzcátegui Valbuena Valecillos
Valera Vargas Villalobos Villasmil Viloria Yépez Zambrano Zerpa Zabala Acosta Aguilera Alvarado
Andrade Anzola Aponte Araujo Arteaga Atencio Azuaje Barreto Barrios Bastidas Bermúdez Betancourt
Bolívar Boscán Briceño Bustamante Caballero Cabrera Camacho Cárdenas Carrasquero Carrillo
Castellanos Castillo Cedeño Centeno Chacón Chirinos Chourio Córdova Cordero Crespo Dávila
Delgado Echeverría Escalona Escobar Espinoza Faría Ferrer Figueroa Finol Flores Fuenmayor
Galindo Gamboa Garrido Godoy Graterol Guaicara Guanipa Guédez Guillén Hidalgo Ibarra Infante
Izarra Jaimes Labrador Landaeta Leañez Linares Lozada Lugo Luzardo Quispe Mamani Huamán Condori
Chávez Ccori Huanca Apaza Choque Ticona Yupanqui Cusihuamán Llanos Palomino Paredes Peñaloza
Perozo Piñango Portillo Navarro Nieves Noguera Núñez Ocando Ochoa Olivares Oropeza Orozco Ortega
Ortiz Oviedo Pacheco Padrón Parra Peraza Petit Pirela Poleo
"""
WOMEN = tuple(_WOMEN.split())
MEN = tuple(_MEN.split())
SURNAMES = tuple(_SURNAMES.split())

# Whoever writes one of a line may mean any other of it.
_SPELLINGS = """
Yaquelin Jacqueline Jaquelín Yackeline
Yessica Jessica Yesica Jésica
Yenifer Jennifer Yennifer Jeniffer
Jhonny Yonny Johnny Yhonny
Maikel Michael Maykel Maicol
Brayan Bryan Braian Brayam
Yohana Johana Johanna Yojana
Yesenia Jesenia Yessenia Llesenia
Yamileth Jamilet Yamilet Llamilet
Yoselin Joselin Yocelin Joselyn
Yonathan Jonathan Jhonatan Yonatan
Yeferson Jefferson Jeferson Yeferzon
Wilmer Guilmer Wuilmer Vilmer
Wuilian William Wilian Guillian
Wuendy Wendy Güendi Wendi
Usnavi Usnavy Uznavi Husnavi
Elizabeth Elisabet Elizabet Elisabeth
Katherine Caterin Katerin Catherine
Stefany Estefani Stephanie Stefani
Kimberly Quimberli Kimberli Kinberly
Yuleisy Juleisi Yuleysi Yuleici
Oswaldo Osvaldo Hosvaldo Oswualdo
Yovanny Giovanny Jovani Yovani
Lisbeth Lizbeth Lisbet Lizbet
Génesis Yénesis Genecis Jénesis
Andreína Andreyna Handreina Andreina
Vanessa Vanesa Banesa Banessa
Verónica Beronica Verónika Veronica
Victoria Bictoria Vitoria Viktoria
Xiomara Siomara Xiomará Ciomara
Zulay Sulay Zulai Sulai
Zuleima Suleima Zuleyma Suleyma
Hilda Ilda Gilda Hylda
Héctor Ector Hector Éctor
Víctor Bictor Victor Viktor
Gerardo Jerardo Herardo Gerrardo
Keila Queila Keyla Keyla
Dayana Daiana Dallana Deyana
González Gonzales Gonsález Gonzalez
Rodríguez Rodrigues Rodriguez Rrodríguez
Vásquez Vázquez Basques Vasques
Velásquez Velázquez Belásquez Velasques
Hernández Ernández Hernandes Hernandez
Jiménez Giménez Ximénez Jimenes
Zambrano Sambrano Zanbrano Zambrrano
Yépez Llépez Yepes Jépez
Chávez Chaves Chabez Chavez
Briceño Briseño Briceno Brizeño
Cedeño Sedeño Cedeno Zedeño
Núñez Nuñes Nunez Núñes
Quispe Kispe Quizpe Quispi
Valbuena Balbuena Valvuena Balvuena
Villalobos Billalobos Villalovos Viyalobos
Salazar Zalazar Salasar Salazár
"""
SPELLINGS = {
    word: tuple(other for other in line.split() if other != word)
    for line in _SPELLINGS.strip().splitlines()
    for word in line.split()[:1]
}
