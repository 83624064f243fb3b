"""A page out of a template: everything in one file, and nothing from a network."""

import base64
import hashlib
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from pellucid._version import __version__
from pellucid.report.extra import load
from pellucid.report.glossary import meaning
from pellucid.types import Category


def render(template: str, **values: Any) -> str:
    """A page; every text is escaped, but for charts, which come escaped.

    Its policy lets no script run but its own, and nothing be loaded.
    """
    script, style = _asset("page.js"), _asset("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page: str = (
        _environment()
        .get_template(template)
        .render(script=script, style=style, digest=digest, client=__version__, **values)
    )
    return page


def jpeg(data: bytes) -> str:
    """A picture as part of the page."""
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


@cache
def _environment() -> Any:
    jinja2 = load("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pellucid.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        share=_share, number=_number, time=_time, size=_size, clock=_clock, named=_named
    )
    environment.globals.update(meaning=meaning)
    return environment


@cache
def _asset(name: str) -> str:
    return files("pellucid.report").joinpath("templates", name).read_text("utf-8")


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _time(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S UTC") if value else ""


def _size(value: int) -> str:
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= bytes_:
            return f"{value / bytes_:.1f} {unit}"
    return f"{value} bytes"


def _clock(value: float) -> str:
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{value:.1f} s"


def _named(value: Category | None) -> str:
    return value.name if value else ""
