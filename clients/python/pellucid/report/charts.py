"""Charts of an evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pellucid.evaluations import Curve
from pellucid.report.confusion import Matrix, shortened
from pellucid.report.drawing import (
    ACCENT,
    CONTRAST,
    GREY,
    HEIGHT,
    WIDTH,
    color,
    draw,
    named,
    shares,
)

Row = Mapping[str, Any]

LINES = 9
"""Classes that get a line of their own."""


def confusion(matrix: Matrix) -> str:
    """A heat map: rows are annotated, columns predicted, colours the share of the row."""
    side = max(240, min(24 * len(matrix.names), 640))
    names = list(matrix.names)
    rows = [
        {
            "a": each.annotated,
            "p": each.predicted,
            "s": each.share,
            "n": each.count,
            "text": each.text,
            "right": each.right,
        }
        for each in matrix.cells
    ]
    place = {
        "x": named("p", names, None, labelAngle=-45),
        "y": named("a", names, "annotated"),
    }
    square = {
        "mark": "rect",
        "encoding": {
            "color": color("right", [True, False], [ACCENT, CONTRAST]),
            "opacity": {
                "field": "s",
                "type": "quantitative",
                "legend": None,
                "scale": {"domain": [0, 1], "range": [0.08, 1], "type": "pow", "exponent": 0.6},
            },
            "description": {"field": "text"},
        },
    }
    numbers = {
        "mark": {"type": "text", "fontSize": 11, "tooltip": None, "aria": False},
        "encoding": {"text": {"field": "n", "type": "quantitative", "format": "~s"}},
    }
    layers = [square, numbers] if len(names) <= 14 else [square]
    return draw(
        {
            "data": {"values": rows},
            "width": side,
            "height": side,
            "encoding": place,
            "title": {"text": "predicted", "fontSize": 12, "fontWeight": 500},
            "layer": layers,
        }
    )


def reliability(curve: Curve) -> str:
    """How often predictions of each confidence are right; the line is perfect calibration."""
    counts = curve.counts or (1,) * len(curve.x)
    rows = [
        {"x": x, "y": y, "n": count, "text": f"confidence {x:.1%}: right in {y:.1%} of {count:,}"}
        for x, y, count in zip(curve.x, curve.y, counts, strict=True)
    ]
    ideal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
        "mark": {"type": "line", "strokeDash": [5, 4], "color": GREY, "aria": False},
        "encoding": shares("confidence", "share that is right"),
    }
    gap = {
        "mark": {
            "type": "rule",
            "strokeWidth": 3,
            "color": CONTRAST,
            "opacity": 0.55,
            "aria": False,
        },
        "encoding": shares("confidence", "share that is right") | {"y2": {"field": "x"}},
    }
    dots = {
        "mark": {"type": "circle", "color": ACCENT, "opacity": 1},
        "encoding": shares("confidence", "share that is right")
        | {
            "size": {
                "field": "n",
                "type": "quantitative",
                "legend": None,
                "scale": {"range": [30, 400]},
            },
            "description": {"field": "text"},
        },
    }
    return draw(
        {"width": HEIGHT, "height": HEIGHT, "data": {"values": rows}, "layer": [ideal, gap, dots]}
    )


def precision_recall(curves: Sequence[Curve]) -> str:
    """Lines of classes; the one of all classes is thicker."""
    shown = sorted(curves, key=lambda each: bool(each.label))[:LINES]
    names = [
        f"{number}. {shortened(each.label)}" if each.label else "all classes"
        for number, each in enumerate(shown, 1)
    ]
    rows = [
        {
            "x": x,
            "y": y,
            "c": name,
            "o": order,
            "w": 3.5 if name == "all classes" else 1.6,
            "text": f"{name}: precision {y:.1%} at recall {x:.1%}",
        }
        for name, curve in zip(names, shown, strict=True)
        for order, (x, y) in enumerate(zip(curve.x, curve.y, strict=True))
    ]
    channels = shares("recall", "precision") | {
        "color": {"field": "c", "type": "nominal", "title": None, "scale": {"domain": names}},
        "order": {"field": "o"},
    }
    line = {
        "mark": {"type": "line", "aria": False},
        "encoding": {"strokeWidth": {"field": "w", "type": "quantitative", "scale": None}},
    }
    dots = {
        "mark": {"type": "point", "opacity": 0, "filled": True},
        "encoding": {"description": {"field": "text"}},
    }
    return draw(
        {
            "width": WIDTH,
            "height": HEIGHT,
            "data": {"values": rows},
            "encoding": channels,
            "layer": [line, dots] if len(rows) <= 500 else [line],
        }
    )


def histogram(curves: Sequence[Curve], title: str, counted: str) -> str:
    """Stacked bars; colours are right and wrong."""
    rows = [row for curve in curves for row in _bars(curve)]
    top = max(
        (sum(heights) for heights in zip(*(each.y for each in curves), strict=False)), default=1
    )
    encoding = {
        "x": {
            "field": "x",
            "type": "quantitative",
            "title": title,
            "bin": {"binned": True},
            "axis": {"labelOverlap": "greedy"},
        },
        "x2": {"field": "x2"},
        "y": {
            "field": "y",
            "type": "quantitative",
            "title": counted,
            "axis": {"format": "~s", "tickCount": min(int(top), 5)},
        },
        "color": color(
            "c", ["correct", "wrong"], [ACCENT, CONTRAST], values=sorted({row["c"] for row in rows})
        ),
        "description": {"field": "text"},
    }
    return draw(
        {
            "width": WIDTH,
            "height": 220,
            "data": {"values": rows},
            "mark": "bar",
            "encoding": encoding,
        }
    )


def _bars(curve: Curve) -> Iterator[Row]:
    step = curve.x[1] - curve.x[0] if len(curve.x) > 1 else 1.0
    for x, y in zip(curve.x, curve.y, strict=True):
        if y:
            yield {
                "x": x,
                "x2": x + step,
                "y": y,
                "c": "wrong" if curve.label == "wrong" else "correct",
                "text": f"{curve.label} from {x:.3g} to {x + step:.3g}: {y:,.0f}".strip(),
            }
