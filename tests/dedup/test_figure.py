"""The figure: whole by itself, well-formed whatever it shows, and drawn where the numbers are."""

from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest

from dedup import evaluate, figure, model
from dedup.evaluate import Labelled
from tests.dedup.test_evaluate import DOUBTFUL, MODEL, SURE, WEAK, matched, persons

SVG = "{http://www.w3.org/2000/svg}"
PAIRS = {(0, 1): SURE, (0, 5): SURE, (3, 4): DOUBTFUL, (1, 2): WEAK, (5, 6): WEAK}
PERSONS = persons(0, 0, 0, 1, 1, 2, 3)


def drawn(pairs=PAIRS, own=MODEL):
    found = matched(pairs, clusters=range(7))
    report = evaluate.measure(found, PERSONS, own, seconds=1.0, peak_rss_mb=1.0)
    return figure.draw(evaluate.label(found, PERSONS), report, own)


def root(text):
    return ET.fromstring(text)  # noqa: S314 -- our own text


def texts(tree):
    return [each.text for each in tree.iter(f"{SVG}text")]


def test_it_names_its_axes_their_units_and_both_thresholds():
    told = " | ".join(texts(root(drawn())))
    for words in (
        "Matching of 7 records with 4 true pairs",
        "recall: share of all true pairs",
        "precision: share of pairs found",
        "weight (bits), 1 to a bar",
        "pairs (logarithmic)",
        "automatic threshold: precision 0.5000, recall 0.2500",
        "review threshold: precision 0.6667, recall 0.5000",
        "one person",
        "two persons",
        MODEL.model_id,
    ):
        assert words in told


def test_it_needs_nothing_from_elsewhere_and_runs_nothing():
    text = drawn()
    for word in ("href", "script", "url(", "@import", "foreignObject", "<image", "onload"):
        assert word not in text
    assert text.count("http") == text.count("http://www.w3.org/2000/svg") == 1


def test_what_looks_like_markup_is_text():
    hostile = '<script>&"x"</script>'
    told = drawn(own=msgspec.structs.replace(MODEL, model_id=hostile))
    assert "<script" not in told
    assert any(hostile in text for text in texts(root(told)))


def test_the_thresholds_are_marked_on_the_curve():
    tree = root(drawn())
    automatic, review = [
        (float(each.get("cx")), float(each.get("cy")))
        for each in tree.iter(f"{SVG}circle")
        if float(each.get("cy")) <= figure.BOTTOM
    ]
    # More recall is further right, more precision further up.
    assert review[0] > automatic[0]
    assert review[1] < automatic[1]
    points = next(tree.iter(f"{SVG}polyline")).get("points").split()
    for mark in (automatic, review):
        assert f"{mark[0]},{mark[1]}" in points


def bars(tree, fill):
    return [
        (float(each.get("x")), float(each.get("height")))
        for each in tree.iter(f"{SVG}rect")
        if each.get("fill") == fill
        and each.get("stroke") != figure.INK
        and float(each.get("y")) < figure.BOTTOM
        and float(each.get("x")) >= figure.RIGHT_PANEL
    ]


def test_a_bar_stands_for_each_weight_and_grows_with_its_pairs():
    weights = np.array([30.4] * 100 + [25.2] * 10 + [11.1])
    labelled = Labelled(weight_bits=weights, is_match=weights > 20, pairs_true=200)
    report = evaluate.measure(
        matched(PAIRS, range(7)), PERSONS, MODEL, seconds=1.0, peak_rss_mb=1.0
    )
    tree = root(figure.draw(labelled, report, MODEL))
    (at_ten, ten), (at_hundred, hundred) = bars(tree, "none")
    ((at_one, one),) = bars(tree, figure.WRONG)
    assert at_one < at_ten < at_hundred
    # Logarithmic: each tenfold adds as much again.
    assert hundred - ten == pytest.approx(ten - one, abs=0.2)
    assert one > 0


@pytest.mark.parametrize("pairs", [{}, {(0, 5): SURE}, {(0, 1): SURE}, {(0, 1): -400.0}])
def test_it_is_drawn_when_there_is_little_to_draw(pairs):
    tree = root(drawn(pairs))
    for each in tree.iter():
        for value in each.attrib.values():
            assert "nan" not in value
            assert "inf" not in value


def test_a_million_pairs_make_a_small_picture():
    chance = np.random.default_rng(5)
    weights = np.sort(chance.normal(20, 15, 1_000_000))[::-1]
    labelled = Labelled(
        weight_bits=weights, is_match=chance.random(1_000_000) < 0.5, pairs_true=600_000
    )
    report = evaluate.measure(
        matched(PAIRS, range(7)), PERSONS, model.load(), seconds=1.0, peak_rss_mb=1.0
    )
    assert len(figure.draw(labelled, report, MODEL)) < 40_000
