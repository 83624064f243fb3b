"""Charts as SVG: Vega-Lite draws them when the page is made, so that it carries no library.

Colours that must follow the page's theme (text, lines) are set by its style sheet. Names are
shortened here: Vega would cut emoji in two, which the converter cannot read.
"""

from collections.abc import Sequence
from typing import Any

from pellucid.report.extra import load

Spec = dict[str, Any]

VEGA_LITE = "5.21"
ACCENT, CONTRAST, GREY = "#3b82c4", "#e07b39", "#8a94a3"
WIDTH, HEIGHT = 370, 260
CONFIG: Spec = {
    "background": None,
    "padding": {"left": 14, "right": 10, "top": 6, "bottom": 10},
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 500, "labelLimit": 0},
    "legend": {"labelFontSize": 12, "labelLimit": 0, "orient": "bottom", "columns": 3},
    "range": {
        "category": [
            ACCENT,
            CONTRAST,
            "#4c9f70",
            "#b0578d",
            "#c2a436",
            "#6f6bb8",
            "#3a9ea5",
            "#a65d57",
            "#7a8b3c",
            GREY,
        ],
    },
}


def draw(spec: Spec) -> str:
    """A Vega-Lite chart as SVG; it is given all data, and may load none.

    Raises:
        ImportError: the extra is not installed.
    """
    svg: str = load("vl_convert").vegalite_to_svg(
        _printable({"config": CONFIG} | spec), vl_version=VEGA_LITE, allowed_base_urls=[]
    )
    return svg


def _printable(value: Any) -> Any:
    """Without control characters, which SVG cannot hold and the converter dies of."""
    match value:
        case dict():
            return {name: _printable(each) for name, each in value.items()}
        case list():
            return [_printable(each) for each in value]
        case str():
            return "".join(each if each.isprintable() else " " for each in value)
    return value


def named(field: str, names: Sequence[str], title: str | None, **axis: Any) -> Spec:
    """A channel of names, in their order."""
    return {
        "field": field,
        "type": "nominal",
        "title": title,
        "sort": list(names),
        "scale": {"domain": list(names)},
        "axis": axis,
    }


def shares(x_title: str, y_title: str) -> Spec:
    """Two channels from 0 to 100 %."""
    scale = {"domain": [0, 1]}
    axis = {"format": ".0%", "tickCount": 5}
    return {
        "x": {"field": "x", "type": "quantitative", "title": x_title, "scale": scale, "axis": axis},
        "y": {"field": "y", "type": "quantitative", "title": y_title, "scale": scale, "axis": axis},
    }


def color(
    field: str, domain: Sequence[Any], colors: Sequence[str], values: Sequence[Any] = ()
) -> Spec:
    """A channel of colours; a legend of `values` where there are several."""
    return {
        "field": field,
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(domain), "range": list(colors)},
        "legend": {"values": list(values)} if len(values) > 1 else None,
    }
