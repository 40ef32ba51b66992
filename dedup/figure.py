"""How well matching does, in one picture: precision and recall, and the weights of pairs.

SVG by hand and complete in itself: any browser opens it, and it goes into a report as it is.
A grey print still tells an outline from a filled bar, and a full mark from an empty one.
"""

from collections.abc import Iterator
from html import escape
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray

from dedup.evaluate import Labelled, Report, curve
from dedup.model import Model

WIDTH, HEIGHT = 980, 500
TOP, SIDE = 100, 300
BOTTOM = TOP + SIDE
LEFT_PANEL, RIGHT_PANEL = 90, 580
POINTS_MAX = 400
BARS_MAX = 50
INK, FAINT, RIGHT, WRONG = "#222222", "#d8d8d8", "#135a91", "#f0b24a"


class _Axis:
    """A stretch of numbers laid along a stretch of the page."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        """Return where on the page a number lies; what is beyond the axis lies at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def draw(labelled: Labelled, report: Report, model: Model) -> str:
    """Return the figure as SVG text."""
    title = f"Matching of {report.records:,} records with {report.pairs_true:,} true pairs"
    facts = (
        f"Model {report.model_id}. Best F1 {_told(report.best_f1)}, F1 of clusters"
        f" {_told(report.cluster_f1)}; {_told(report.completeness)} of true pairs were compared."
    )
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(24, 34, title, size=19),
        _text(24, 57, facts),
        *_precision_recall(labelled, report),
        *_histogram(labelled, model),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _precision_recall(labelled: Labelled, report: Report) -> Iterator[str]:
    found, right, _ = curve(labelled)
    recall, precision = right / max(1, labelled.pairs_true), right / found
    marks = (
        ("from the automatic threshold", report.precision_auto, report.recall_auto, INK),
        ("from the review threshold", report.precision_review, report.recall_review, "white"),
    )
    # Good matching lies in one corner, so the axes begin just below the marks.
    shares = [share for mark in marks for share in mark[1:3] if isinstance(share, float)]
    low = max(0.0, floor(min([0.95, *shares]) * 20 - 0.5) / 20)
    across = _Axis(low, 1, LEFT_PANEL, LEFT_PANEL + SIDE + 60)
    up = _Axis(low, 1, BOTTOM, TOP)
    ticks = [(low + (1 - low) * step / 5) for step in range(6)]
    yield from _frame(across, "Precision and recall at every threshold")
    yield from _labels(
        across, "recall: share of all true pairs", ((at, f"{at:.2f}") for at in ticks)
    )
    yield from _labels_up(
        across, up, "precision: share of pairs found", [(at, f"{at:.2f}") for at in ticks]
    )
    inside = np.flatnonzero((recall >= low) & (precision >= low))
    chosen = np.unique(np.linspace(0, max(0, len(inside) - 1), POINTS_MAX).astype(int))
    points = [(across(recall[at]), up(precision[at])) for at in inside[chosen[: len(inside)]]]
    path = " ".join(f"{x},{y}" for x, y in points)
    yield f'<polyline points="{path}" fill="none" stroke="{RIGHT}" stroke-width="2.5"/>'
    for row, (name, precise, recalled, fill) in enumerate(marks):
        if precise is not None and recalled is not None:
            told = f"{name}: precision {precise:.4f}, recall {recalled:.4f}"
            yield _circle(across(recalled), up(precise), fill)
            yield _circle(LEFT_PANEL + 8, BOTTOM + 60 + 20 * row, fill)
            yield _text(LEFT_PANEL + 24, BOTTOM + 64 + 20 * row, told)


def _histogram(labelled: Labelled, model: Model) -> Iterator[str]:
    marks = (("review", model.review_bits, "2 4"), ("automatic", model.strong_bits, "10 4"))
    weights = np.concatenate((labelled.weight_bits, [bits for _, bits, _ in marks]))
    low, high = floor(weights.min()), ceil(weights.max()) + 1
    width = ceil((high - low) / BARS_MAX)
    edges = np.arange(low, high + width, width)
    right = np.histogram(labelled.weight_bits[labelled.is_match], edges)[0]
    wrong = np.histogram(labelled.weight_bits[~labelled.is_match], edges)[0]
    tens = max(1, ceil(log10(max(2, right.max(), wrong.max()))))
    across = _Axis(low, float(edges[-1]), RIGHT_PANEL, RIGHT_PANEL + SIDE + 60)
    up = _Axis(0, tens + 0.3, BOTTOM, TOP)
    step = 5 * ceil((high - low) / 50)
    ticks = range(ceil(low / step) * step, floor(edges[-1]) + 1, step)
    yield from _frame(across, "Weights of the pairs that are kept")
    yield from _labels(across, f"weight (bits), {width} to a bar", ((at, str(at)) for at in ticks))
    yield from _labels_up(
        across, up, "pairs (logarithmic)", [(power, f"{10**power:,}") for power in range(tens + 1)]
    )
    filled = f'fill="{WRONG}"'
    outlined = f'fill="none" stroke="{RIGHT}" stroke-width="2"'
    yield from _bars(wrong, edges, across, up, filled)
    yield from _bars(right, edges, across, up, outlined)
    for name, bits, dashes in marks:
        x = across(bits)
        yield (
            f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{BOTTOM}" stroke="{INK}"'
            f' stroke-width="1.5" stroke-dasharray="{dashes}"/>'
        )
        side = {"review": "end", "automatic": "start"}[name]
        yield _text(x + (-5 if side == "end" else 5), TOP + 15, name, anchor=side)
    for row, (told, style) in enumerate((("one person", outlined), ("two persons", filled))):
        x, y = RIGHT_PANEL + 2, BOTTOM + 54 + 20 * row
        yield f'<rect x="{x}" y="{y}" width="14" height="11" {style}/>'
        yield _text(x + 22, y + 10, told)


def _bars(
    counts: NDArray[np.intp], edges: NDArray[np.int64], across: _Axis, up: _Axis, style: str
) -> Iterator[str]:
    for count, start, end in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
        if count:
            # One pair still shows: the axis begins at it.
            x, y = across(start), up(log10(count)) - 3
            yield (
                f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{across(end) - x - 2:.1f}"'
                f' height="{BOTTOM - y:.1f}" {style}/>'
            )


def _frame(across: _Axis, title: str) -> Iterator[str]:
    yield _text(across.start, TOP - 12, title, size=15)
    yield (
        f'<rect x="{across.start}" y="{TOP}" width="{across.end - across.start}" height="{SIDE}"'
        f' fill="none" stroke="{INK}"/>'
    )


def _labels(across: _Axis, name: str, ticks: Iterator[tuple[float, str]]) -> Iterator[str]:
    yield _text((across.start + across.end) / 2, BOTTOM + 38, name, anchor="middle")
    for value, told in ticks:
        yield _text(across(value), BOTTOM + 18, told, anchor="middle")


def _labels_up(
    across: _Axis, up: _Axis, name: str, ticks: list[tuple[float, str]]
) -> Iterator[str]:
    x, y = across.start - 58, TOP + SIDE / 2
    yield _text(x, y, name, anchor="middle", turn=f' transform="rotate(-90 {x} {y})"')
    for value, told in ticks:
        down = up(value)
        yield f'<path d="M{across.start} {down}H{across.end}" stroke="{FAINT}"/>'
        yield _text(across.start - 7, down + 4, told, anchor="end")


def _circle(x: float, y: float, fill: str) -> str:
    return f'<circle cx="{x}" cy="{y}" r="6" fill="{fill}" stroke="{INK}" stroke-width="2"/>'


def _text(
    x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", turn: str = ""
) -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{INK}"{turn}>'
        f"{escape(text)}</text>"
    )


def _told(share: float | None) -> str:
    return "–" if share is None else f"{share:.4f}"
